"""A member of a group reads on, whatever was held before: on the mock broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from consumer.kafka.client import OutgoingRecord, RecordWriter, mock_cluster
from consumer.kafka.source import SourceSettings, SpanSource
from tests.support.members import Beginning

TOPIC = "spans"
RECORDS = 100
TIMEOUT_S = 30.0


def read_all(source: SpanSource) -> set[int]:
    """Read so many records as there are; their partitions."""
    came: list[int] = []
    deadline_s = time.monotonic() + TIMEOUT_S
    while len(came) < RECORDS and time.monotonic() < deadline_s:
        came += [record.partition for record in source.poll(0.1)]
    assert len(came) == RECORDS
    return set(came)


@contextmanager
def joined(max_batch_records: int = 10_000) -> Iterator[SpanSource]:
    """A member of a group on a topic of :data:`RECORDS` records."""
    with mock_cluster([TOPIC]) as bootstrap:
        writer = RecordWriter({"bootstrap.servers": bootstrap})
        for number in range(RECORDS):
            writer.write(OutgoingRecord(TOPIC, b"span", key=b"%d" % number))
        assert writer.flush(TIMEOUT_S) == []
        properties = {
            "bootstrap.servers": bootstrap,
            "group.id": "group",
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
        }
        settings = SourceSettings(TOPIC, properties, max_batch_records=max_batch_records)
        source = SpanSource(settings, Beginning())
        try:
            yield source
        finally:
            source.close()


def test_partitions_that_were_held_are_fetched_when_all_is_read_again() -> None:
    with joined() as source:
        partitions = read_all(source)
        source.hold(partitions)
        source.begin_again()
        assert read_all(source) == partitions


def test_records_that_were_not_given_yet_are_known() -> None:
    with joined(max_batch_records=10) as source:
        came = 0
        known = []
        deadline_s = time.monotonic() + TIMEOUT_S
        while came < RECORDS and time.monotonic() < deadline_s:
            came += len(source.poll(0.1))
            known.append((came, source.unread()))
        assert came == RECORDS
        assert all(unread <= RECORDS - given for given, unread in known)
        assert any(unread > 0 for _, unread in known)
        assert known[-1] == (RECORDS, 0)


def test_nothing_can_be_read_while_all_is_paused() -> None:
    with joined(max_batch_records=10) as source:
        while not source.unread():
            source.poll(0.1)
        source.pause()
        assert source.unread() == 0
