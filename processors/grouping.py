"""Group rows of equal key columns: the one query every processor needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RADIX_LIMIT = 1 << 63
"""Combined keys stay below this, so that they fit an unsigned 64-bit integer."""


@dataclass(frozen=True, slots=True)
class Groups:
    """``g`` groups of ``n`` rows, ordered by their key.

    ``of_row`` (intp[n]) is each row's group, ``first`` (intp[g]) a group's first row.
    """

    of_row: NDArray[np.intp]
    first: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.first)

    def count(self) -> NDArray[np.float64]:
        """Rows of each group (float64[g])."""
        return np.bincount(self.of_row, minlength=len(self)).astype(np.float64)

    def sum(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Sum of ``values`` ([n], any number) in each group (float64[g])."""
        sums = np.bincount(self.of_row, weights=values, minlength=len(self))
        return sums.astype(np.float64, copy=False)


def group(columns: Sequence[NDArray[Any]]) -> Groups:
    """Group rows by ``columns``: unsigned integer or bool columns, at least one."""
    key, size = _densest(columns[0])
    for column in columns[1:]:
        next_key, next_size = _densest(column)
        if size * next_size >= _RADIX_LIMIT:
            key, size = _compress(key)
        key = key * np.uint64(next_size) + next_key
        size *= next_size
    _, first, of_row = np.unique(key, return_index=True, return_inverse=True)
    return Groups(of_row=of_row, first=first)


def _densest(column: NDArray[Any]) -> tuple[NDArray[np.uint64], int]:
    """The column as uint64 with its number of possible values."""
    key = column.astype(np.uint64)
    size = int(key.max()) + 1 if len(key) else 1
    return _compress(key) if size >= _RADIX_LIMIT >> 32 else (key, size)


def _compress(key: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], int]:
    values, dense = np.unique(key, return_inverse=True)
    return dense.astype(np.uint64), max(1, len(values))
