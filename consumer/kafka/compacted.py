"""Reads a partition of a compacted topic to its end: the last value of each key."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from confluent_kafka import KafkaError as ClientError

from consumer.clock import Clock
from consumer.kafka.client import StoppedError

POLL_S = 1.0
TIMEOUT_S = 120.0
"""A transaction that a dead worker left open hides what came after it until its time is up."""


class CompactedReader:
    """Reads as nobody's member. ``properties`` are librdkafka's."""

    def __init__(self, properties: Mapping[str, str], topic: str, clock: Clock) -> None:
        self._properties = {
            **properties,
            "group.id": "spanmill-snapshot-reader",
            "enable.auto.commit": "false",
            "enable.partition.eof": "true",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
        }
        self._topic = topic
        self._clock = clock

    def read(self, partition: int) -> dict[bytes, bytes]:
        """The last value of each key that was not taken away. Raises :class:`StoppedError`."""
        found: dict[bytes, bytes] = {}
        deadline_s = self._clock.monotonic_s() + TIMEOUT_S
        try:
            consumer = Consumer(self._properties)
            try:
                place = TopicPartition(self._topic, partition, OFFSET_BEGINNING)
                end = consumer.get_watermark_offsets(place, TIMEOUT_S)[1]
                consumer.assign([place])
                while self._clock.monotonic_s() < deadline_s:
                    for message in consumer.consume(500, POLL_S):
                        error = message.error()
                        if error is None:
                            _take(found, message.key(), message.value())
                        elif error.code() != ClientError._PARTITION_EOF:  # noqa: SLF001  librdkafka's own name
                            raise StoppedError(f"{self._topic}/{partition}: {error.str()}")
                        elif (message.offset() or 0) >= end:
                            return found
            finally:
                consumer.close()
        except KafkaException as error:
            raise StoppedError(f"{self._topic}/{partition}: {error}") from error
        raise StoppedError(f"{self._topic}/{partition} could not be read to its end")


def _take(found: dict[bytes, bytes], key: str | bytes | None, value: str | bytes | None) -> None:
    """The client gives bytes, whatever its types say."""
    if not isinstance(key, bytes):
        return
    if isinstance(value, bytes):
        found[key] = value
    else:
        found.pop(key, None)
