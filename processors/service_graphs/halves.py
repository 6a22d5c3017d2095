"""The columns of pending halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]


NOBODY = -1
"""In place of a half's number: there is none."""

_MOST_PLACED = 8
"""Arrays of numbers whose places are remembered: the sides of edges, and some."""


class HalfStore:
    """Columns of halves by number, as a window that moves on.

    Numbers are given upwards by :meth:`append` and stay valid until :meth:`release`.
    The first row of each column is that of :data:`NOBODY`, all zero. So are rows that came
    without the column, and a column that is zero throughout need not be held.
    """

    def __init__(self) -> None:
        self._columns: dict[str, NDArray[Any]] = {}
        self._types: dict[str, np.dtype[Any]] = {}
        self._base = 0
        self._end = 0
        self._placed: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        """By identity: numbers, and where these halves are."""

    def __len__(self) -> int:
        return self._end - self._base

    @property
    def next_number(self) -> int:
        """The number of the first half that :meth:`append` would take."""
        return self._end

    @property
    def names(self) -> Sequence[str]:
        """The columns that are held."""
        return tuple(self._columns)

    def append(self, columns: Columns) -> None:
        """Take rows; a column always has the same type."""
        rows = len(next(iter(columns.values())))
        new = slice(len(self) + 1, len(self) + 1 + rows)
        for name, column in columns.items():
            self._room(name, column.dtype, rows)[new] = column
        for name in self._columns.keys() - columns.keys():
            self._room(name, self._types[name], rows)[new] = 0
        self._end += rows

    def take(self, name: str, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """One column of the halves with ``numbers``; zero for :data:`NOBODY`."""
        column = self._columns.get(name)
        if column is None:
            return np.zeros(len(numbers), self._types.get(name, np.dtype(np.uint32)))
        return column.take(self._places(numbers))

    def _places(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the halves with ``numbers`` are, which nobody changes; most are asked for often."""
        known = self._placed.get(id(numbers))
        if known is None:
            if len(self._placed) >= _MOST_PLACED:
                self._placed.clear()
            known = numbers, np.maximum(numbers - (self._base - 1), 0)
            self._placed[id(numbers)] = known
        return known[1]

    def replace(self, name: str, column: NDArray[Any]) -> None:
        """Set one column of all halves that are held."""
        self._columns[name][1 : len(self) + 1] = column

    def set(self, name: str, numbers: NDArray[np.int64], column: NDArray[Any]) -> None:
        """Set one column of the halves with ``numbers``; of equal ones the last counts."""
        self._room(name, column.dtype, 0)[numbers - (self._base - 1)] = column

    def all(self, name: str) -> NDArray[Any]:
        """One column of all halves that are held."""
        return self._columns[name][1 : len(self) + 1]

    def release(self, before: int) -> None:
        """Forget halves with numbers below ``before``, once that frees half the room."""
        self._placed.clear()
        if (before - self._base) * 2 < len(self):
            return
        kept = slice(before - self._base, len(self) + 1)
        self._columns = {
            name: column[kept].copy()
            for name, column in self._columns.items()
            if column[kept][1:].any()
        }
        for column in self._columns.values():
            column[0] = 0
        self._base = before

    def _room(self, name: str, of_type: np.dtype[Any], rows: int) -> NDArray[Any]:
        used = len(self) + 1
        column = self._columns.get(name)
        if column is None:
            self._types[name] = of_type
            column = self._columns[name] = np.zeros(used + rows, of_type)
        elif used + rows > len(column):
            grown = np.empty(max(2 * len(column), used + rows), of_type)
            grown[:used] = column[:used]
            self._columns[name] = column = grown
        return column
