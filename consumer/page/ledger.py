"""By how much groups of cumulative series grew from one tick to the next.

Exact where each series of a group was told at both ticks or is newborn. Where others came or
went without having begun or ended, as when a partition moves, only newborns count: a series
that comes with its past shall not look like a burst.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumer.page.codes import Keys, renamed_keys
from processors.grouping import group


@dataclass(frozen=True, slots=True)
class Rows:
    """``n`` series: ``keys`` (uint32[n, k]) say in which group, ``values`` are float64[n, w].

    ``newborn`` and ``ended`` (bool[n]) are those of :class:`SeriesBlock`.
    """

    keys: Keys
    values: NDArray[np.float64]
    newborn: NDArray[np.bool_]
    ended: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.values)

    def where(self, rows: NDArray[np.intp]) -> Rows:
        """Those ``rows`` alone."""
        return Rows(self.keys[rows], self.values[rows], self.newborn[rows], self.ended[rows])


@dataclass(frozen=True, slots=True)
class Growth:
    """``g`` groups with distinct ``keys`` (uint32[g, k]) and what they grew by (float64[g, w])."""

    keys: Keys
    amounts: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.keys)


class Ledger:
    """Remembers the sum of each group at the last tick: ``k`` codes and ``w`` values each."""

    def __init__(self, key_width: int, width: int = 1) -> None:
        self._keys: Keys = np.zeros((0, key_width), np.uint32)
        self._sums = np.zeros((0, width))
        self._series = np.zeros(0)

    def take(self, rows: Rows) -> Growth:
        """What grew since the last call; groups without a series now are left out."""
        if rows.values.shape[1] != self._sums.shape[1]:
            self._sums, self._series = np.zeros((0, rows.values.shape[1])), np.zeros(0)
            self._keys = self._keys[:0]
        keys = np.concatenate([rows.keys, self._keys])
        groups = group(list(keys.T))
        size, of_row, of_base = len(groups), groups.of_row[: len(rows)], groups.of_row[len(rows) :]
        total = _sums(of_row, rows.values, size)
        newborn = rows.newborn[:, np.newaxis]
        born = _sums(of_row, rows.values * newborn, size) if newborn.any() else np.zeros_like(total)
        base, told = np.zeros_like(total), np.zeros(size)
        base[of_base], told[of_base] = self._sums, self._series
        is_whole = np.bincount(of_row, weights=~rows.newborn, minlength=size) == told
        amounts = np.where(is_whole[:, np.newaxis], total - base, born)
        keys = keys[groups.first]
        self._remember(rows, of_row, keys)
        present = np.bincount(of_row, minlength=size) > 0
        return Growth(keys[present], np.maximum(amounts[present], 0.0))

    def rename(self, renamed: NDArray[np.uint32]) -> None:
        """Follow new codes of the strings."""
        self._keys = renamed_keys(self._keys, renamed)

    def _remember(self, rows: Rows, of_row: NDArray[np.intp], keys: Keys) -> None:
        """Keep the sums of what goes on."""
        on = ~rows.ended
        if not on.all():
            of_row, values = of_row[on], rows.values[on]
        else:
            values = rows.values
        series = np.bincount(of_row, minlength=len(keys)).astype(np.float64)
        kept = series > 0
        self._keys = keys[kept]
        self._sums = _sums(of_row, values, len(keys))[kept]
        self._series = series[kept]


def _sums(of_row: NDArray[np.intp], values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Sum of ``values`` (float64[n, w]) by group (float64[size, w])."""
    columns = [np.bincount(of_row, weights=column, minlength=size) for column in values.T]
    return np.column_stack(columns) if columns else np.zeros((size, 0))
