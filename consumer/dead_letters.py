"""Records that cannot be decoded, on their way to the dead-letter topic.

Bound: :data:`MAX_UNCONFIRMED` records are kept until the broker has confirmed them; while
there are that many, the worker must not read on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from consumer.kafka import OutgoingRecord

MAX_UNCONFIRMED = 1_000

_log = logging.getLogger(__name__)


class Writer(Protocol):
    """Where records go; :class:`consumer.kafka.RecordWriter` is one."""

    def write(self, record: OutgoingRecord) -> None:
        """Queue ``record``."""
        ...

    def flush(self, timeout_s: float) -> object:
        """Wait for all answers; what failed, if anything."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record was read."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class DeadLetters:
    """Writes bad records with the reason, and again until they are confirmed.

    A record may be written twice, never not at all. Without a topic nothing is kept.
    """

    def __init__(self, topic: str, writer: Writer | None, version: str) -> None:
        assert not topic or writer is not None
        self._topic = topic
        self._writer = writer
        self._version = version
        self._unconfirmed: list[OutgoingRecord] = []

    @property
    def is_full(self) -> bool:
        """Whether reading on would need more memory than there is room for."""
        return len(self._unconfirmed) >= MAX_UNCONFIRMED

    def add(self, value: bytes, origin: Origin, reason: str, text: str) -> None:
        """Send ``value``, which could not be decoded for ``reason``."""
        if self._writer is None:
            return
        record = OutgoingRecord(
            topic=self._topic,
            value=value,
            key=origin.key,
            headers=[
                *origin.headers,
                *_headers(origin, reason, text).items(),
                ("spanmill.version", self._version.encode()),
            ],
        )
        self._unconfirmed.append(record)
        self._writer.write(record)

    def confirm(self, timeout_s: float) -> bool:
        """Whether the broker has taken all there are; those it has not are sent again."""
        if self._writer is None or not self._unconfirmed:
            return True
        failures = self._writer.flush(timeout_s)
        if not failures:
            self._unconfirmed.clear()
            return True
        _log.warning("dead letters are not confirmed and will be sent again: %s", failures)
        for record in self._unconfirmed:
            self._writer.write(record)
        return False


def _headers(origin: Origin, reason: str, text: str) -> Mapping[str, bytes]:
    """What an operator needs to find the record and mend its sender."""
    return {
        "spanmill.origin.topic": origin.topic.encode(),
        "spanmill.origin.partition": str(origin.partition).encode(),
        "spanmill.origin.offset": str(origin.offset).encode(),
        "spanmill.origin.timestamp": str(origin.time_ms).encode(),
        "spanmill.error.class": reason.encode(),
        "spanmill.error.text": text.encode("utf-8", "backslashreplace")[:1_024],
    }
