"""Group rows of equal key columns: the one query every processor needs.

`native/src/grouping.rs` does it by hashing, in NumPy it is done by sorting; the contract
tests hold the two together. So with the greatest rows
of groups and with histograms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

try:
    import spanmill_native
except ImportError:  # not built: slower, but the same
    IS_BUILT = False
else:
    IS_BUILT = True

_RADIX_LIMIT = 1 << 63
"""Combined keys stay below this, so that they fit an unsigned 64-bit integer."""


@dataclass(frozen=True, slots=True)
class Groups:
    """``g`` groups of ``n`` rows, ordered by their first rows.

    ``of_row`` (intp[n]) is each row's group, ``first`` (intp[g]) a group's first row, ascending.
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


Columns: TypeAlias = Sequence[NDArray[Any]]
"""Unsigned integers or bools, at least one column."""


def group_by_sorting(columns: Columns) -> Groups:
    """Group rows with equal values in all ``columns``."""
    key, size = _densest(columns[0])
    for column in columns[1:]:
        next_key, next_size = _densest(column)
        if size * next_size >= _RADIX_LIMIT:
            key, size = _compress(key)
        key = key * np.uint64(next_size) + next_key
        size *= next_size
    _, first, of_row = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    return Groups(of_row=rank[of_row], first=first[order])


def _densest(column: NDArray[Any]) -> tuple[NDArray[np.uint64], int]:
    """The column as uint64 with its number of possible values."""
    key = column.astype(np.uint64)
    size = int(key.max()) + 1 if len(key) else 1
    return _compress(key) if size >= _RADIX_LIMIT >> 32 else (key, size)


def _compress(key: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], int]:
    values, dense = np.unique(key, return_inverse=True)
    return dense.astype(np.uint64), max(1, len(values))


def group_by_hashing(columns: Columns) -> Groups:
    """The same by `spanmill_native`, with results that are read-only."""
    of_row, first = spanmill_native.group([part for each in columns for part in _words(each)])
    return Groups(of_row=np.frombuffer(of_row, np.intp), first=np.frombuffer(first, np.intp))


def _words(column: NDArray[Any]) -> Sequence[NDArray[np.uint32]]:
    """The column as 32-bit numbers; wider ones become two."""
    if column.itemsize <= 4:
        return (np.ascontiguousarray(column, np.uint32),)
    wide = column.astype(np.uint64, copy=False)
    return wide.astype(np.uint32), (wide >> np.uint64(32)).astype(np.uint32)


group: Callable[[Columns], Groups] = group_by_hashing if IS_BUILT else group_by_sorting
"""The faster of the two that is there."""


@dataclass(frozen=True, slots=True)
class Greatest:
    """The rows with the greatest value of their cell.

    ``rows`` (intp[k]): the first of each cell, ordered by cell. ``tied`` (intp[t]): all of
    the cells that have several, ordered by cell, then row.
    """

    rows: NDArray[np.intp]
    tied: NDArray[np.intp]


def greatest_by_sorting(cell: NDArray[np.intp], values: NDArray[np.float64]) -> Greatest:
    """The rows with the greatest of ``values`` (float64[n]) in each cell.

    ``cell`` (intp[n]) counts from 0 up; rows of which the value is NaN are left out.
    """
    rows = np.flatnonzero(~np.isnan(values))
    best = np.full(int(cell[rows].max(initial=-1)) + 1, -np.inf)
    np.maximum.at(best, cell[rows], values[rows])
    rows = rows[values[rows] == best[cell[rows]]]
    rows = rows[np.argsort(cell[rows], kind="stable")]
    is_new = np.ones(len(rows), np.bool_)
    is_new[1:] = cell[rows[1:]] != cell[rows[:-1]]
    is_tied = ~is_new | ~np.append(is_new[1:], np.True_)[: len(rows)]
    return Greatest(rows=rows[is_new], tied=rows[is_tied])


def greatest_by_cell(cell: NDArray[np.intp], values: NDArray[np.float64]) -> Greatest:
    """The same by `spanmill_native`, with a result that is read-only."""
    columns = (np.ascontiguousarray(cell), np.ascontiguousarray(values))
    rows, tied = spanmill_native.greatest(*columns)
    return Greatest(rows=np.frombuffer(rows, np.intp), tied=np.frombuffer(tied, np.intp))


greatest = greatest_by_cell if IS_BUILT else greatest_by_sorting
"""The faster of the two that is there."""


def observe_in_numpy(
    groups: Groups,
    values: NDArray[np.float64],
    bounds: Sequence[float],
    weights: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Classic histogram of ``values`` (float64[n]) in each group, and the bucket of each.

    A value belongs to the first bucket whose upper bound is not below it
    (tempo-behaviour.md 3.11), and counts ``weights`` times (float64[n]). Returns
    float64[g, len(bounds) + 2]: counts per bucket, not cumulative, +Inf last, and then the
    sum; and int32[n]. NaN do not count.
    """
    of_row = groups.of_row
    bucket = np.searchsorted(np.asarray(bounds), values, side="left").astype(np.int32)
    of_value, measured = bucket, ~np.isnan(values)
    if not measured.all():
        of_row, values, of_value = of_row[measured], values[measured], bucket[measured]
        weights = None if weights is None else weights[measured]
    buckets = len(bounds) + 1
    cells = of_row * buckets + of_value
    counts = np.bincount(cells, weights=weights, minlength=len(groups) * buckets)
    histogram = np.empty((len(groups), buckets + 1))
    histogram[:, :buckets] = counts.reshape(len(groups), buckets)
    sums = values if weights is None else values * weights
    histogram[:, buckets] = np.bincount(of_row, weights=sums, minlength=len(groups))
    return histogram, bucket


def observe_natively(
    groups: Groups,
    values: NDArray[np.float64],
    bounds: Sequence[float],
    weights: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The same by `spanmill_native`, with results that are read-only."""
    of_groups = (groups.of_row, len(groups))
    histogram, bucket = spanmill_native.observe(of_groups, values, bounds, weights)
    shape = (len(groups), len(bounds) + 2)
    return np.frombuffer(histogram).reshape(shape), np.frombuffer(bucket, np.int32)


observe = observe_natively if IS_BUILT else observe_in_numpy
"""The faster of the two that is there."""


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """The distinct ones of ``values``, ascending: NumPy's own hashes, which takes longer."""
    ordered = np.sort(values)
    is_new = np.ones(len(ordered), np.bool_)
    is_new[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_new]
