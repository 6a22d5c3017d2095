"""A worker as deploy/kubernetes restricts it: no file system to write to, and no capabilities.

The kernel's own means stand in for a container: a mount namespace in which everything is
read-only, and an empty set of capabilities without a way to get any.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.kafka_broker import KafkaCluster
from tests.support.processes import wait_until
from tests.support.prometheus import Prometheus
from tests.support.span_load import NORTH, Shop
from tests.support.workers import open_stage

READ_ONLY = [
    *("unshare", "--mount", "sh", "-c"),
    *('mount -o remount,bind,ro / && exec "$@"', "confined"),
]
POWERLESS = [
    *("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"),
    "--ambient-caps=-all",
]


@pytest.fixture
def confinement(tmp_path: Path) -> list[str]:
    """What to put before a command; that it confines is seen by a file that cannot be made."""
    command = [*READ_ONLY, *POWERLESS]
    tried = subprocess.run(
        [*command, "touch", str(tmp_path / "made")], capture_output=True, text=True, check=False
    )
    if "Read-only file system" not in tried.stderr:
        reason = f"no confinement on this machine: {tried.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(f"needed in CI: {reason}")
        pytest.skip(reason)
    return command


def test_a_confined_worker_counts_and_ends_in_good_order(
    kafka: KafkaCluster, prometheus: Prometheus, tmp_path: Path, confinement: list[str]
) -> None:
    with open_stage(tmp_path, kafka, prometheus.remote_write_url) as stage:
        worker = stage.worker("pod-0")
        worker.command = [*confinement, *worker.command]
        worker.start_ready()
        Shop(kafka.bootstrap, stage.topic).sell((NORTH,), range(20), time.time_ns())
        stage.wait_committed()
        selector = f'traces_spanmetrics_calls_total{{stage="{stage.topic}"}}'
        wait_until(lambda: bool(prometheus.series(selector)), "series")
        assert worker.stop() == 0, worker.describe()
