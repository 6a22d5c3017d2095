"""The busiest groups of a tenant, and how much they grew at each of the last ticks.

Bounds: ``capacity`` groups, ``POINTS`` ticks of two numbers each, ``WINDOW_TICKS`` ticks of
what was measured of them. When it is full, a newcomer takes the place of the least busy one
if it grew by more than twice as much, so that groups of about the same rate do not take turns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consumer.page.codes import Keys, locate, renamed_keys
from consumer.page.ledger import Growth

POINTS = 60
"""Ticks that are remembered: 15 minutes at Tempo's 15 seconds."""
WINDOW_S = 60.0
"""Rates are over this long, and at least over one tick."""
WINDOW_TICKS = 30
"""Most ticks of that window."""

_LEAD = 2.0

Names = tuple[str, ...]


class Rhythm:
    """How long the last ticks were (float64[POINTS] seconds, oldest first, NaN before the first).

    The boards of a tenant keep time by it.
    """

    def __init__(self) -> None:
        self.seconds = np.full(POINTS, np.nan)
        self.times_ms = np.zeros(POINTS, np.int64)

    def take(self, seconds: float, time_ms: int) -> None:
        """A tick that was ``seconds`` after the one before."""
        self.seconds = np.append(self.seconds[1:], seconds)
        self.times_ms = np.append(self.times_ms[1:], time_ms)

    @property
    def window(self) -> int:
        """How many of the last ticks make the window."""
        back = np.cumsum(np.nan_to_num(self.seconds[::-1], nan=np.inf))
        return int(np.clip(np.searchsorted(back, WINDOW_S, side="right"), 1, WINDOW_TICKS))


class Board:
    """Slots for groups: ``names`` are their keys as texts, None in a free slot.

    ``history`` is float64[POINTS, capacity, 2], oldest first: by how much the group's two
    numbers (requests, failures) grew, NaN where it was not followed.
    """

    def __init__(self, key_width: int, capacity: int, rhythm: Rhythm) -> None:
        self.names: list[Names | None] = [None] * capacity
        self.history = np.full((POINTS, capacity, 2), np.nan)
        self.bounds = np.zeros(0)
        self.groups = 0
        """How many there are, those without a slot included."""
        self._rhythm = rhythm
        self._keys: Keys = np.zeros((capacity, key_width), np.uint32)
        self._used = np.zeros(capacity, np.bool_)
        self._measured = np.zeros((WINDOW_TICKS, capacity, 0), np.float32)

    @property
    def keys(self) -> Keys:
        """Those of the slots in use (uint32[s, k])."""
        return self._keys[self._used]

    def take(self, growth: Growth, text: Sequence[str]) -> None:
        """A tick; ``growth`` is of two numbers, ``text`` the strings of its keys."""
        self.groups = len(growth)
        slots = self._slots(growth.keys)
        present = np.zeros(len(self._used), np.bool_)
        present[slots[slots >= 0]] = True
        self._free(np.flatnonzero(self._used & ~present))
        self.history = np.roll(self.history, -1, axis=0)
        self.history[-1] = np.nan
        self._measured = np.roll(self._measured, -1, axis=0)
        self._measured[-1] = 0.0
        known = slots >= 0
        self.history[-1, slots[known]] = growth.amounts[known]
        newcomers = np.flatnonzero(~known)
        if len(newcomers):
            self._admit(growth, newcomers, text)

    def measure(self, growth: Growth, bounds: NDArray[np.float64]) -> None:
        """The buckets of that tick, cumulative, of any of the groups; one for each bound."""
        if not np.array_equal(bounds, self.bounds):
            self.bounds = bounds
            self._measured = np.zeros((WINDOW_TICKS, len(self._used), len(bounds)), np.float32)
        slots = self._slots(growth.keys)
        known = slots >= 0
        self._measured[-1, slots[known]] = growth.amounts[known]

    def rename(self, renamed: NDArray[np.uint32]) -> None:
        """Follow new codes of the strings."""
        self._keys = renamed_keys(self._keys, renamed)

    def followed(self) -> NDArray[np.intp]:
        """The slots in use, the busiest first."""
        slots = np.flatnonzero(self._used)
        return slots[np.argsort(-self.rates()[slots, 0], kind="stable")]

    def rates(self) -> NDArray[np.float64]:
        """Of both numbers, per second over the window (float64[capacity, 2])."""
        window = self._rhythm.window
        grown = self.history[-window:]
        seconds = self._rhythm.seconds[-window:, np.newaxis, np.newaxis]
        spans_s = np.where(np.isnan(grown), 0.0, seconds).sum(axis=0)
        sums = np.nansum(grown, axis=0)
        return np.asarray(np.divide(sums, spans_s, out=np.zeros_like(sums), where=spans_s > 0))

    def measured(self) -> NDArray[np.float64]:
        """What the buckets grew by over the window, cumulative (float64[capacity, b])."""
        return np.asarray(self._measured[-self._rhythm.window :].sum(axis=0, dtype=np.float64))

    def _slots(self, keys: Keys) -> NDArray[np.intp]:
        used = np.flatnonzero(self._used)
        at = locate(self._keys[used], keys)
        return np.where(at >= 0, used[at] if len(used) else -1, -1)

    def _free(self, slots: NDArray[np.intp]) -> None:
        self._used[slots] = False
        self.history[:, slots] = np.nan
        self._measured[:, slots] = 0.0
        for slot in slots.tolist():
            self.names[slot] = None

    def _admit(self, growth: Growth, newcomers: NDArray[np.intp], text: Sequence[str]) -> None:
        """Give slots to the busiest of ``newcomers``: the free ones, then those of the idlest."""
        grown = growth.amounts[newcomers, 0]
        order = newcomers[np.argsort(-grown, kind="stable")[: len(self._used)]]
        free = np.flatnonzero(~self._used)
        followed = self.followed()[::-1]
        usual = self.rates()[followed, 0] * self._rhythm.seconds[-1]
        rest = order[len(free) :]
        contested = followed[: len(rest)]
        is_won = growth.amounts[rest[: len(contested)], 0] > _LEAD * usual[: len(rest)]
        won = contested[: int(is_won.argmin()) if not is_won.all() else len(is_won)]
        self._free(won)
        slots = np.concatenate([free, won])[: len(order)]
        taken = order[: len(slots)]
        self._used[slots] = True
        self._keys[slots] = growth.keys[taken]
        self.history[-1, slots] = growth.amounts[taken]
        for slot, key in zip(slots.tolist(), growth.keys[taken].tolist(), strict=True):
            self.names[slot] = tuple(text[code] for code in key)
