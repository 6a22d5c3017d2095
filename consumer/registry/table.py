"""The series of one set of label names as arrays: a slot for each label set of a tenant.

Metric families are columns of the table, whatever frames they come in: a family goes on
counting when others come or go. Families of one name and instrument with other bounds are
*rivals*: a label set tells one of them at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from consumer.registry.adding import add_rows
from consumer.registry.slots import Rows, Slots, open_slots
from consumer.registry.sparse import CellStore, ExemplarStore
from processors.batch import ABSENT
from processors.delta import DeltaFrame, Family, Instrument
from processors.grouping import distinct

_FIRST_ROOM = 64
_Any = TypeVar("_Any", bound=np.generic)

Flags = NDArray[np.bool_]

_NOBODY = np.zeros(0, np.intp)


class Life(IntEnum):
    """Where a family of a slot stands; from HELD on it is alive, from NEWBORN on it is told."""

    ABSENT = 0
    ENDED = 1
    """A rival took its place: what the rival does not tell gets a stale marker."""
    HELD = 2
    """Observed, but told only after the rival told its last."""
    NEWBORN = 3
    """Observed, but no sample of it was collected yet."""
    LIVE = 4


class SeriesTable:
    """Cumulative values by slot.

    ``rows`` is uint32[room, 1 + k]: the tenant, then the codes of the labels.
    ``families`` are the columns: ``values`` holds float64[room, width] for each (see
    :class:`processors.delta.DeltaFrame`), ``life`` (int8[room, families]) a :class:`Life`,
    ``updated_ms`` (int64[room, families]) when a frame with it last had the label set,
    ``began_ms`` (int64[room, families]) since when it counts, once it is told.
    ``sizes`` (int64[families]) is the number of series of each. ``hashes`` (uint64[room])
    are the caller's. ``label_names`` are what the labels are called outside. ``cells`` and
    ``exemplars`` are by column, of those that have any.
    """

    def __init__(self, label_names: Sequence[str]) -> None:
        self.label_names = tuple(label_names)
        self.families: list[Family] = []
        self.names: set[str] = set()
        """Those of the families."""
        self.sizes = np.zeros(0, np.int64)
        self.rows = np.zeros((0, 1 + len(label_names)), np.uint32)
        self.values: list[NDArray[np.float64]] = []
        self.life = np.zeros((0, 0), np.int8)
        self.updated_ms = np.zeros((0, 0), np.int64)
        self.began_ms = np.zeros((0, 0), np.int64)
        self.hashes = np.zeros(0, np.uint64)
        self.cells: dict[int, CellStore] = {}
        self.exemplars: dict[int, ExemplarStore] = {}
        self.rivals: list[list[int]] = []
        """The columns of each name that has several."""
        self._columns: dict[Hashable, int] = {}
        self._slots = open_slots(1 + len(label_names))
        self._had = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self._slots)

    def columns(self, families: Sequence[Family]) -> Slots:
        """The columns of ``families`` (intp[families]); new ones are added."""
        return np.array([self._column(family) for family in families], np.intp)

    def find(self, rows: Rows) -> Slots:
        """The slot of each of ``rows`` (uint32[g, 1 + k], contiguous), -1 for none (intp[g])."""
        return self._slots.find(rows)

    def make(self, rows: Rows) -> Slots:
        """The slots of ``rows``, new ones where they have none (intp[g]); equal rows share one."""
        slots = self._slots.make(rows)
        while self._slots.end > len(self.rows):
            self._grow()
        self.rows[slots] = rows
        return slots

    def add(
        self, slots: Slots, columns: Slots, frame: DeltaFrame, fed: Flags | None, time_ms: int
    ) -> tuple[Slots, Slots]:
        """Add the deltas of ``frame``; (slot, column) of the series that begin with them.

        ``slots`` (intp[g]) are those of its rows, ``columns`` (intp[f]) those of its
        families; ``fed`` (bool[g, f]) says what to take of it, ``None`` everything.
        """
        for index, column in enumerate(columns.tolist()):
            values = self.values[column]
            place = slots if fed is None else np.where(fed[:, index], slots, -1)
            if frame.schema.families[index].instrument is Instrument.GAUGE:
                mask = slice(None) if fed is None else fed[:, index]
                values[slots[mask]] = frame.values[index][mask]
            else:
                add_rows(values, place, frame.values[index])
            self._attach(index, column, frame, place)
            self.updated_ms[:, column][slots] = time_ms
        return self._begin(slots, columns, fed)

    def states(self, slots: Slots, columns: Slots) -> NDArray[np.int8]:
        """The :class:`Life` of each family in each slot, ABSENT for slot -1 (int8[g, f])."""
        if not len(self.life):
            return np.zeros((len(slots), len(columns)), np.int8)
        states = self._states(slots, columns)
        states[slots < 0] = Life.ABSENT
        return states

    def has_rival(self, slots: Slots, columns: Slots) -> Flags:
        """Where a rival of the family is alive in the slot (bool[g, f]); not in slot -1."""
        found = np.zeros((len(slots), len(columns)), np.bool_)
        for rivals in self.rivals:
            is_alive = self.states(slots, np.array(rivals)) >= Life.HELD
            found[:, np.isin(columns, rivals)] |= is_alive.any(axis=1, keepdims=True)
        return found

    def find_other(self, label_names: Sequence[str], rows: Rows) -> tuple[Slots, Slots]:
        """Which of ``rows`` are here under our label names, and their slots.

        ``rows`` (uint32[g, 1 + k]) are label sets under ``label_names``.
        """
        place = {name: column for column, name in enumerate(label_names, 1)}
        is_ours = np.ones(len(rows), np.bool_)
        for name in place.keys() - set(self.label_names):
            is_ours &= rows[:, place[name]] == ABSENT
        ours = np.zeros((len(rows), self.rows.shape[1]), np.uint32)
        ours[:, 0] = rows[:, 0]
        for column, name in enumerate(self.label_names, 1):
            if name in place:
                ours[:, column] = rows[:, place[name]]
        slots = np.where(is_ours, self.find(ours), -1)
        found = np.flatnonzero(slots >= 0)
        return found, slots[found]

    def move(self, slots: Slots, other: SeriesTable, others: Slots) -> None:
        """Let what is in ``slots`` go on in the slots ``others`` of another table."""
        columns = other.columns(self.families)
        for column, of_other in enumerate(columns.tolist()):
            other.values[of_other][others] = self.values[column][slots]
        other.life[others[:, np.newaxis], columns] = self.life[slots]
        other.updated_ms[others[:, np.newaxis], columns] = self.updated_ms[slots]
        other.began_ms[others[:, np.newaxis], columns] = self.began_ms[slots]
        other.hashes[others] = self.hashes[slots]
        for column, cells in self.cells.items():
            cells.move(slots, other.cells[int(columns[column])], others)
        for column, exemplars in self.exemplars.items():
            exemplars.move(slots, other.exemplars_of(int(columns[column])), others)
        left = distinct(slots)
        gone = np.zeros(self.life.shape, np.bool_)
        gone[left] = True
        self.clear(gone)
        self.sweep(left)

    def is_holding(self, due: Flags) -> bool:
        """Whether a family of the slots that are ``due`` waits for its rival to tell its last."""
        return any((self.life[due][:, columns] == Life.HELD).any() for columns in self.rivals)

    def had(self, tenant: NDArray[np.uint32]) -> Flags:
        """Which of ``tenant`` (uint32[n]) ever had label sets here (bool[n])."""
        known = tenant < len(self._had)
        known[known] = self._had[tenant[known]]
        return known

    def remember(self, tenant: NDArray[np.uint32]) -> None:
        """``tenant`` (uint32[n]) have label sets here."""
        most = int(tenant.max(initial=0)) + 1
        if most > len(self._had):
            self._had = np.append(self._had, np.zeros(2 * most, np.bool_))
        self._had[tenant] = True

    def occupied(self) -> Slots:
        """The slots in use, ordered by tenant."""
        slots = np.flatnonzero(self.life.any(axis=1))
        return slots[np.argsort(self.rows[slots, 0], kind="stable")]

    def outdated(self, before_ms: NDArray[np.int64]) -> Flags:
        """The series that are told and had no delta since ``before_ms`` (int64[tenants]).

        Returns bool[room, families].
        """
        before = before_ms[self.rows[:, 0]][:, np.newaxis]
        return np.asarray((self.life >= Life.NEWBORN) & (self.updated_ms < before))

    def begin(self, slots: Slots, start_ms: int) -> None:
        """Let the newborns in ``slots`` count from ``start_ms``: they are about to be told."""
        row, column = np.nonzero(self.life[slots] == Life.NEWBORN)
        self.began_ms[slots[row], column] = start_ms

    def tenants(self, series: Flags) -> NDArray[np.int64]:
        """Series by tenant, where ``series`` (bool[room, families]) is true (int64[tenants])."""
        if not len(self.rows):
            return np.zeros(0, np.int64)
        counts = np.bincount(self.rows[:, 0], weights=series @ self.sizes)
        return counts.astype(np.int64)

    def clear(self, series: Flags, life: Life = Life.ABSENT) -> None:
        """Take the values of ``series`` (bool[room, families]) and put them into ``life``."""
        self.life[series] = life
        for column in np.flatnonzero(series.any(axis=0)).tolist():
            self.values[column][series[:, column]] = 0.0
            if column in self.cells:
                self.cells[column].clear(series[:, column])
            if column in self.exemplars:
                self.exemplars[column].clear(series[:, column])

    def restart(self, time_ms: int, due: Flags) -> Flags:
        """Let native histograms of reduced resolution begin anew, after they were told.

        Those in slots that are ``due`` (bool[room]) and old enough; returns which
        (bool[room, families]).
        """
        restarted = np.zeros(self.life.shape, np.bool_)
        for column, cells in self.cells.items():
            is_live = due & (self.life[:, column] == Life.LIVE)
            restarted[:, column] = is_live & cells.outgrown(time_ms)
        if restarted.any():
            self.clear(restarted, Life.NEWBORN)
        return restarted

    def exemplars_of(self, column: int) -> ExemplarStore:
        """The exemplars of a column, which has some from now on."""
        return self.exemplars.setdefault(column, ExemplarStore())

    def succeed(self, time_ms: int, due: Flags) -> Flags:
        """Let what is held in slots that are ``due`` (bool[room]) begin.

        Returns the rivals that end for it (bool[room, families]).
        """
        succeeded = np.zeros(self.life.shape, np.bool_)
        for columns in self.rivals:
            is_held = (self.life[:, columns] == Life.HELD) & due[:, np.newaxis]
            slots = np.flatnonzero(is_held.any(axis=1))
            if not len(slots):
                continue
            for column in columns:
                succeeded[slots, column] = self.life[slots, column] >= Life.NEWBORN
            heirs = np.array(columns, np.intp)[is_held[slots].argmax(axis=1)]
            self.life[slots, heirs] = Life.NEWBORN
            self.updated_ms[slots, heirs] = time_ms
        return succeeded

    def sweep(self, slots: Slots) -> Slots:
        """Give back those of ``slots`` (in use, distinct) that have no series left."""
        empty = slots[~self.life[slots].any(axis=1)]
        self._slots.free(empty)
        return empty

    def rename(self, renamed: NDArray[np.uint32]) -> None:
        """Follow new codes of the strings (uint32[old code])."""
        self.rows[:, 1:] = renamed[self.rows[:, 1:]]
        self._slots.rename(self.rows)

    def _attach(self, index: int, column: int, frame: DeltaFrame, place: Slots) -> None:
        """Add what goes with some rows of family ``index``; ``place`` is their slot or -1."""
        if frame.cells and (cells := frame.cells[index]) is not None:
            self.cells[column].add(cells.at(place))
        if frame.exemplars and (exemplars := frame.exemplars[index]) is not None:
            self.exemplars_of(column).add(exemplars.at(place))

    def _begin(self, slots: Slots, columns: Slots, fed: Flags | None) -> tuple[Slots, Slots]:
        is_born = self._states(slots, columns) < Life.HELD
        if fed is not None:
            is_born &= fed
        if not is_born.any():
            return _NOBODY, _NOBODY
        width = len(self.families)
        places = distinct((slots[:, np.newaxis] * width + columns)[is_born])
        born, column = np.divmod(places, width)
        life = np.full(len(born), Life.NEWBORN, np.int8)
        for rivals in self.rivals:
            has_told_rival = (self.life[born][:, rivals] >= Life.HELD).any(axis=1)
            life[has_told_rival & np.isin(column, rivals)] = Life.HELD
        self.life.put(places, life)
        return born, column

    def _states(self, slots: Slots, columns: Slots) -> NDArray[np.int8]:
        """Rows are taken whole, which is faster than by two indexes."""
        states = self.life.take(slots, axis=0)
        is_all = len(columns) == len(self.families) and bool((np.diff(columns) > 0).all())
        return states if is_all else states[:, columns]

    def _column(self, family: Family) -> int:
        identity = (family.name, family.instrument, family.bounds, family.shape)
        column = self._columns.get(identity)
        if column is None:
            column = self._columns[identity] = len(self.families)
            self.families.append(family)
            self.names.add(family.name)
            self.sizes = np.append(self.sizes, family.series)
            self.values.append(np.zeros((len(self.rows), family.width)))
            self.life = _widened(self.life, len(self.rows))
            self.updated_ms = _widened(self.updated_ms, len(self.rows))
            self.began_ms = _widened(self.began_ms, len(self.rows))
            if family.shape is not None:
                self.cells[column] = CellStore(family.shape)
                self.cells[column].grow(len(self.rows))
            names = [(each.name, each.instrument) for each in self.families]
            same = {name: [at for at, each in enumerate(names) if each == name] for name in names}
            self.rivals = [columns for columns in same.values() if len(columns) > 1]
        return column

    def _grow(self) -> None:
        room = max(_FIRST_ROOM, 2 * len(self.rows))
        self.rows = _grown(self.rows, room)
        self.values = [_grown(values, room) for values in self.values]
        self.life = _grown(self.life, room)
        self.updated_ms = _grown(self.updated_ms, room)
        self.began_ms = _grown(self.began_ms, room)
        self.hashes = _grown(self.hashes, room)
        for cells in self.cells.values():
            cells.grow(room)


def _grown(array: NDArray[_Any], room: int) -> NDArray[_Any]:
    grown = np.zeros((room, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


def _widened(array: NDArray[_Any], rows: int) -> NDArray[_Any]:
    """One more column, of zeros."""
    column = np.zeros((rows, 1), array.dtype)
    return np.hstack([array, column])
