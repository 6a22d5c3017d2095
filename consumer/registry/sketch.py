"""How many distinct hashes came lately: HyperLogLog over a sliding window.

Registers and rank as in Flajolet et al. (2007), precision 10; the estimate is Ertl's
(2017, "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6),
which needs no correction for small numbers. Standard error: 1.04 / sqrt(1024) = 3.25 %.
Bound: 4 KiB for each key.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

PRECISION = 10
REGISTERS = 1 << PRECISION
PARTS = 4
"""Sketches that make a window: three whole ones and the one that is being filled."""

_REST_BITS = 64 - PRECISION
_ALPHA = 1 / (2 * np.log(2))
_SIGMA_ROUNDS = 40
"""Enough: with one register filled the sum no longer grows after some 20."""

Key = TypeVar("Key", bound=Hashable)


class SlidingSketches(Generic[Key]):
    """A sketch for each key; each forgets what came longer ago than the window.

    The window is ``window_ms`` and up to a third more, since it moves by thirds. Time
    comes from the caller and does not go back.
    """

    def __init__(self, window_ms: int) -> None:
        self._part_ms = max(1, window_ms // (PARTS - 1))
        self._part = 0
        self._index: dict[Key, int] = {}
        self._registers = np.zeros((0, PARTS, REGISTERS), np.uint8)

    def __len__(self) -> int:
        return len(self._index)

    def index(self, key: Key) -> int:
        """The number of ``key``'s sketch, which is made if there is none."""
        index = self._index.setdefault(key, len(self._index))
        if index >= len(self._registers):
            grown = np.zeros((max(4, 2 * index), PARTS, REGISTERS), np.uint8)
            grown[: len(self._registers)] = self._registers
            self._registers = grown
        return index

    def move_to(self, time_ms: int) -> None:
        """Forget what the window has left behind at ``time_ms``."""
        part = time_ms // self._part_ms
        for gone in range(max(self._part + 1, part - PARTS + 1), part + 1):
            self._registers[:, gone % PARTS] = 0
        self._part = max(part, self._part)

    def add(self, sketches: NDArray[np.intp], hashes: NDArray[np.uint64]) -> None:
        """Put each of ``hashes`` (uint64[n]) into the sketch of that number (intp[n])."""
        register = (hashes >> np.uint64(_REST_BITS)).astype(np.intp)
        # frexp's exponent is the number of bits; 53 of them are exact in a float.
        rest = (hashes & np.uint64((1 << _REST_BITS) - 1)) >> np.uint64(1)
        _, bits = np.frexp(rest.astype(np.float64))
        rank = (_REST_BITS - bits).astype(np.uint8)
        place = (sketches * PARTS + self._part % PARTS) * REGISTERS + register
        np.maximum.at(self._registers.reshape(-1), place, rank)

    def estimates(self) -> NDArray[np.float64]:
        """About how many distinct hashes each sketch had within the window (float64[keys])."""
        filled = self._registers[: len(self)].max(axis=1)
        is_empty = filled == 0
        sums = np.where(is_empty, 0.0, np.exp2(-filled.astype(np.float64))).sum(axis=1)
        sums += REGISTERS * _sigma(is_empty.mean(axis=1))
        return np.asarray(_ALPHA * REGISTERS**2 / sums)

    def by_key(self) -> dict[Key, int]:
        """:meth:`estimates`, rounded."""
        rounded = np.rint(self.estimates()).astype(np.int64).tolist()
        return dict(zip(self._index, rounded, strict=True))

    def keep(self, wanted: NDArray[np.bool_]) -> None:
        """Forget the sketches that are not ``wanted`` (bool[keys]); the others move up."""
        self._registers = self._registers[: len(self)][wanted]
        kept = [key for key, is_kept in zip(self._index, wanted.tolist(), strict=True) if is_kept]
        self._index = {key: number for number, key in enumerate(kept)}


def _sigma(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ertl's sigma of the share of empty registers; infinite where all are."""
    power, weight, total = share.copy(), 1.0, share.copy()
    for _ in range(_SIGMA_ROUNDS):
        power = power * power
        total += power * weight
        weight += weight
    return np.where(share >= 1.0, np.inf, total)
