"""The series of one schema as arrays: a slot for each label set of each tenant."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from processors.delta import DeltaFrame, Instrument, Schema
from processors.strings import KeptStrings

_FIRST_ROOM = 64
_Any = TypeVar("_Any", bound=np.generic)


class Life(IntEnum):
    """Where a family of a slot stands."""

    ABSENT = 0
    NEWBORN = 1
    """Observed, but no sample of it was collected yet."""
    LIVE = 2


class SeriesTable:
    """Cumulative values by slot.

    ``rows`` is uint32[room, 1 + k]: the tenant, then the label codes into ``strings``.
    ``values`` holds float64[room, width] for each family (see
    :class:`processors.delta.DeltaFrame`), ``life`` a :class:`Life` for each family
    (int8[room, families]), ``updated_ms`` when a delta last came (int64[room]).
    ``label_names`` are what the labels are called outside.
    """

    def __init__(self, schema: Schema, strings: KeptStrings, tenants: KeptStrings) -> None:
        self.schema = schema
        self.label_names = schema.label_names
        self._strings = strings
        self._tenants = tenants
        self._slots: dict[bytes, int] = {}
        self._free: list[int] = []
        self._end = 0
        self.rows = np.zeros((0, 1 + len(schema.label_names)), np.uint32)
        self.values = [np.zeros((0, family.width)) for family in schema.families]
        self.life = np.zeros((0, len(schema.families)), np.int8)
        self.updated_ms = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._slots)

    def fold(self, frame: DeltaFrame, time_ms: int) -> None:
        """Add the deltas of ``frame``, whose schema is ours, as of ``time_ms``."""
        tenant_codes = np.array([self._tenants.code(name) for name in frame.tenants], np.uint32)
        labels = self._strings.keep(frame.strings, frame.labels)
        rows = np.column_stack([tenant_codes[frame.tenant], labels])
        slots = self._slots_of(np.ascontiguousarray(rows, np.uint32))
        is_distinct = len(np.unique(slots)) == len(slots)
        for index, family in enumerate(self.schema.families):
            if family.instrument is Instrument.GAUGE:
                self.values[index][slots] = frame.values[index]
            elif is_distinct:
                self.values[index][slots] += frame.values[index]
            else:
                np.add.at(self.values[index], slots, frame.values[index])
            present = frame.present[index]
            observed = slots if present is None else slots[present]
            self.life[observed, index] = np.maximum(self.life[observed, index], Life.NEWBORN)
        self.updated_ms[slots] = time_ms

    def occupied(self) -> NDArray[np.intp]:
        """The slots in use, ordered by tenant."""
        slots = np.flatnonzero(self.life.any(axis=1))
        return slots[np.argsort(self.rows[slots, 0], kind="stable")]

    def series(self, life: Life | None = None) -> NDArray[np.int64]:
        """Series of each slot (int64[room]): those in state ``life``, or all there are."""
        each = [series_of_family(family.width) for family in self.schema.families]
        counted = self.life != Life.ABSENT if life is None else self.life == life
        return np.asarray(counted @ np.array(each, np.int64))

    def remove(self, slots: NDArray[np.intp]) -> None:
        """Forget the label sets in ``slots``."""
        for slot in slots.tolist():
            del self._slots[self.rows[slot].tobytes()]
            self._free.append(slot)
        self.life[slots] = Life.ABSENT
        for values in self.values:
            values[slots] = 0.0

    def rename(self, renamed: NDArray[np.uint32]) -> None:
        """Follow new codes of the strings (uint32[old code])."""
        self.rows[:, 1:] = renamed[self.rows[:, 1:]]
        used = [(slot, self.rows[slot].tobytes()) for slot in self._slots.values()]
        self._slots = {key: slot for slot, key in used}

    def _slots_of(self, rows: NDArray[np.uint32]) -> NDArray[np.intp]:
        width = rows.shape[1] * rows.itemsize
        keys: Sequence[bytes] = rows.view(f"V{width}").reshape(-1).tolist()
        slots = [self._slots.get(key, -1) for key in keys]
        for index, slot in enumerate(slots):
            if slot < 0:
                slots[index] = self._slot_for(keys[index], rows[index])
        return np.array(slots, np.intp)

    def _slot_for(self, key: bytes, row: NDArray[np.uint32]) -> int:
        """The slot of ``key``: in a frame with equal rows the first one made it."""
        known = self._slots.get(key)
        if known is not None:
            return known
        if self._free:
            slot = self._free.pop()
        else:
            slot, self._end = self._end, self._end + 1
            if slot >= len(self.rows):
                self._grow()
        self._slots[key] = slot
        self.rows[slot] = row
        return slot

    def _grow(self) -> None:
        room = max(_FIRST_ROOM, 2 * len(self.rows))
        self.rows = _grown(self.rows, room)
        self.values = [_grown(values, room) for values in self.values]
        self.life = _grown(self.life, room)
        self.updated_ms = _grown(self.updated_ms, room)


def series_of_family(width: int) -> int:
    """Series of a label set: 1, or for a histogram its buckets, the sum and the count."""
    return 1 if width == 1 else width + 1


def _grown(array: NDArray[_Any], room: int) -> NDArray[_Any]:
    grown = np.zeros((room, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
