"""Reads a topic from where one likes to where it ends, as an operator's commands do.

It joins no group: the offsets of ``group`` are only looked up and committed. A record
is given as the worker sees it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka import KafkaError as ClientError

from consumer.kafka.client import METADATA_TIMEOUT_S, IncomingRecord, KafkaError
from consumer.kafka.source import incoming
from consumer.telemetry.logs import CLIENT_LOG

BATCH_RECORDS = 500
POLL_S = 0.5
SILENT_POLLS = 60
"""So many polls without anything, not even an end, mean that the brokers are gone."""

_client_log = logging.getLogger(CLIENT_LOG)


class TopicReader:
    """A reader of ``topic``. All calls raise :class:`KafkaError`."""

    def __init__(self, properties: Mapping[str, str], topic: str, group: str) -> None:
        self.topic = topic
        own = {
            "group.id": group,
            "enable.auto.commit": "false",
            "enable.partition.eof": "true",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
        }
        self._consumer = Consumer({**properties, **own}, logger=_client_log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def bounds(self) -> Mapping[int, tuple[int, int]]:
        """(the first offset, the one after the last record) of each partition."""
        try:
            listed = self._consumer.list_topics(self.topic, METADATA_TIMEOUT_S).topics[self.topic]
            if listed.error is not None:
                raise KafkaError(f"{self.topic}: {listed.error.str()}")
            return {
                number: self._consumer.get_watermark_offsets(
                    TopicPartition(self.topic, number), METADATA_TIMEOUT_S
                )
                for number in sorted(listed.partitions)
            }
        except KafkaException as error:
            raise KafkaError(str(error)) from error

    def committed(self) -> Mapping[int, int]:
        """What was committed for the group; a partition without is left out."""
        asked = [TopicPartition(self.topic, number) for number in self.bounds()]
        try:
            found = self._consumer.committed(asked, METADATA_TIMEOUT_S)
        except KafkaException as error:
            raise KafkaError(str(error)) from error
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def read(self, spans: Mapping[int, tuple[int, int]]) -> Iterator[Sequence[IncomingRecord]]:
        """The records of ``spans``: by partition, the first offset and the one after the last.

        In batches of at most :data:`BATCH_RECORDS`, in order within each partition.
        """
        open_ends = {number: end for number, (first, end) in spans.items() if first < end}
        starts = [TopicPartition(self.topic, number, spans[number][0]) for number in open_ends]
        self._consumer.assign(starts)
        silent = 0
        while open_ends:
            messages = self._consumer.consume(BATCH_RECORDS, POLL_S)
            silent = 0 if messages else silent + 1
            if silent > SILENT_POLLS:
                raise KafkaError(f"{self.topic}: no answer within {SILENT_POLLS * POLL_S:g} s")
            records = [r for m in messages if (r := _record_in(m, open_ends)) is not None]
            if records:
                yield records
        self._consumer.unassign()

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the next offset of each partition for the group."""
        positions = [TopicPartition(self.topic, p, offset) for p, offset in offsets.items()]
        try:
            self._consumer.commit(offsets=positions, asynchronous=False)
        except KafkaException as error:
            raise KafkaError(str(error)) from error


def _record_in(message: Message, open_ends: dict[int, int]) -> IncomingRecord | None:
    """The record, if it lies before the end; a partition that is at its end is taken out."""
    error, partition = message.error(), message.partition() or 0
    if error is not None:
        if error.code() != ClientError._PARTITION_EOF:  # noqa: SLF001  librdkafka's own name
            raise KafkaError(error.str())
        open_ends.pop(partition, None)
        return None
    record = incoming(message)
    end = open_ends.get(partition)
    if end is None or record.offset >= end:
        open_ends.pop(partition, None)
        return None
    if record.offset == end - 1:
        del open_ends[partition]
    return record
