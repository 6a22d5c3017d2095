"""Workers and a sink that is not always there: nothing is lost, and nothing committed early."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from consumer.kafka.client import OutgoingRecord, RecordWriter
from consumer.worker import SINK
from tests.conftest import NewPrometheus
from tests.support.histories import of_prometheus, of_receiver, totals
from tests.support.kafka_broker import KafkaCluster
from tests.support.processes import answers_ok, wait_until
from tests.support.remote_write_receiver import Receiver, Reply
from tests.support.span_load import NORTH, SOUTH, Shop, Tenant, purchase
from tests.support.workers import metric, open_stage

CALLS = "traces_spanmetrics_calls_total"
OPERATION = ("tenant", "service", "span_name", "span_kind", "status_code")
INTERVAL = "500ms"
DOWN = Reply(status=503)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def write(kafka: KafkaCluster, records: Sequence[OutgoingRecord]) -> None:
    writer = RecordWriter({"bootstrap.servers": kafka.bootstrap})
    for record in records:
        writer.write(record)
    assert writer.flush(20.0) == []


def told(receiver: Receiver, tenant: Tenant) -> Counter[tuple[str, ...]]:
    return totals(of_receiver(receiver, tenant.name, CALLS), *OPERATION)


def test_a_worker_waits_for_its_sink_as_a_member_of_the_group_and_loses_nothing(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    with open_stage(tmp_path, kafka, receiver.url, interval=INTERVAL) as stage:
        shop = Shop(kafka.bootstrap, stage.topic)
        (worker,) = stage.start("pod-0")
        shop.sell([NORTH], range(40), time.time_ns())
        stage.wait_committed()
        before = stage.committed()

        receiver.always(DOWN)
        shop.sell([NORTH], range(40, 80), time.time_ns())
        wait_until(lambda: metric(worker, "spanmill_paused", reason=SINK) == 1.0, "a pause")
        shop.sell([NORTH], range(80, 120), time.time_ns())
        turned = "spanmill_loop_last_turned_timestamp_seconds"
        last_turn = metric(worker, turned)
        wait_until(lambda: metric(worker, turned) > last_turn + 0.5, "turns", 5.0)
        assert answers_ok(f"{worker.url}/healthz")
        assert answers_ok(f"{worker.url}/ready")
        assert metric(worker, "spanmill_assigned_partitions") == 4.0
        assert stage.committed() == before

        receiver.always(None)
        wait_until(lambda: metric(worker, "spanmill_paused", reason=SINK) == 0.0, "the end of it")
        stage.wait_committed()
        assert metric(worker, "spanmill_rebalances_total") == 1.0
        assert worker.stop() == 0
        assert told(receiver, NORTH) == shop.truth.calls
        assert receiver.violations == []


def test_halves_that_waited_through_a_pause_are_paired_with_what_came_meanwhile(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    with open_stage(tmp_path, kafka, receiver.url, interval=INTERVAL, wait="5s") as stage:
        (worker,) = stage.start("pod-0")
        bought = [purchase(NORTH, number, time.time_ns()) for number in range(40)]
        records = [list(each.records(stage.topic, split=True)) for each in bought]
        receiver.always(DOWN)
        write(kafka, [web for web, *_ in records])
        first_s = time.monotonic()
        wait_until(lambda: metric(worker, "spanmill_paused", reason=SINK) == 1.0, "a pause", 4.0)
        write(kafka, [rest for _, *others in records for rest in others])
        wait_until(lambda: time.monotonic() > first_s + 6.0, "the end of the wait")
        receiver.always(None)
        stage.wait_committed()
        assert worker.stop() == 0
        edges = of_receiver(receiver, NORTH.name, "traces_service_graph_request_total")
        assert totals(edges, "client", "server")["web", "orders"] == 40


def test_a_worker_waits_for_a_prometheus_that_is_restarted(
    kafka: KafkaCluster, new_prometheus: NewPrometheus, tmp_path: Path
) -> None:
    server = new_prometheus()
    with open_stage(tmp_path, kafka, server.remote_write_url, interval=INTERVAL) as stage:
        shop = Shop(kafka.bootstrap, stage.topic)
        (worker,) = stage.start("pod-0")
        shop.sell([NORTH, SOUTH], range(20), time.time_ns())
        stage.wait_committed()
        server.stop()
        shop.sell([NORTH, SOUTH], range(20, 40), time.time_ns())
        wait_until(lambda: metric(worker, "spanmill_paused", reason=SINK) == 1.0, "a pause")
        server.start()
        stage.wait_committed()
        assert worker.stop() == 0
        assert totals(of_prometheus(server, CALLS, time.time()), *OPERATION) == shop.truth.calls


def test_sigterm_delivers_what_was_read_commits_it_and_ends_in_time(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    with open_stage(tmp_path, kafka, receiver.url, interval="1h") as stage:
        shop = Shop(kafka.bootstrap, stage.topic)
        (worker,) = stage.start("pod-0")
        shop.sell([NORTH, SOUTH], range(30), time.time_ns())
        wait_until(
            lambda: metric(worker, "spanmill_spans_received_total") == shop.truth.spans(),
            "the spans",
        )
        assert receiver.requests == []
        assert sum(stage.committed().values()) == 0
        begun_s = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - begun_s < 10.0
        assert stage.committed() == kafka.end_offsets(stage.topic)
        assert told(receiver, NORTH) + told(receiver, SOUTH) == shop.truth.calls
        assert receiver.violations == []


def test_sigterm_with_a_dead_sink_ends_at_the_deadline_and_the_next_worker_reads_it_again(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.always(DOWN)
    with open_stage(tmp_path, kafka, receiver.url, interval="1h", shutdown="2s") as stage:
        shop = Shop(kafka.bootstrap, stage.topic)
        (worker,) = stage.start("pod-0")
        shop.sell([NORTH], range(30), time.time_ns())
        wait_until(
            lambda: metric(worker, "spanmill_spans_received_total") == shop.truth.spans(),
            "the spans",
        )
        begun_s = time.monotonic()
        assert worker.stop() == 0
        assert 2.0 <= time.monotonic() - begun_s < 8.0
        assert sum(stage.committed().values()) == 0
        receiver.always(None)
        worker.start_ready()
        wait_until(
            lambda: metric(worker, "spanmill_spans_received_total") == shop.truth.spans(),
            "the spans again",
        )
        assert worker.stop() == 0
        assert told(receiver, NORTH) == shop.truth.calls


def test_one_tenant_that_is_refused_holds_up_no_other(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.always(Reply(status=429, tenant=SOUTH.name))
    with open_stage(tmp_path, kafka, receiver.url, interval=INTERVAL) as stage:
        shop = Shop(kafka.bootstrap, stage.topic)
        (worker,) = stage.start("pod-0")
        for wave in range(4):
            shop.sell([NORTH, SOUTH], range(wave * 10, wave * 10 + 10), time.time_ns())
        stage.wait_committed()
        assert metric(worker, "spanmill_pauses_total") == 0.0
        north = {each: count for each, count in shop.truth.calls.items() if each[0] == NORTH.name}
        wait_until(lambda: told(receiver, NORTH) == north, "all of north")
        receiver.always(None)
        assert worker.stop() == 0
        assert told(receiver, NORTH) + told(receiver, SOUTH) == shop.truth.calls
