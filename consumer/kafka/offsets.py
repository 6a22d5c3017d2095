"""Offsets in their three states. An offset always means the next record to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Offsets:
    """How far each partition is.

    *Working*: the records before it are folded into the registry. *Staged*: a tick that
    covers them is on its way (kept by the flusher). *Committed*: the group knows it.
    """

    def __init__(self) -> None:
        self._working: dict[int, int] = {}
        self._committed: dict[int, int] = {}

    def advance(self, partition: int, next_offset: int) -> None:
        """The records of ``partition`` before ``next_offset`` are folded."""
        self._working[partition] = next_offset

    def working(self) -> Mapping[int, int]:
        """What a tick collected now covers."""
        return dict(self._working)

    def position(self, partition: int, first: int) -> int:
        """The next record of ``partition``, or ``first`` when none was read yet."""
        return self._working.get(partition, first)

    def uncommitted(
        self, delivered: Mapping[int, int], *, again: bool = False
    ) -> Mapping[int, int]:
        """The part of ``delivered`` that is ours and that the group does not know yet.

        ``again``: also what it knows already, but nothing before that.
        """
        return {
            partition: offset
            for partition, offset in delivered.items()
            if partition in self._working and offset + again > self._committed.get(partition, -1)
        }

    def commit(self, offsets: Mapping[int, int]) -> None:
        """The group knows ``offsets``."""
        self._committed.update(offsets)

    def committed(self, partition: int) -> int | None:
        """What this worker committed for ``partition``, if anything."""
        return self._committed.get(partition)

    def forget(self, partitions: Iterable[int]) -> None:
        """These partitions are not ours any more."""
        for partition in partitions:
            self._working.pop(partition, None)
            self._committed.pop(partition, None)
