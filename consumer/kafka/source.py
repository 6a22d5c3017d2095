"""One member of a consumer group on one topic: its partitions, their records and their ends."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import (
    OFFSET_END,
    OFFSET_INVALID,
    OFFSET_STORED,
    Consumer,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka import KafkaError as ClientError

from consumer.kafka.client import METADATA_TIMEOUT_S, IncomingRecord, KafkaError, StoppedError
from consumer.telemetry.logs import CLIENT_LOG

_WATERMARK_TIMEOUT_S = 1.0
_ATTEMPTS = 12
"""To learn of committed offsets: 2 minutes, more than any transaction may stay open."""

_STRATEGY, _COOPERATIVE = "partition.assignment.strategy", "cooperative-sticky"

_log = logging.getLogger(__name__)
_client_log = logging.getLogger(CLIENT_LOG)


@dataclass(frozen=True, slots=True)
class Committed:
    """What a group keeps of a partition: the next offset, and what its member noted beside."""

    offset: int
    note: str = ""


class AssignmentListener(Protocol):
    """Told of the group's decisions, from inside :meth:`SpanSource.poll` and ``close``."""

    def assigned(self, committed: Mapping[int, Committed]) -> Mapping[int, int]:
        """These partitions came, or have to be read again; their records follow.

        With what the group keeps of each: offset -1 for nothing. Returns where to begin,
        for partitions that shall not begin at the committed offset.
        """
        ...

    def revoked(self, partitions: Sequence[int]) -> None:
        """These partitions go when this returns; offsets can still be committed. May block."""
        ...

    def lost(self, partitions: Sequence[int]) -> None:
        """These partitions are gone already; nothing can be committed."""
        ...


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """``properties`` are librdkafka's, the group id and brokers among them.

    With ``needs_committed`` nothing is read before the group has told what it keeps; a
    transaction that a dead worker left open may take its whole timeout.
    """

    topic: str
    properties: Mapping[str, str]
    max_batch_records: int = 10_000
    max_batch_bytes: int = 16 << 20
    needs_committed: bool = False


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
        self._next: dict[int, int] = {}
        self._reached: dict[int, int] = {}
        """Up to where all that can be read was read, transaction markers and all."""
        self._held: frozenset[int] = frozenset()
        self._paused = False
        self._ends_asked: Mapping[int, int] | None = {}
        self._record_bytes = 1_000.0
        try:
            properties = {
                **settings.properties,
                "enable.auto.commit": "false",
                "enable.partition.eof": "true",
            }
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
        records = [incoming(message) for message in messages if self._is_record(message)]
        for record in records:
            self._next[record.partition] = record.offset + 1
        if records:
            mean = sum(len(record.value) for record in records) / len(records)
            self._record_bytes = max(1.0, 0.5 * self._record_bytes + 0.5 * mean)
        return records

    def commit(self, offsets: Mapping[int, int], note: str = "") -> None:
        """Commit the next offset of each partition, with ``note``. Raises :class:`KafkaError`."""
        if not offsets:
            return
        try:
            answers = self._consumer.commit(
                offsets=self._positions(offsets, note), asynchronous=False
            )
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
        self._consumer.resume(self._partitions(self._assigned - self._held))
        self._ends_asked = None

    def hold(self, partitions: Collection[int]) -> None:
        """Fetch nothing of these partitions, until another call leaves them out."""
        before, self._held = self._held, frozenset(partitions) & self._assigned
        if self._paused:
            return
        self._consumer.pause(self._partitions(self._held - before))
        released = (before - self._held) & self._assigned
        if released:
            self._consumer.resume(self._partitions(released))
            self._ends_asked = None

    def ask_ends(self) -> bool:
        """Ask the brokers for the ends, for :meth:`end_offsets`; False if they do not say."""
        asked = self._ask_ends()
        if asked is not None:
            self._ends_asked = asked
        return asked is not None

    def end_offsets(self, partition: int) -> tuple[int, int] | None:
        """(the offset that reading began at, the one after the last record) of ``partition``.

        As of the last fetch, or of the last :meth:`ask_ends`. None as long as nothing was
        fetched, and after a pause until the brokers were asked: what was fetched before it
        is old.
        """
        if self._ends_asked is None or partition in self._held:
            return None
        position = TopicPartition(self._settings.topic, partition)
        low, end = self._consumer.get_watermark_offsets(position, _WATERMARK_TIMEOUT_S, cached=True)
        if end < 0:
            return None
        end = max(end, self._ends_asked.get(partition, 0))
        from_the_end = self._settings.properties.get("auto.offset.reset") == "latest"
        began = self._began.get(partition, OFFSET_INVALID)
        first = began if began >= 0 else end if from_the_end else low
        if self._reached.get(partition, 0) >= end:
            return first, self._next.get(partition, first)
        return first, end

    def unread(self) -> int:
        """Records that can be read at once, as far as the last fetches told; a lower bound.

        Offsets that hold no record, such as those of transactions, count like records.
        """
        if self._paused:
            return 0
        ends = ((p, self.end_offsets(p)) for p in self._assigned)
        known = ((self._next.get(p, each[0]), each[1]) for p, each in ends if each is not None)
        return sum(max(0, end - following) for following, end in known)

    def begin_again(self) -> None:
        """Read on from what the group keeps; the listener is told as if partitions had come."""
        partitions = self._partitions(self._assigned)
        self._held = frozenset()
        self._consumer.incremental_unassign(partitions)
        self._begin(partitions)

    def membership(self) -> Any:  # noqa: ANN401  librdkafka's own, opaque
        """What proves to a transaction that this member still owns its partitions."""
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        """Leave; a static member keeps its partitions until its session ends."""
        self._consumer.close()

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return message.partition() in self._assigned
        if error.code() == ClientError._PARTITION_EOF:  # noqa: SLF001  librdkafka's own name
            self._reached[message.partition() or 0] = message.offset() or 0
            return False
        if error.fatal() or error.code() in _STOPPING:
            raise StoppedError(error.str())
        _log.warning("kafka: %s", error.str())
        return False

    def _on_assign(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._assigned.update(p.partition for p in partitions)
        self._begin(partitions)

    def _begin(self, partitions: Sequence[TopicPartition]) -> None:
        committed = self._committed(partitions)
        starts = {p: at.offset for p, at in committed.items() if at.offset >= 0}
        starts |= self._listener.assigned(committed)
        for partition in committed:
            self._next.pop(partition, None)
            self._reached.pop(partition, None)
        self._began.update(starts)
        topic = self._settings.topic
        places = [
            TopicPartition(topic, p.partition, starts.get(p.partition, OFFSET_STORED))
            for p in partitions
        ]
        if self._is_cooperative:
            self._consumer.incremental_assign(places)
        else:
            self._consumer.assign(places)
        # The client keeps what was paused of a partition that went and comes again.
        if self._paused:
            self._consumer.pause(places)
        else:
            self._consumer.resume(places)

    def _on_revoke(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        going = [p.partition for p in partitions]
        self._listener.revoked(going)
        self._assigned.difference_update(going)
        self._held -= set(going)

    def _on_lost(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        gone = [p.partition for p in partitions]
        self._assigned.difference_update(gone)
        self._held -= set(gone)
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

    def _committed(self, partitions: Sequence[TopicPartition]) -> Mapping[int, Committed]:
        """What the group keeps of ``partitions``; nothing where it does not say."""
        if not partitions:
            return {}
        for attempt in range(_ATTEMPTS if self._settings.needs_committed else 1):
            try:
                answers = self._consumer.committed(list(partitions), METADATA_TIMEOUT_S)
            except KafkaException as error:
                _log.warning("kafka: committed offsets are not known: %s", error)
            else:
                if all(answer.error is None for answer in answers):
                    return {a.partition: Committed(a.offset, a.metadata or "") for a in answers}
                _log.warning("kafka: committed offsets are not known yet (attempt %d)", attempt + 1)
        if self._settings.needs_committed:
            raise StoppedError("the group does not tell its committed offsets")
        return {p.partition: Committed(OFFSET_INVALID) for p in partitions}

    def _partitions(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._settings.topic, partition) for partition in partitions]

    def _positions(self, offsets: Mapping[int, int], note: str) -> list[TopicPartition]:
        topic = self._settings.topic
        return [TopicPartition(topic, lane, at, note) for lane, at in offsets.items()]


_STOPPING = frozenset(
    {
        ClientError._AUTO_OFFSET_RESET,  # noqa: SLF001  librdkafka's own name
        ClientError._FENCED,  # noqa: SLF001
        ClientError._FATAL,  # noqa: SLF001
        ClientError.TOPIC_AUTHORIZATION_FAILED,
        ClientError.GROUP_AUTHORIZATION_FAILED,
        ClientError.FENCED_INSTANCE_ID,
    }
)
"""Errors after which reading on would lose records or can never succeed."""


def incoming(message: Message) -> IncomingRecord:
    """A record as the client gives it, in our terms."""
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
