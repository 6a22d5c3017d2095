"""Which slot a label set has: rows of numbers in, places in arrays out.

`native/src/slots.rs` is the twin of :class:`PythonSlots`; the contract tests hold the two
together. Bound: an entry for each row that is in use.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from consumer.extension import Implementation, is_native

Slots: TypeAlias = NDArray[np.intp]
Rows: TypeAlias = NDArray[np.uint32]


class SlotIndex(Protocol):
    """Slots of distinct rows (uint32[n, width], contiguous), from 0 up."""

    def __len__(self) -> int:
        """Rows that have a slot."""
        ...

    @property
    def end(self) -> int:
        """The first slot that was never given."""
        ...

    def find(self, rows: Rows) -> Slots:
        """The slot of each row, -1 where it has none (intp[n])."""
        ...

    def make(self, rows: Rows) -> Slots:
        """The slot of each row, a new one if need be; equal rows share one (intp[n]).

        The slot that became free last is given first.
        """
        ...

    def free(self, slots: Slots) -> None:
        """Take ``slots`` (in use, distinct) from their rows."""
        ...

    def rename(self, table: Rows) -> None:
        """Let each slot in use have the row at its place in ``table``; they are distinct."""
        ...


class PythonSlots:
    """A :class:`SlotIndex` without an extension: rows are found by their bytes."""

    def __init__(self, width: int) -> None:
        self._type = f"V{width * np.dtype(np.uint32).itemsize}"
        self._slots: dict[bytes, int] = {}
        self._keys: list[bytes] = []
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def end(self) -> int:
        """The first slot that was never given."""
        return len(self._keys)

    def find(self, rows: Rows) -> Slots:
        """The slot of each row, -1 where it has none (intp[n])."""
        return np.array([self._slots.get(key, -1) for key in self._keys_of(rows)], np.intp)

    def make(self, rows: Rows) -> Slots:
        """The slot of each row, a new one if need be (intp[n])."""
        return np.array([self._slot_for(key) for key in self._keys_of(rows)], np.intp)

    def free(self, slots: Slots) -> None:
        """Take ``slots`` from their rows."""
        for slot in slots.tolist():
            del self._slots[self._keys[slot]]
            self._free.append(slot)

    def rename(self, table: Rows) -> None:
        """Let each slot in use have the row at its place in ``table``."""
        keys = self._keys_of(table)
        used = list(self._slots.values())
        self._slots = {keys[slot]: slot for slot in used}
        self._keys = list(keys[: len(self._keys)])

    def _keys_of(self, rows: Rows) -> list[bytes]:
        keys: list[bytes] = rows.view(self._type).reshape(-1).tolist()
        return keys

    def _slot_for(self, key: bytes) -> int:
        slot = self._slots.get(key)
        if slot is None:
            if self._free:
                slot = self._free.pop()
                self._keys[slot] = key
            else:
                slot = len(self._keys)
                self._keys.append(key)
            self._slots[key] = slot
        return slot


class NativeSlots:
    """A :class:`SlotIndex` in Rust; what it returns can be written to."""

    def __init__(self, width: int) -> None:
        import spanmill_native  # noqa: PLC0415  may not be built

        self._index = spanmill_native.SlotIndex(width)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def end(self) -> int:
        """The first slot that was never given."""
        return self._index.end

    def find(self, rows: Rows) -> Slots:
        """The slot of each row, -1 where it has none (intp[n])."""
        return np.frombuffer(self._index.find(rows), np.intp).copy()

    def make(self, rows: Rows) -> Slots:
        """The slot of each row, a new one if need be (intp[n])."""
        return np.frombuffer(self._index.make(rows), np.intp).copy()

    def free(self, slots: Slots) -> None:
        """Take ``slots`` from their rows."""
        self._index.free(slots)

    def rename(self, table: Rows) -> None:
        """Let each slot in use have the row at its place in ``table``."""
        self._index.rename(table)


def open_slots(width: int, implementation: Implementation = "auto") -> SlotIndex:
    """Slots for rows of ``width`` numbers, the fastest there are."""
    return NativeSlots(width) if is_native(implementation) else PythonSlots(width)
