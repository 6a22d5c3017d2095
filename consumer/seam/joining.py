"""The samples of many shards as one tick, with one dictionary of strings.

Shards share no series, so what they tell of one time is one tick of a tenant. Bound: strings
of series that ended are dropped when there are several times as many as are needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from consumer.remote_write.series import SeriesBlock, Tick
from processors.strings import KeptStrings

_FEW = 50_000
"""Below so many strings it is not worth dropping any."""


class Joiner:
    """Joins the ticks of shards; all blocks that it gives out share their strings."""

    def __init__(self) -> None:
        self._strings = KeptStrings()
        self._codes: dict[int, tuple[Sequence[str], NDArray[np.uint32]]] = {}
        """By shard: its strings, and our code for each of them."""

    def join(self, told: Mapping[int, Sequence[Tick]]) -> Iterator[Tick]:
        """The ticks of the shards, one for each time, the oldest first."""
        by_time: dict[int, dict[str, list[SeriesBlock]]] = {}
        for shard, ticks in told.items():
            for tick in ticks:
                tenants = by_time.setdefault(tick.time_ms, {})
                for tenant, blocks in tick.tenants.items():
                    ours = [self._with_our_strings(shard, block) for block in blocks]
                    tenants.setdefault(tenant, []).extend(ours)
        for time_ms in sorted(by_time):
            yield Tick(time_ms, by_time[time_ms])

    def forget(self, shard: int) -> None:
        """The shard is not ours any more."""
        self._codes.pop(shard, None)

    def _with_our_strings(self, shard: int, block: SeriesBlock) -> SeriesBlock:
        codes = self._codes_of(shard, block.strings)
        return replace(block, labels=codes[block.labels], strings=self._strings.text)

    def _codes_of(self, shard: int, theirs: Sequence[str]) -> NDArray[np.uint32]:
        strings, codes = self._codes.get(shard, ((), np.zeros(0, np.uint32)))
        if strings is not theirs:
            codes = np.zeros(0, np.uint32)
            self._drop_unused()
        if len(codes) < len(theirs):
            added = [self._strings.code(text) if text else 0 for text in theirs[len(codes) :]]
            codes = np.append(codes, np.array(added, np.uint32))
        self._codes[shard] = theirs, codes
        return codes

    def _drop_unused(self) -> None:
        """Begin anew when most strings are those of shards or series that are gone."""
        needed = sum(len(strings) for strings, _ in self._codes.values())
        if len(self._strings) > max(_FEW, 3 * needed):
            self._strings = KeptStrings()
            self._codes.clear()
