"""Workers that come and go: what one gives up another goes on with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.histories import of_receiver, totals
from tests.support.kafka_broker import KafkaBroker, KafkaCluster
from tests.support.processes import answers_ok, wait_until
from tests.support.remote_write_receiver import Receiver
from tests.support.span_load import NORTH, SOUTH, Shop
from tests.support.workers import metric, open_stage

CALLS = "traces_spanmetrics_calls_total"
EDGES = "traces_service_graph_request_total"
OPERATION = ("tenant", "service", "span_name", "span_kind", "status_code")
EDGE = ("tenant", "client", "server", "connection_type")
ASSIGNED = "spanmill_assigned_partitions"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def told(receiver: Receiver, name: str, *by: str) -> Counter[tuple[str, ...]]:
    """What all tenants were told, by the labels ``by``."""
    found: Counter[tuple[str, ...]] = Counter()
    for tenant in (NORTH, SOUTH):
        histories = of_receiver(receiver, tenant.name, name)
        known = [h for h in histories if h.labels.get("connection_type") != "virtual_node"]
        found += totals(known, *by)
    return found


def test_a_second_worker_takes_half_of_the_partitions_in_the_middle_of_the_load(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    with open_stage(tmp_path, kafka, receiver.url) as stage:
        shop = Shop(kafka.bootstrap, stage.topic)
        (first,) = stage.start("pod-0")
        assert metric(first, ASSIGNED) == 4.0
        second = stage.worker("pod-1")
        second.start()
        sold = 0
        while metric(first, ASSIGNED) != 2.0 and sold < 2_000:
            shop.sell((NORTH, SOUTH), range(sold, sold + 20), time.time_ns())
            sold += 20
            time.sleep(0.05)
        second.wait_ready(lambda: metric(second, ASSIGNED) == 2.0, 20.0)
        shop.sell((NORTH, SOUTH), range(sold, sold + 40), time.time_ns())
        stage.wait_committed()
        rebalances = "spanmill_rebalances_total"
        assert metric(first, rebalances, kind="revoked") == 1.0
        assert metric(first, rebalances, kind="lost") == 0.0
        assert metric(second, "spanmill_spans_received_total") > 0.0
        assert (first.stop(), second.stop()) == (0, 0)
        assert told(receiver, CALLS, *OPERATION) == shop.truth.calls
        assert told(receiver, EDGES, *EDGE) == shop.truth.edges
        assert receiver.violations == []


def test_a_worker_without_partitions_stands_by_and_takes_over_from_one_that_is_killed(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    with open_stage(tmp_path, kafka, receiver.url, interval="500ms", partitions=1) as stage:
        shop = Shop(kafka.bootstrap, stage.topic)
        (first,) = stage.start("pod-0")
        (second,) = stage.start("pod-1")
        assert second.get("/ready") == "standing_by\n"
        shop.sell((NORTH, SOUTH), range(30), time.time_ns())
        stage.wait_committed()
        shop.sell((NORTH, SOUTH), range(30, 60), time.time_ns())
        first.kill()
        stage.wait_committed()
        assert answers_ok(f"{second.url}/ready")
        assert metric(second, ASSIGNED) == 1.0
        assert second.stop() == 0
        counted = told(receiver, CALLS, *OPERATION)
        assert counted.keys() == shop.truth.calls.keys()
        for operation, calls in shop.truth.calls.items():
            assert calls <= counted[operation] <= 2 * calls
        assert receiver.violations == []


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_a_worker_outlives_its_broker_and_loses_nothing(
    kafka_broker: KafkaBroker, receiver: Receiver, tmp_path: Path, how: str
) -> None:
    with open_stage(tmp_path, kafka_broker, receiver.url, interval="500ms") as stage:
        (worker,) = stage.start("pod-0")
        shop = Shop(kafka_broker.bootstrap, stage.topic)
        shop.sell((NORTH, SOUTH), range(30), time.time_ns())
        if how == "restart":
            kafka_broker.restart()
        else:
            kafka_broker.kill()
            kafka_broker.start()
        shop.sell((NORTH, SOUTH), range(30, 60), time.time_ns())
        stage.wait_committed()
        assert answers_ok(f"{worker.url}/healthz")
        assert worker.stop() == 0
        counted = told(receiver, CALLS, *OPERATION)
        for operation, calls in shop.truth.calls.items():
            assert calls <= counted[operation] <= 2 * calls
        assert receiver.violations == []


def test_a_worker_that_never_read_a_span_ends_well(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    with open_stage(tmp_path, kafka, receiver.url, interval="500ms") as stage:
        (worker,) = stage.start("pod-0")
        assert worker.stop() == 0, worker.describe()


def test_the_halves_of_an_edge_find_each_other_across_records_and_batches(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    with open_stage(tmp_path, kafka, receiver.url, interval="500ms") as stage:
        shop = Shop(kafka.bootstrap, stage.topic, split=True)
        (worker,) = stage.start("pod-0")
        for wave in range(4):
            shop.sell((NORTH, SOUTH), range(wave * 25, wave * 25 + 25), time.time_ns())
        user = "virtual_node"
        wait_until(
            lambda: metric(worker, "spanmill_edges_paired_total", kind=user) == 200.0, "the callers"
        )
        assert metric(worker, "spanmill_edges_pending") == 0.0
        assert worker.stop() == 0
        assert told(receiver, EDGES, *EDGE) == shop.truth.edges
        callers = of_receiver(receiver, NORTH.name, EDGES)
        web = [each for each in callers if each.labels.get("connection_type") == user]
        assert totals(web, "client", "server") == {("user", "web"): 100}
