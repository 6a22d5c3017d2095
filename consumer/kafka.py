"""The only module that talks to Kafka (librdkafka through confluent-kafka)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import KafkaException, Producer

from consumer.errors import SpanmillError

METADATA_TIMEOUT_S = 10.0


class KafkaError(SpanmillError):
    """The broker, or the way to it, refused. The text is librdkafka's own."""


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to write. ``time_ms`` 0 lets the client stamp it."""

    topic: str
    value: bytes
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    time_ms: int = 0


class RecordWriter:
    """Writes records; a record counts as written when :meth:`flush` returned 0 failures.

    Bound: librdkafka's ``queue.buffering.max.messages``; a full queue makes
    :meth:`write` wait, serving delivery reports meanwhile.
    """

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._producer = Producer({"linger.ms": "5", **properties})
        self._failures: list[str] = []

    def write(self, record: OutgoingRecord) -> None:
        """Queue ``record``; its fate is known at the next :meth:`flush`."""
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    timestamp=record.time_ms,
                    on_delivery=self._on_delivery,
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise KafkaError(str(error)) from error
            else:
                self._producer.poll(0)
                return

    def flush(self, timeout_s: float) -> Sequence[str]:
        """Wait until every queued record has its answer; the errors of those that failed.

        Records still without answer after ``timeout_s`` count as failed.
        """
        waiting = self._producer.flush(timeout_s)
        failures, self._failures = self._failures, []
        if waiting:
            failures.append(f"{waiting} records without an answer after {timeout_s} s")
        return failures

    def _on_delivery(self, error: object, _record: object) -> None:
        if error is not None:
            self._failures.append(str(error))


@contextmanager
def mock_cluster(topics: Sequence[str]) -> Iterator[str]:
    """Run librdkafka's embedded mock broker with ``topics`` of 4 partitions each.

    Yields its bootstrap address. The broker lives in this process, keeps a few MB a
    partition in memory, and ends with the block. It makes a topic when it is first
    asked for and knows no other number of partitions.
    """
    properties = {
        "test.mock.num.brokers": "1",
        "bootstrap.servers": "replaced-by-the-mock",
        "log_level": "3",
    }
    broker = Producer(properties)
    try:
        for topic in topics:
            broker.list_topics(topic, timeout=METADATA_TIMEOUT_S)
        metadata = broker.list_topics(timeout=METADATA_TIMEOUT_S)
    except KafkaException as error:
        raise KafkaError(str(error)) from error
    yield ",".join(f"{node.host}:{node.port}" for node in metadata.brokers.values())
    broker.flush(1.0)
