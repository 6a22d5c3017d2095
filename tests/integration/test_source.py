"""A member of a group fetches what comes back to it, whatever was held when it went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from consumer.kafka.client import OutgoingRecord, RecordWriter
from consumer.kafka.source import SourceSettings, SpanSource
from tests.support.kafka_broker import KafkaCluster
from tests.support.members import Beginning

PARTITIONS = frozenset({0, 1, 2, 3})
RECORDS = 100
TIMEOUT_S = 30.0


@contextmanager
def member(bootstrap: str, topic: str) -> Iterator[SpanSource]:
    properties = {
        "bootstrap.servers": bootstrap,
        "group.id": topic,
        "partition.assignment.strategy": "cooperative-sticky",
        "heartbeat.interval.ms": "200",
    }
    source = SpanSource(SourceSettings(topic, properties), Beginning())
    try:
        yield source
    finally:
        source.close()


def read_until(source: SpanSource, is_enough: Callable[[], bool], came: set[int]) -> None:
    """Add to ``came`` the partitions of the records that come."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not is_enough():
        came |= {record.partition for record in source.poll(0.1)}
        assert time.monotonic() < deadline_s, f"only of {came} records came"


@pytest.mark.parametrize("is_all_paused", [False, True])
def test_what_was_held_when_a_partition_went_is_fetched_when_it_comes_again(
    kafka: KafkaCluster, *, is_all_paused: bool
) -> None:
    topic = kafka.new_topic("held", len(PARTITIONS))
    writer = RecordWriter({"bootstrap.servers": kafka.bootstrap})
    for number in range(RECORDS):
        writer.write(OutgoingRecord(topic, b"span", key=b"%d" % number))
    assert writer.flush(TIMEOUT_S) == []
    with member(kafka.bootstrap, topic) as source:
        came: set[int] = set()
        read_until(source, lambda: came == PARTITIONS, came)
        if is_all_paused:
            source.pause()
        else:
            source.hold(PARTITIONS)
        with member(kafka.bootstrap, topic) as other:

            def is_shared() -> bool:
                other.poll(0.1)
                return len(source.assigned) == len(other.assigned) == len(PARTITIONS) // 2

            read_until(source, is_shared, set())
            gone = PARTITIONS - source.assigned
        if is_all_paused:
            source.resume()
        again: set[int] = set()
        read_until(source, lambda: source.assigned == PARTITIONS and gone <= again, again)
