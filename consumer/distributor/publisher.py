"""Writes the records of many requests through one writer, and tells each what became of its own.

One thread owns the writer: it takes whatever requests wait, writes them all and flushes
once (a group commit). Bound: ``MAX_WAITING`` requests; one more is refused at once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from consumer.errors import SpanmillError
from consumer.kafka.client import OutgoingRecord

MAX_WAITING = 64
FLUSH_TIMEOUT_S = 10.0
RECORD_TIMEOUT_MS = 8_000
"""For librdkafka's ``message.timeout.ms``: below the flush timeout, so that every record
has its answer in the flush of its own group and none spoils the next."""


class Writer(Protocol):
    """The part of :class:`consumer.kafka.client.RecordWriter` that the publisher uses."""

    def write(self, record: OutgoingRecord) -> None:
        """Queue ``record``."""
        ...

    def flush(self, timeout_s: float) -> Sequence[str]:
        """Wait for the answers; the errors of the records that failed."""
        ...


class OverloadedError(SpanmillError):
    """Too many requests wait for Kafka; come again later."""


class NotWrittenError(SpanmillError):
    """Kafka did not acknowledge a record; the request may be sent again."""


@dataclass(frozen=True, slots=True)
class _Submission:
    records: Sequence[OutgoingRecord]
    outcome: Future[None] = field(default_factory=Future)


class Publisher:
    """Accepts records from any thread; :meth:`close` ends its own."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._waiting: queue.Queue[_Submission | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def publish(self, records: Sequence[OutgoingRecord]) -> Future[None]:
        """Queue ``records``; the future ends when all are acknowledged, or with NotWrittenError.

        Never waits. Raises :class:`OverloadedError` when too many requests do.
        """
        submission = _Submission(records)
        try:
            self._waiting.put_nowait(submission)
        except queue.Full:
            raise OverloadedError(f"{MAX_WAITING} requests wait for Kafka already") from None
        return submission.outcome

    def close(self) -> None:
        """Write what waits, then end. Call it once, when nobody publishes any more."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            self._write_group(group)

    def _next_group(self) -> list[_Submission] | None:
        """Everything that waits, at least one submission; None at the end."""
        first = self._waiting.get()
        if first is None:
            return None
        group = [first]
        while len(group) < MAX_WAITING:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._waiting.put(None)
                break
            group.append(following)
        return group

    def _write_group(self, group: Sequence[_Submission]) -> None:
        """Write a group that shares one fate: the writer does not say which record failed."""
        wanted = [one for one in group if one.outcome.set_running_or_notify_cancel()]
        for submission in wanted:
            for record in submission.records:
                self._writer.write(record)
        failures = self._writer.flush(FLUSH_TIMEOUT_S)
        for submission in wanted:
            if failures:
                submission.outcome.set_exception(NotWrittenError(failures[0]))
            else:
                submission.outcome.set_result(None)
