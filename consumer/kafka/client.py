"""Writes records, and what all that talks to brokers shares; nothing outside this package does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TypeAlias

from confluent_kafka import KafkaError as ClientError
from confluent_kafka import KafkaException, Message, Producer

from consumer.errors import SpanmillError
from consumer.telemetry.logs import CLIENT_LOG

METADATA_TIMEOUT_S = 10.0
_PURGE_TIMEOUT_S = 1.0

_client_log = logging.getLogger(CLIENT_LOG)


class KafkaError(SpanmillError):
    """The broker, or the way to it, refused. The text is librdkafka's own."""


class StoppedError(KafkaError):
    """This consumer cannot go on: fenced, not authorised, or its offset is gone."""


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to write. ``time_ms`` 0 lets the client stamp it."""

    topic: str
    value: bytes
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    time_ms: int = 0


class Fate(Enum):
    """What became of a record to write."""

    WRITTEN = "written"
    FAILED = "failed"
    """Perhaps not written; another try may do."""
    REFUSED = "refused"
    """Not written and never to be: it is too large, say."""


Answered: TypeAlias = Callable[[Fate], None]
"""Told of a record's fate from inside :meth:`RecordWriter.write` or ``flush``."""


class RecordWriter:
    """Writes records; a record counts as written when :meth:`flush` found no failure.

    Bound: librdkafka's ``queue.buffering.max.messages``; a full queue makes
    :meth:`write` wait, serving delivery reports meanwhile.
    """

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._producer = Producer({"linger.ms": "5", **properties}, logger=_client_log)
        self._failures: list[str] = []

    def write(self, record: OutgoingRecord, answered: Answered | None = None) -> None:
        """Queue ``record``; its fate is known after the next :meth:`flush` at the latest."""
        on_delivery = partial(self._on_delivery, answered)
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    timestamp=record.time_ms,
                    on_delivery=on_delivery,
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                on_delivery(error.args[0])
                return
            else:
                self._producer.poll(0)
                return

    def flush(self, timeout_s: float) -> Sequence[str]:
        """Wait until every queued record has its answer; the reasons of those that failed.

        Records still without answer after ``timeout_s`` count as failed and are given up:
        whoever writes them again shall not find them in the queue as well.
        """
        if self._producer.flush(timeout_s):
            self._producer.purge()
            self._producer.flush(_PURGE_TIMEOUT_S)
        failures, self._failures = self._failures, []
        return failures

    def _on_delivery(
        self, answered: Answered | None, error: ClientError | None, _message: Message | None = None
    ) -> None:
        if error is not None:
            is_purged = error.code() in _PURGED
            self._failures.append("no answer in time" if is_purged else str(error))
        if answered is not None:
            answered(_fate(error))


@dataclass(frozen=True, slots=True)
class IncomingRecord:
    """A record that was read. ``time_ms`` is 0 when the broker knows none."""

    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]]


_PURGED = frozenset({ClientError._PURGE_QUEUE, ClientError._PURGE_INFLIGHT})  # noqa: SLF001

_UNWRITABLE = frozenset(
    {
        ClientError.MSG_SIZE_TOO_LARGE,
        ClientError.INVALID_MSG_SIZE,
        ClientError.INVALID_RECORD,
        ClientError.POLICY_VIOLATION,
    }
)
"""Errors that lie in the record itself."""


def _fate(error: ClientError | None) -> Fate:
    if error is None:
        return Fate.WRITTEN
    return Fate.REFUSED if error.code() in _UNWRITABLE else Fate.FAILED


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
