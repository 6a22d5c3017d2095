"""The columns of pending halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]


class HalfStore:
    """Columns of halves by number, as a window that moves on.

    Numbers are given upwards by :meth:`append` and stay valid until :meth:`release`.
    """

    def __init__(self) -> None:
        self._columns: dict[str, NDArray[Any]] = {}
        self._base = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._base

    @property
    def first_number(self) -> int:
        """The lowest number that is held."""
        return self._base

    @property
    def next_number(self) -> int:
        """The number of the first half that :meth:`append` would take."""
        return self._end

    def append(self, columns: Columns) -> None:
        """Take rows; every call brings the same columns."""
        rows = len(next(iter(columns.values())))
        for name, column in columns.items():
            self._room(name, column, rows)[len(self) : len(self) + rows] = column
        self._end += rows

    def take(self, name: str, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """One column of the halves with ``numbers``."""
        return self._columns[name][numbers - self._base]

    def replace(self, name: str, column: NDArray[Any]) -> None:
        """Set one column of all halves that are held."""
        self._columns[name][: len(self)] = column

    def all(self, name: str) -> NDArray[Any]:
        """One column of all halves that are held."""
        return self._columns[name][: len(self)]

    def release(self, before: int) -> None:
        """Forget halves with numbers below ``before``, once that frees half the room."""
        if (before - self._base) * 2 < len(self):
            return
        kept = slice(before - self._base, len(self))
        self._columns = {name: column[kept].copy() for name, column in self._columns.items()}
        self._base = before

    def _room(self, name: str, like: NDArray[Any], rows: int) -> NDArray[Any]:
        column = self._columns.get(name, np.empty(0, like.dtype))
        if len(self) + rows > len(column):
            grown = np.empty(max(2 * len(column), len(self) + rows), like.dtype)
            grown[: len(self)] = column[: len(self)]
            self._columns[name] = column = grown
        return column
