"""The columns of pending halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]


NOBODY = -1
"""In place of a half's number: there is none."""


class HalfStore:
    """Columns of halves by number, as a window that moves on.

    Numbers are given upwards by :meth:`append` and stay valid until :meth:`release`.
    The first row of each column is that of :data:`NOBODY`, all zero.
    """

    def __init__(self) -> None:
        self._columns: dict[str, NDArray[Any]] = {}
        self._base = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._base

    @property
    def next_number(self) -> int:
        """The number of the first half that :meth:`append` would take."""
        return self._end

    def append(self, columns: Columns) -> None:
        """Take rows; every call brings the same columns."""
        rows = len(next(iter(columns.values())))
        for name, column in columns.items():
            start = len(self) + 1
            self._room(name, column, rows)[start : start + rows] = column
        self._end += rows

    def take(self, name: str, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """One column of the halves with ``numbers``; zero for :data:`NOBODY`."""
        return self._columns[name][np.maximum(numbers - (self._base - 1), 0)]

    def replace(self, name: str, column: NDArray[Any]) -> None:
        """Set one column of all halves that are held."""
        self._columns[name][1 : len(self) + 1] = column

    def all(self, name: str) -> NDArray[Any]:
        """One column of all halves that are held."""
        return self._columns[name][1 : len(self) + 1]

    def release(self, before: int) -> None:
        """Forget halves with numbers below ``before``, once that frees half the room."""
        if (before - self._base) * 2 < len(self):
            return
        kept = slice(before - self._base, len(self) + 1)
        self._columns = {name: column[kept].copy() for name, column in self._columns.items()}
        for column in self._columns.values():
            column[0] = 0
        self._base = before

    def _room(self, name: str, like: NDArray[Any], rows: int) -> NDArray[Any]:
        column = self._columns.get(name, np.zeros(1, like.dtype))
        used = len(self) + 1
        if used + rows > len(column):
            grown = np.empty(max(2 * len(column), used + rows), like.dtype)
            grown[:used] = column[:used]
            self._columns[name] = column = grown
        return column
