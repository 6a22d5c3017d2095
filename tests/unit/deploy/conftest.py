"""What is known of the metrics there are, and the tools that judge the files of deploy/."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consumer.telemetry.metrics import Metrics
from processors.service_graphs.frames import UNPAIRED
from tests.support.promql import PromtoolUnavailableError, promtool

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"

OF_HISTOGRAMS = ("_bucket", "_sum", "_count")
OF_THE_PROCESS = {
    *("process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes"),
}
"""What ``ProcessCollector`` adds; it asks the running process, so it is named here."""
OF_THE_TARGET = {"namespace", "job", "instance", "pod", "le"}
"""Labels that scraping adds, and that of buckets."""


@pytest.fixture
def use_promtool() -> Callable[..., str]:
    """Promtool; without it the test is skipped, in CI it fails."""

    def run(*arguments: str, folder: Path) -> str:
        try:
            return promtool(*arguments, folder=folder)
        except PromtoolUnavailableError as error:
            if os.environ.get("CI"):
                pytest.fail(f"needed in CI: {error}")
            pytest.skip(str(error))

    return run


@pytest.fixture(scope="session")
def own_metrics() -> dict[str, set[str]]:
    """Metric of the worker -> its labels."""
    found: dict[str, set[str]] = {name: set() for name in OF_THE_PROCESS}
    for each in Metrics(CollectorRegistry()).descriptions:
        labels = set(each.labels)
        endings = OF_HISTOGRAMS if each.type == "histogram" else ("",)
        found |= {each.name + ending: labels for ending in endings}
    return found


@pytest.fixture(scope="session")
def product_metrics() -> dict[str, set[str]]:
    """Metric that is made of spans -> the labels it was seen with in the golden cases."""
    found: dict[str, set[str]] = {UNPAIRED.name: {"client", "server", "reason"}}
    for file in (ROOT / "tests" / "golden").glob("*/expected.jsonl"):
        for line in file.read_text().splitlines():
            series = json.loads(line)
            found.setdefault(series["name"], set()).update(series["labels"])
    return found
