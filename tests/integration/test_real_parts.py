from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from consumer.kafka.client import OutgoingRecord, RecordWriter
from tests.conftest import NewPrometheus
from tests.support.kafka_broker import KafkaBroker, KafkaCluster
from tests.support.processes import ChildFailedError, ChildProcess
from tests.support.prometheus import Prometheus

RECORD_TIME_MS = 1_700_000_000_000


def write(cluster: KafkaCluster, topic: str, values: list[bytes]) -> None:
    writer = RecordWriter({"bootstrap.servers": cluster.bootstrap})
    for value in values:
        record = OutgoingRecord(
            topic,
            value,
            key=b"trace",
            headers=[("X-Scope-OrgID", b"shop")],
            time_ms=RECORD_TIME_MS,
        )
        writer.write(record)
    assert writer.flush(20.0) == []


def test_a_record_comes_back_from_the_broker_as_it_was_written(kafka: KafkaCluster) -> None:
    topic = kafka.new_topic("round-trip", partitions=3)
    write(kafka, topic, [b"one", b"two"])
    records = kafka.read(topic, 2)
    assert [record.value() for record in records] == [b"one", b"two"]
    assert {record.key() for record in records} == {b"trace"}
    assert records[0].headers() == [("X-Scope-OrgID", b"shop")]
    assert records[0].timestamp()[1] == RECORD_TIME_MS
    assert sorted(kafka.end_offsets(topic).values()) == [0, 0, 2]


def test_a_group_that_never_committed_has_no_offset(kafka: KafkaCluster) -> None:
    topic = kafka.new_topic("uncommitted", partitions=2)
    assert kafka.committed("nobody", topic) == {0: -1001, 1: -1001}


def test_the_broker_keeps_its_records_across_a_restart_and_a_kill(
    kafka_broker: KafkaBroker,
) -> None:
    topic = kafka_broker.new_topic("kept")
    write(kafka_broker, topic, [b"before the restart"])
    kafka_broker.restart()
    write(kafka_broker, topic, [b"before the kill"])
    kafka_broker.kill()
    kafka_broker.start()
    write(kafka_broker, topic, [b"after"])
    kept = [record.value() for record in kafka_broker.read(topic, 3)]
    assert kept == [b"before the restart", b"before the kill", b"after"]


def test_prometheus_answers_queries(prometheus: Prometheus) -> None:
    now = time.time()
    assert prometheus.query("1 + 1", now)[0].value == 2.0
    steps = prometheus.query_range("vector(1)", now - 60, now, 30)[0].values
    assert [value for _, value in steps] == [1.0, 1.0, 1.0]
    assert prometheus.series('{__name__="nothing_wrote_this"}') == []


def test_prometheus_says_what_is_wrong_with_a_query(prometheus: Prometheus) -> None:
    with pytest.raises(ValueError, match="parse error"):
        prometheus.query("sum(", time.time())


def test_prometheus_starts_with_feature_flags(new_prometheus: NewPrometheus) -> None:
    server = new_prometheus(features=["native-histograms", "exemplar-storage"], out_of_order="30d")
    assert server.query("vector(3)", time.time())[0].value == 3.0


def test_a_child_that_ends_while_starting_shows_the_end_of_its_log(tmp_path: Path) -> None:
    child = ChildProcess([sys.executable, "-c", "raise SystemExit('no disk')"], tmp_path / "log")
    with child:
        child.start()
        with pytest.raises(ChildFailedError, match="no disk"):
            child.wait_ready(lambda: False, 20.0)


def test_a_child_that_ignores_the_signal_to_end_is_killed_and_reaped(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)"
    command = [sys.executable, "-c", f"{deaf}; time.sleep(60)"]
    child = ChildProcess(command, tmp_path / "log")
    with child:
        child.start()
        child.wait_ready(lambda: "up" in child.log_text(), 20.0)
        assert child.stop(timeout_s=0.2) == -9
    assert not child.running
