"""A short run of ``make chaos``: the harness tells good from bad."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.plan import Deed, Violence
from tests.chaos.run import Parts, Run, Stage
from tests.chaos.sink import Sink
from tests.support.kafka_broker import KafkaCluster
from tests.support.prometheus import Prometheus

QUICK: dict[str, Any] = {
    "purchases_per_s": 20.0,
    "interval_ms": 1_000,
    "wait_ms": 4_000,
    "max_delay_s": 1.5,
    "idle_grace_ms": 3_000,  # a busy machine keeps records under way for long
    "with_reference": False,
}


@pytest.fixture
def parts(kafka: KafkaCluster, prometheus: Prometheus, tmp_path: Path) -> Iterator[Parts]:
    with Sink(prometheus.url) as sink:
        yield Parts(tmp_path, kafka, None, prometheus, sink)


def test_an_undisturbed_worker_tells_the_truth(parts: Parts) -> None:
    run = Run(Violence(0, 6.0, 1, others=()), guarantee="at_least_once", **QUICK)
    report, is_good = Stage(run, parts).play()
    assert is_good, report
    assert (report["lost"], report["wrong_ticks"], report["missing_ticks"]) == (0, 0, 0)
    assert report["series"] > 1_000


@pytest.mark.timeout(240)
def test_exactly_once_every_number_is_right_whatever_is_done_to_the_workers(parts: Parts) -> None:
    others = (Deed.SINK, Deed.RESTART, Deed.USURP)
    report, is_good = Stage(Run(Violence(3, 20.0, 1, others), **QUICK), parts).play()
    assert is_good, report
    assert (report["kills"], report["usurpations"], report["restarts"]) == (3, 1, 1)
    assert report["series"] > 1_000


def test_the_harness_sees_what_a_kill_doubles_at_least_once(parts: Parts) -> None:
    others = (Deed.KILL_UNHEARD, Deed.KILL_UNHEARD)
    run = Run(Violence(1, 15.0, 1, others), guarantee="at_least_once", **QUICK)
    report, is_good = Stage(run, parts).play()
    assert (report["kills"], report["kills_unheard"]) == (1, 2)
    assert report["doubled"] > 0, report
    assert is_good, report
