"""Records that cannot be decoded, on their way to the dead-letter topic.

Bound: while :data:`MAX_UNCONFIRMED` records or more wait for the broker to confirm them,
the worker must not read on; there can be one batch more than that.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from consumer.kafka.client import Answered, Fate, OutgoingRecord

MAX_UNCONFIRMED = 1_000

_log = logging.getLogger(__name__)


class Writer(Protocol):
    """Where records go; :class:`consumer.kafka.client.RecordWriter` is one."""

    def write(self, record: OutgoingRecord, answered: Answered) -> None:
        """Queue ``record``; ``answered`` is called once, in ``flush`` at the latest."""
        ...

    def flush(self, timeout_s: float) -> Sequence[str]:
        """Wait for all answers; the reasons of what failed."""
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

    A record may be written twice. One that the broker refuses for good is given up and
    counted. Without a topic nothing is kept.
    """

    def __init__(self, topic: str, writer: Writer | None, version: str) -> None:
        assert not topic or writer is not None
        self._topic = topic
        self._writer = writer
        self._version = version
        self._unconfirmed: dict[int, OutgoingRecord] = {}
        self._last_number = 0
        self._answers: Counter[Fate] = Counter()

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
        self._last_number += 1
        self._unconfirmed[self._last_number] = record
        self._writer.write(record, partial(self._answered, self._last_number))

    def confirm(self, timeout_s: float) -> bool:
        """Whether the broker has taken all there are; those it has not are sent again."""
        if self._writer is None or not self._unconfirmed:
            return True
        failures = self._writer.flush(timeout_s)
        if failures:
            _log.warning("dead letters failed: %d, the first: %s", len(failures), failures[0])
        for number, record in list(self._unconfirmed.items()):
            self._writer.write(record, partial(self._answered, number))
        return not self._unconfirmed

    def answers(self) -> Mapping[Fate, int]:
        """How many writes came to which end since the last call."""
        answers, self._answers = self._answers, Counter()
        return answers

    def _answered(self, number: int, fate: Fate) -> None:
        self._answers[fate] += 1
        if fate is not Fate.FAILED:
            self._unconfirmed.pop(number, None)


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
