"""Reads a partition of a compacted topic to its end: the last value of each key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from confluent_kafka import KafkaError as ClientError

from consumer.clock import Clock
from consumer.kafka.client import StoppedError
from consumer.telemetry.logs import CLIENT_LOG

CALL_TIMEOUT_S = 10.0
POLL_S = 1.0
TIMEOUT_S = 120.0
"""A transaction that a dead worker left open hides what came after it until its time is up."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_client_log = logging.getLogger(CLIENT_LOG)


class CompactedReader:
    """Reads as nobody's member. ``properties`` are librdkafka's, with a `group.id`.

    It must be one that may be read: librdkafka looks for its coordinator, and asks it nothing.
    """

    def __init__(self, properties: Mapping[str, str], topic: str, clock: Clock) -> None:
        self._properties = {
            **properties,
            "enable.auto.commit": "false",
            "enable.partition.eof": "true",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
        }
        self._topic = topic
        self._clock = clock

    def read(self, partition: int) -> dict[bytes, bytes]:
        """The last value of each key that was not taken away. Raises :class:`StoppedError`."""
        return self._tried(lambda consumer, deadline_s: self._read(consumer, partition, deadline_s))

    def low_offset(self, topic: str, partition: int) -> int:
        """The first offset of ``topic`` that is still there. Raises :class:`StoppedError`."""
        place = TopicPartition(topic, partition)
        return self._tried(
            lambda consumer, _: int(consumer.get_watermark_offsets(place, POLL_S)[0])
        )

    def _tried(self, step: Callable[[Consumer, float], _T]) -> _T:
        """What ``step`` says, as soon as the brokers let it; a broker that begins takes a while."""
        deadline_s = self._clock.monotonic_s() + TIMEOUT_S
        while True:
            consumer = Consumer(self._properties, logger=_client_log)
            try:
                return step(consumer, deadline_s)
            except KafkaException as error:
                if self._clock.monotonic_s() >= deadline_s:
                    raise StoppedError(f"{self._topic}: {error}") from error
                _log.warning("kafka: %s: %s", self._topic, error)
                self._clock.sleep_s(POLL_S)
            finally:
                consumer.close()

    def _read(self, consumer: Consumer, partition: int, deadline_s: float) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        place = TopicPartition(self._topic, partition, OFFSET_BEGINNING)
        end = consumer.get_watermark_offsets(place, CALL_TIMEOUT_S)[1]
        consumer.assign([place])
        while self._clock.monotonic_s() < deadline_s:
            for message in consumer.consume(500, POLL_S):
                error = message.error()
                if error is None:
                    _take(found, message.key(), message.value())
                elif error.code() != ClientError._PARTITION_EOF:  # noqa: SLF001  librdkafka's own name
                    raise KafkaException(error)
                elif (message.offset() or 0) >= end:
                    return found
        raise StoppedError(f"{self._topic}/{partition} could not be read to its end")


def _take(found: dict[bytes, bytes], key: str | bytes | None, value: str | bytes | None) -> None:
    """The client gives bytes, whatever its types say."""
    if not isinstance(key, bytes):
        return
    if isinstance(value, bytes):
        found[key] = value
    else:
        found.pop(key, None)
