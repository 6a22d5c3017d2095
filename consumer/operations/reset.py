"""``spanmill reset``: let the consumer group go on somewhere else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from consumer.config.model import Config
from consumer.errors import InputError
from consumer.kafka.admin import GroupState, Place
from consumer.text_table import table

_HEAD = ("PARTITION", "COMMITTED", "NEW", "END", "RECORDS")

_ENDS: Mapping[str, Place] = {"earliest": "earliest", "latest": "latest"}

Echo = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Offset:
    """The same offset in each partition that is asked for."""

    number: int


@dataclass(frozen=True, slots=True)
class Wish:
    """Where to go on, in which partitions; none named means all."""

    place: Place | Offset
    partitions: Collection[int] = ()


class GroupAdmin(Protocol):
    """What a reset needs of a cluster; :class:`consumer.kafka.admin.Admin` gives it."""

    def group(self, group: str) -> GroupState:
        """The state of a group and its members."""
        ...

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """The committed offsets; a partition without is left out."""
        ...

    def offsets(self, topic: str, place: Place) -> Mapping[int, int]:
        """The offset of a place in each partition."""
        ...

    def set_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Let the group go on there."""
        ...


def parse_place(text: str) -> Place | Offset:
    """``earliest``, ``latest``, a number or a time. Raises :class:`InputError`.

    A time without a zone is UTC.
    """
    if text in _ENDS:
        return _ENDS[text]
    if text.isdecimal():
        return Offset(int(text))
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        found = f"--to: found {text!r}, expected earliest, latest, an offset, "
        raise InputError(found + "or a time such as 2026-01-31T08:00:00Z") from None
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1_000)


def run_reset(config: Config, admin: GroupAdmin, wish: Wish, *, is_sure: bool, echo: Echo) -> int:
    """Show where the group stands and would go on, and let it if ``is_sure``; the exit code.

    Raises :class:`InputError` for offsets and partitions that there are not.
    """
    group, topic = config.kafka.group_id, config.kafka.topic
    found = admin.group(group)
    if found.members:
        echo(f"group {group} is {found.state}; stop its members first:")
        for member in found.members:
            echo(f"  {member}")
        return 2
    begins, ends = admin.offsets(topic, "earliest"), admin.offsets(topic, "latest")
    absent = sorted(set(wish.partitions) - ends.keys())
    if absent:
        raise InputError(f"--partition: {topic} has no partition {absent[0]}")
    wanted = _wanted(admin, topic, wish.place, ends)
    offsets = {p: wanted[p] for p in sorted(wish.partitions or ends)}
    for partition, offset in offsets.items():
        if not begins[partition] <= offset <= ends[partition]:
            bounds = f"{begins[partition]} to {ends[partition]}"
            raise InputError(f"--to: partition {partition} of {topic} has offsets {bounds}")
    committed = admin.committed(group, topic)
    echo(f"group {group}, topic {topic}")
    echo(table(_HEAD, _rows(offsets, committed, begins, ends)).rstrip())
    if config.processing_guarantee == "exactly_once":
        echo("what is read again counts again, and what is left out is missing, in the same series")
    if not is_sure:
        echo("nothing was changed; do it with --yes")
        return 0
    admin.set_offsets(group, topic, offsets)
    echo("done")
    return 0


def _wanted(
    admin: GroupAdmin, topic: str, place: Place | Offset, ends: Mapping[int, int]
) -> Mapping[int, int]:
    if isinstance(place, Offset):
        return dict.fromkeys(ends, place.number)
    return admin.offsets(topic, place)


def _rows(
    offsets: Mapping[int, int],
    committed: Mapping[int, int],
    begins: Mapping[int, int],
    ends: Mapping[int, int],
) -> Sequence[Sequence[object]]:
    """A row a partition, with the records that would be read again or left out."""
    rows = []
    for partition, offset in offsets.items():
        before = committed.get(partition)
        step = offset - (begins[partition] if before is None else before)
        word = f"{-step} again" if step < 0 else f"{step} left out" if step else "none"
        rows.append((partition, before, offset, ends[partition], word))
    return rows
