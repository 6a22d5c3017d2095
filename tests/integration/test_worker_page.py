"""What the page of a real worker tells of real traffic, whichever way it counts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.kafka_broker import KafkaCluster
from tests.support.processes import SpanmillWorker, wait_until
from tests.support.remote_write_receiver import Receiver
from tests.support.span_load import NORTH, SOUTH, Shop
from tests.support.workers import open_stage

EXACTLY_ONCE = {
    "processing_guarantee": "exactly_once",
    "exactly_once": {"shards": 4, "commit_interval": "200ms"},
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def traffic(worker: SpanmillWorker, tenant: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(worker.get(f"/api/v1/traffic?tenant={tenant}"))
    return answer


def grown(seen: Mapping[str, Any]) -> float:
    """Calls since the first tick, which may tell of some of the first sale: rates by time."""
    history = seen.get("history", {"times_ms": [], "rate": []})
    times_ms: list[int] = history["times_ms"]
    rates: list[float] = history["rate"]
    return sum(
        rate * (after - before) / 1_000
        for before, after, rate in zip(times_ms, times_ms[1:], rates[1:], strict=False)
    )


@pytest.mark.parametrize("blocks", [{}, EXACTLY_ONCE], ids=["at_least_once", "exactly_once"])
def test_the_page_tells_the_calls_that_were_made(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path, blocks: Mapping[str, Any]
) -> None:
    kafka_block = {"create_topics": True}
    with open_stage(tmp_path, kafka, receiver.url, blocks=blocks, kafka_block=kafka_block) as stage:
        (worker,) = stage.start("pod-0")
        shop = Shop(kafka.bootstrap, stage.topic, split=True)
        shop.sell((NORTH, SOUTH), range(5), time.time_ns())
        wait_until(lambda: "error" not in traffic(worker, NORTH.name), "a first tick", 60)
        first = shop.truth.calls.total()
        for sale in range(1, 6):
            shop.sell((NORTH, SOUTH), range(sale * 10, sale * 10 + 10), time.time_ns())
            time.sleep(0.5)  # so that they fall into several ticks
        rest = shop.truth.calls.total() - first

        def shown() -> float:
            return sum(grown(traffic(worker, tenant.name)) for tenant in (NORTH, SOUTH))

        wait_until(lambda: shown() >= 0.98 * rest, "all calls to be shown", 60)
        assert shown() <= 1.02 * (rest + first)
        seen = traffic(worker, NORTH.name)
        services = {service for _, service, *_ in shop.truth.calls}
        assert {each["service"] for each in seen["operations"]} == services
        assert {"client", "server"} <= set(seen["edges"][0])
        assert worker.stop() == 0, worker.describe()
