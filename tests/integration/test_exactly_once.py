"""Workers that count exactly once on a real broker, whatever happens to them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.histories import of_receiver, totals
from tests.support.kafka_broker import KafkaCluster
from tests.support.processes import wait_until
from tests.support.remote_write_receiver import Receiver
from tests.support.span_load import NORTH, SOUTH, Shop
from tests.support.workers import Stage, open_stage

CALLS = "traces_spanmetrics_calls_total"
EDGES = "traces_service_graph_request_total"
OPERATION = ("tenant", "service", "span_name", "span_kind", "status_code")
EDGE = ("tenant", "client", "server", "connection_type")
BLOCKS = {
    "processing_guarantee": "exactly_once",
    "exactly_once": {
        "shards": 4,
        "commit_interval": "200ms",
        "snapshot_interval": "3s",
        "transaction_timeout": "5s",
    },
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def exact_stage(folder: Path, kafka: KafkaCluster, receiver: Receiver, **more: Any) -> Any:
    return open_stage(
        folder,
        kafka,
        receiver.url,
        blocks=BLOCKS,
        kafka_block={"create_topics": True},
        **more,
    )


def told(receiver: Receiver, name: str, *by: str) -> Counter[tuple[str, ...]]:
    """What all tenants were told, by the labels ``by``."""
    found: Counter[tuple[str, ...]] = Counter()
    for tenant in (NORTH, SOUTH):
        histories = of_receiver(receiver, tenant.name, name)
        known = [h for h in histories if h.labels.get("connection_type") != "virtual_node"]
        found += totals(known, *by)
    return found


def wait_told(receiver: Receiver, shop: Shop, timeout_s: float = 40.0) -> None:
    """Wait until what was told is the truth, which it may not exceed at any time."""

    def is_all() -> bool:
        calls = told(receiver, CALLS, *OPERATION)
        assert all(n <= shop.truth.calls[key] for key, n in calls.items()), "told too much"  # type: ignore[index]
        return calls == shop.truth.calls and told(receiver, EDGES, *EDGE) == shop.truth.edges

    wait_until(is_all, "everything to be told", timeout_s)


def check(receiver: Receiver) -> None:
    assert receiver.violations == []
    for tenant in (NORTH, SOUTH):
        for history in of_receiver(receiver, tenant.name, CALLS):
            assert "__metrics_gen_instance" not in history.labels


def test_one_worker_counts_every_span_once(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    with exact_stage(tmp_path, kafka, receiver) as stage:
        assert isinstance(stage, Stage)
        (worker,) = stage.start("pod-0")
        shop = Shop(kafka.bootstrap, stage.topic, split=True)
        shop.sell((NORTH, SOUTH), range(30), time.time_ns())
        wait_told(receiver, shop)
        assert worker.stop() == 0, worker.describe()
        check(receiver)


def test_a_worker_that_is_killed_and_comes_back_goes_on_as_if_nothing_had_been(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    with exact_stage(tmp_path, kafka, receiver) as stage:
        shop = Shop(kafka.bootstrap, stage.topic, split=True)
        (worker,) = stage.start("pod-0")
        for round_ in range(3):
            sold = round_ * 40
            shop.sell((NORTH, SOUTH), range(sold, sold + 20), time.time_ns())
            time.sleep(1.3)
            worker.kill()
            shop.sell((NORTH, SOUTH), range(sold + 20, sold + 40), time.time_ns())
            (worker,) = stage.start("pod-0")
        wait_told(receiver, shop)
        assert worker.stop() == 0, worker.describe()
        check(receiver)


def test_another_worker_takes_over_from_one_that_is_killed(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    with exact_stage(tmp_path, kafka, receiver) as stage:
        shop = Shop(kafka.bootstrap, stage.topic, split=True)
        first, second = stage.start("pod-0", "pod-1")
        shop.sell((NORTH, SOUTH), range(30), time.time_ns())
        time.sleep(1.0)
        first.kill()
        shop.sell((NORTH, SOUTH), range(30, 60), time.time_ns())
        wait_told(receiver, shop, 60.0)
        assert second.stop() == 0, second.describe()
        check(receiver)
