"""Small texts in Kafka: how far lanes are, and what is kept beside their offsets.

That is where a lane goes on (exactly_once), or the last tick of its worker (at_least_once).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from consumer.seam.columns import FormatError
from consumer.ticks.lane import Resumption

VERSION = 1
MOST_NOTE_BYTES = 4_000
"""Brokers refuse more than 4 KiB (``offset.metadata.max.bytes``)."""


def write_note(resumption: Resumption) -> str:
    """What is kept beside the offset. Of too many steps the oldest are left out."""
    steps = [
        [offset - resumption.from_offset, time_ms - resumption.from_ms]
        for offset, time_ms in sorted(resumption.steps.items())
        if offset >= resumption.from_offset
    ]
    while True:
        note = orjson.dumps(
            {
                "v": VERSION,
                "from": resumption.from_offset,
                "from_ms": resumption.from_ms,
                "clock_ms": resumption.clock_ms,
                "steps": steps,
            }
        )
        if len(note) <= MOST_NOTE_BYTES:
            return note.decode()
        del steps[: max(1, len(steps) // 4)]


def read_note(offset: int, note: str) -> Resumption | None:
    """Where to go on from ``offset``; ``None`` when no lane wrote this. Raises FormatError."""
    if not note:
        return None
    try:
        found = orjson.loads(note)
        version = found["v"]
        if version != VERSION:
            raise FormatError(f"the note beside a committed offset has version {version}")
        first, first_ms = int(found["from"]), int(found["from_ms"])
        return Resumption(
            next_offset=offset,
            from_offset=min(first, offset),
            from_ms=first_ms,
            clock_ms=int(found["clock_ms"]),
            steps={first + at: first_ms + ms for at, ms in found["steps"]},
        )
    except (ValueError, KeyError, TypeError):
        return None


def write_told(told_ms: int) -> str:
    """What is kept beside the offset where nothing is read again: the time of the last tick."""
    return orjson.dumps({"v": VERSION, "told_ms": told_ms}).decode()


def read_told(note: str) -> int:
    """The time of the last tick that ``note`` tells; 0 when it tells none."""
    try:
        return int(orjson.loads(note)["told_ms"])
    except (ValueError, KeyError, TypeError):
        return 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far lanes are: all their deltas before ``clocks`` (lane -> ms) stand further up.

    ``lanes`` is how many there are in all workers together.
    """

    lanes: int
    clocks: Mapping[int, int]


def write_progress(progress: Progress) -> bytes:
    """``progress`` as the value of a record."""
    clocks = {str(lane): clock_ms for lane, clock_ms in sorted(progress.clocks.items())}
    return orjson.dumps({"v": VERSION, "lanes": progress.lanes, "clocks": clocks})


def read_progress(value: bytes) -> Progress:
    """What :func:`write_progress` was given. Raises :class:`FormatError`."""
    try:
        found = orjson.loads(value)
        if found["v"] != VERSION:
            raise FormatError(f"progress of version {found['v']}, expected {VERSION}")
        return Progress(
            lanes=int(found["lanes"]),
            clocks={int(lane): int(clock_ms) for lane, clock_ms in found["clocks"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"not the progress of lanes: {error!r}") from error
