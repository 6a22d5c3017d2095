"""What becomes of records of every encoding, of broken ones and of odd tenants."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Message
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from consumer.kafka.client import OutgoingRecord, RecordWriter
from tests.support.histories import of_receiver, totals
from tests.support.kafka_broker import KafkaCluster
from tests.support.otlp import push_bytes, record, resource_spans, span
from tests.support.processes import wait_until
from tests.support.remote_write_receiver import Receiver
from tests.support.span_load import NORTH, TENANT_HEADER
from tests.support.workers import Stage, metric, open_stage

CALLS = "traces_spanmetrics_calls_total"
BROKEN = b"\x0a\xff\xff"
TIME_MS = 1_700_000_000_000
KEY = b"0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def value(service: str, spans: int = 1) -> bytes:
    """OTLP of internal spans that end now."""
    now_ns = time.time_ns()
    made = [
        span(kind=1, span_id=(at + 1).to_bytes(8, "big"), start_time_unix_nano=now_ns)
        for at in range(spans)
    ]
    return record(resource_spans(made, service=service))


def write(stage: Stage, *records: OutgoingRecord) -> None:
    writer = RecordWriter({"bootstrap.servers": stage.kafka.bootstrap})
    for each in records:
        writer.write(each)
    assert writer.flush(20.0) == []


def outgoing(
    stage: Stage, content: bytes, tenant: bytes | None = NORTH.name.encode(), time_ms: int = 0
) -> OutgoingRecord:
    headers = [] if tenant is None else [(TENANT_HEADER, tenant), ("trace", b"1")]
    return OutgoingRecord(stage.topic, content, key=KEY, headers=headers, time_ms=time_ms)


def headers_of(message: Message) -> Mapping[str, bytes]:
    """The headers as a mapping; no name may occur twice."""
    headers = message.headers()
    assert isinstance(headers, Sequence)
    found = {name: content for name, content in headers if isinstance(content, bytes)}
    assert len(found) == len(headers)
    return found


def told(receiver: Receiver, tenant: str) -> Counter[tuple[str, ...]]:
    return totals(of_receiver(receiver, tenant, CALLS), "service")


def test_a_record_that_cannot_be_decoded_goes_to_the_dead_letter_topic_with_the_reason(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    dead = kafka.new_topic("dead")
    block = {"dead_letter_topic": dead}
    with open_stage(
        tmp_path, kafka, receiver.url, interval="500ms", partitions=1, kafka_block=block
    ) as stage:
        write(
            stage,
            outgoing(stage, value("before")),
            outgoing(stage, BROKEN, time_ms=TIME_MS),
            outgoing(stage, value("after", spans=2)),
        )
        (worker,) = stage.start("pod-0")
        stage.wait_committed()
        (letter,) = kafka.read(dead, 1)
        assert (letter.value(), letter.key()) == (BROKEN, KEY)
        headers = headers_of(letter)
        assert {name: content for name, content in headers.items() if "error.text" not in name} == {
            TENANT_HEADER: NORTH.name.encode(),
            "trace": b"1",
            "spanmill.origin.topic": stage.topic.encode(),
            "spanmill.origin.partition": b"0",
            "spanmill.origin.offset": b"1",
            "spanmill.origin.timestamp": str(TIME_MS).encode(),
            "spanmill.error.class": b"malformed_protobuf",
            "spanmill.version": headers["spanmill.version"],
        }
        assert headers["spanmill.error.text"]
        undecodable = "spanmill_records_undecodable_total"
        assert metric(worker, undecodable, reason="malformed_protobuf") == 1.0
        assert metric(worker, "spanmill_records_dead_lettered_total") == 1.0
        assert worker.stop() == 0
        assert told(receiver, NORTH.name) == {("before",): 1, ("after",): 2}
        assert kafka.end_offsets(dead) == {0: 1}


def test_a_tenant_that_makes_no_sense_goes_to_the_dead_letter_topic_and_odd_ones_are_served(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    dead = kafka.new_topic("dead")
    block = {"dead_letter_topic": dead}
    with open_stage(tmp_path, kafka, receiver.url, interval="500ms", kafka_block=block) as stage:
        refused = [b"two words", b"line\r\nX-Evil: 1", b"\xff\xfe", b"x" * 257]
        served = [b"a/b", b'quo"te', b"x" * 256, b"{}|;,"]
        write(stage, *(outgoing(stage, value("svc"), tenant) for tenant in refused + served))
        write(stage, outgoing(stage, value("svc"), None), outgoing(stage, value("svc"), b""))
        (worker,) = stage.start("pod-0")
        stage.wait_committed()
        assert worker.stop() == 0
        letters = [headers_of(letter) for letter in kafka.read(dead, len(refused))]
        assert {letter[TENANT_HEADER] for letter in letters} == set(refused)
        assert {letter["spanmill.error.class"] for letter in letters} == {b"invalid_tenant"}
        for tenant in served:
            assert told(receiver, tenant.decode()) == {("svc",): 1}
        assert told(receiver, "") == {("svc",): 2}
        assert receiver.violations == []


def test_without_a_dead_letter_topic_broken_records_are_only_counted(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    with open_stage(tmp_path, kafka, receiver.url, interval="500ms", partitions=1) as stage:
        write(stage, outgoing(stage, BROKEN), outgoing(stage, b""), outgoing(stage, value("svc")))
        (worker,) = stage.start("pod-0")
        stage.wait_committed()
        assert metric(worker, "spanmill_records_undecodable_total") == 1.0
        assert metric(worker, "spanmill_records_dead_lettered_total") == 0.0
        assert worker.stop() == 0
        assert told(receiver, NORTH.name) == {("svc",): 1}


def test_a_dead_letter_topic_that_is_not_there_holds_up_offsets_and_no_metrics(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    block = {"dead_letter_topic": "not-there"}
    with open_stage(
        tmp_path, kafka, receiver.url, interval="500ms", partitions=1, kafka_block=block
    ) as stage:
        stage.start("pod-0")
        write(stage, outgoing(stage, BROKEN), outgoing(stage, value("svc")))
        wait_until(lambda: told(receiver, NORTH.name) == {("svc",): 1}, "the metrics", 10.0)
        write(stage, outgoing(stage, value("svc")))
        wait_until(lambda: told(receiver, NORTH.name) == {("svc",): 2}, "the metrics", 10.0)
        assert stage.committed() == {0: 0}


def test_a_worker_reads_otlp_json(kafka: KafkaCluster, receiver: Receiver, tmp_path: Path) -> None:
    block = {"encoding": "otlp_json", "dead_letter_topic": kafka.new_topic("dead")}
    with open_stage(
        tmp_path, kafka, receiver.url, interval="500ms", partitions=1, kafka_block=block
    ) as stage:
        write(stage, outgoing(stage, as_json(value("svc", spans=3))), outgoing(stage, b'{"x'))
        (worker,) = stage.start("pod-0")
        stage.wait_committed()
        assert metric(worker, "spanmill_records_undecodable_total", reason="malformed_json") == 1.0
        assert worker.stop() == 0
        assert told(receiver, NORTH.name) == {("svc",): 3}
        assert len(kafka.read(block["dead_letter_topic"], 1)) == 1


def test_a_worker_reads_records_of_tempo_whose_key_is_the_tenant(
    kafka: KafkaCluster, receiver: Receiver, tmp_path: Path
) -> None:
    block = {"encoding": "tempo"}
    with open_stage(
        tmp_path, kafka, receiver.url, interval="500ms", partitions=1, kafka_block=block
    ) as stage:
        traces = [value("svc", spans=2), value("svc", spans=3)]
        write(
            stage,
            OutgoingRecord(stage.topic, push_bytes(traces), key=b"south"),
            OutgoingRecord(stage.topic, push_bytes(traces, skip=True), key=b"south"),
        )
        (worker,) = stage.start("pod-0")
        stage.wait_committed()
        skipped = "metrics_generation_skipped"
        assert metric(worker, "spanmill_spans_discarded_total", reason=skipped) == 5.0
        assert worker.stop() == 0
        assert told(receiver, "south") == {("svc",): 5}


def as_json(encoded: bytes) -> bytes:
    """OTLP/JSON of a protobuf message: as protobuf's, but for ids, which are in hex."""
    tree = MessageToDict(TracesData.FromString(encoded))
    for part in tree["resourceSpans"]:
        for scope in part["scopeSpans"]:
            for each in scope["spans"]:
                each["traceId"] = (1).to_bytes(16, "big").hex()
                each["spanId"] = (1).to_bytes(8, "big").hex()
    return orjson.dumps(tree)
