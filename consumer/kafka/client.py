"""Talks to brokers (librdkafka through confluent-kafka); nothing outside this package does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol, TypeAlias

from confluent_kafka import (
    OFFSET_END,
    OFFSET_INVALID,
    Consumer,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka import KafkaError as ClientError

from consumer.errors import SpanmillError
from consumer.telemetry.logs import CLIENT_LOG

METADATA_TIMEOUT_S = 10.0
_WATERMARK_TIMEOUT_S = 1.0
_PURGE_TIMEOUT_S = 1.0

_STRATEGY, _COOPERATIVE = "partition.assignment.strategy", "cooperative-sticky"

_log = logging.getLogger(__name__)
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


class AssignmentListener(Protocol):
    """Told of the group's decisions, from inside :meth:`SpanSource.poll` and ``close``."""

    def assigned(self, partitions: Sequence[int]) -> None:
        """These partitions came; their records follow."""
        ...

    def revoked(self, partitions: Sequence[int]) -> None:
        """These partitions go when this returns; offsets can still be committed. May block."""
        ...

    def lost(self, partitions: Sequence[int]) -> None:
        """These partitions are gone already; nothing can be committed."""
        ...


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """``properties`` are librdkafka's, the group id and brokers among them."""

    topic: str
    properties: Mapping[str, str]
    max_batch_records: int = 10_000
    max_batch_bytes: int = 16 << 20


class SpanSource:
    """One member of the consumer group on one topic.

    It never commits by itself. Bound: a batch is about ``max_batch_bytes``, judged by the
    size of the records before it; librdkafka's own queue is bounded by
    ``queued.max.messages.kbytes``.
    """

    def __init__(self, settings: SourceSettings, listener: AssignmentListener) -> None:
        self._settings = settings
        self._listener = listener
        self._assigned: set[int] = set()
        self._began: dict[int, int] = {}
        self._paused = False
        self._ends_asked: Mapping[int, int] | None = {}
        self._record_bytes = 1_000.0
        try:
            properties = dict(settings.properties) | {"enable.auto.commit": "false"}
            if properties.get("group.protocol") == "consumer":
                properties.pop(_STRATEGY, None)  # the broker assigns; it refuses a wish
            self._is_cooperative = properties.get(_STRATEGY, _COOPERATIVE) == _COOPERATIVE
            self._consumer = Consumer(properties, logger=_client_log)
            self._consumer.subscribe(
                [settings.topic],
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )
        except KafkaException as error:
            raise StoppedError(str(error)) from error

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that are ours."""
        return frozenset(self._assigned)

    def poll(self, timeout_s: float) -> Sequence[IncomingRecord]:
        """Records that came within ``timeout_s``, in order within each partition.

        Serves the group meanwhile: listeners are called from here. Raises
        :class:`StoppedError` when this consumer cannot go on.
        """
        by_bytes = int(self._settings.max_batch_bytes / self._record_bytes)
        limit = max(1, min(self._settings.max_batch_records, by_bytes))
        if self._ends_asked is None and not self._paused:
            self._ends_asked = self._ask_ends()
        try:
            messages = self._consumer.consume(limit, timeout_s)
        except KafkaException as error:
            raise StoppedError(str(error)) from error
        records = [_incoming(message) for message in messages if self._is_record(message)]
        if records:
            mean = sum(len(record.value) for record in records) / len(records)
            self._record_bytes = max(1.0, 0.5 * self._record_bytes + 0.5 * mean)
        return records

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the next offset of each partition. Raises :class:`KafkaError`."""
        if not offsets:
            return
        try:
            answers = self._consumer.commit(offsets=self._positions(offsets), asynchronous=False)
        except KafkaException as error:
            raise KafkaError(str(error)) from error
        refused = [answer for answer in answers or () if answer.error is not None]
        if refused:
            raise KafkaError("; ".join(f"{a.partition}: {a.error}" for a in refused))

    def pause(self) -> None:
        """Fetch nothing until :meth:`resume`; :meth:`poll` still serves the group."""
        self._paused = True
        self._consumer.pause(self._partitions(self._assigned))

    def resume(self) -> None:
        """Fetch again."""
        self._paused = False
        self._consumer.resume(self._partitions(self._assigned))
        self._ends_asked = None

    def end_offsets(self, partition: int) -> tuple[int, int] | None:
        """(the offset that reading began at, the one after the last record) of ``partition``.

        As of the last fetch. None as long as nothing was fetched, and after a pause until
        the brokers were asked: what was fetched before it is old.
        """
        if self._ends_asked is None:
            return None
        position = TopicPartition(self._settings.topic, partition)
        low, end = self._consumer.get_watermark_offsets(position, _WATERMARK_TIMEOUT_S, cached=True)
        if end < 0:
            return None
        end = max(end, self._ends_asked.get(partition, 0))
        committed = self._began.get(partition, OFFSET_INVALID)
        from_the_end = self._settings.properties.get("auto.offset.reset") == "latest"
        return committed if committed >= 0 else end if from_the_end else low, end

    def close(self) -> None:
        """Leave; a static member keeps its partitions until its session ends."""
        self._consumer.close()

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return message.partition() in self._assigned
        if error.fatal() or error.code() in _STOPPING:
            raise StoppedError(error.str())
        _log.warning("kafka: %s", error.str())
        return False

    def _on_assign(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        came = [p.partition for p in partitions]
        self._assigned.update(came)
        self._began.update(self._committed(partitions))
        if self._is_cooperative:
            self._consumer.incremental_assign(list(partitions))
        else:
            self._consumer.assign(list(partitions))
        if self._paused:
            self._consumer.pause(list(partitions))
        self._listener.assigned(came)

    def _on_revoke(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        going = [p.partition for p in partitions]
        self._listener.revoked(going)
        self._assigned.difference_update(going)

    def _on_lost(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        gone = [p.partition for p in partitions]
        self._assigned.difference_update(gone)
        self._listener.lost(gone)

    def _ask_ends(self) -> Mapping[int, int] | None:
        """The end of each partition, asked of the brokers; None if they do not say."""
        asked = [TopicPartition(self._settings.topic, p, OFFSET_END) for p in self._assigned]
        if not asked:
            return {}
        try:
            answers = self._consumer.offsets_for_times(asked, _WATERMARK_TIMEOUT_S)
        except KafkaException as error:
            _log.warning("kafka: ends of the partitions are not known: %s", error)
            return None
        if any(answer.error is not None for answer in answers):
            return None
        return {answer.partition: answer.offset for answer in answers}

    def _committed(self, partitions: Sequence[TopicPartition]) -> Mapping[int, int]:
        try:
            answers = self._consumer.committed(list(partitions), METADATA_TIMEOUT_S)
        except KafkaException as error:
            _log.warning("kafka: committed offsets are not known: %s", error)
            return {}
        return {answer.partition: answer.offset for answer in answers}

    def _partitions(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._settings.topic, partition) for partition in partitions]

    def _positions(self, offsets: Mapping[int, int]) -> list[TopicPartition]:
        topic = self._settings.topic
        return [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]


_STOPPING = frozenset(
    {
        ClientError._AUTO_OFFSET_RESET,  # noqa: SLF001  librdkafka's own name
        ClientError._FENCED,  # noqa: SLF001
        ClientError.TOPIC_AUTHORIZATION_FAILED,
        ClientError.GROUP_AUTHORIZATION_FAILED,
        ClientError.FENCED_INSTANCE_ID,
    }
)
"""Errors after which reading on would lose records or can never succeed."""


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


def _incoming(message: Message) -> IncomingRecord:
    _, time_ms = message.timestamp()
    return IncomingRecord(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        time_ms=max(0, time_ms),
        key=_as_bytes(message.key()),
        value=_as_bytes(message.value()) or b"",
        headers=_headers(message),
    )


def _headers(message: Message) -> list[tuple[str, bytes]]:
    headers = message.headers() or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(name, _as_bytes(value) or b"") for name, value in pairs]


def _as_bytes(value: str | bytes | None) -> bytes | None:
    """The client gives bytes, whatever its types say."""
    return value.encode() if isinstance(value, str) else value


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
