"""Cuts a large tenant's tick into shards that go out side by side.

A series stays in its shard as long as anything of its tenant waits, which keeps its
samples in order; how many shards a tenant has may change only when nothing waits. What
is handed out is a block, by its name and constant labels (a bucket of a histogram is a
block), so no sample costs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consumer.remote_write.series import SeriesBlock

_Family = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class Shards:
    """Which shard the series of one tenant are in; bounded by its kinds of blocks."""

    count: int
    _places: dict[_Family, int] = field(default_factory=dict)
    _loads: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._loads = [0] * self.count

    def cut(self, blocks: Sequence[SeriesBlock]) -> dict[int, list[SeriesBlock]]:
        """The blocks of each shard that has any; a family not seen goes where least is."""
        found: dict[int, list[SeriesBlock]] = {}
        for block in blocks:
            key = (block.name, block.constant_labels)
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = self._loads.index(min(self._loads))
                self._loads[place] += len(block)
            found.setdefault(place, []).append(block)
        return found


def shards_for(blocks: Sequence[SeriesBlock], most: int, max_samples: int) -> Shards:
    """As many as the tick has full requests, but at least one and no more than ``most``."""
    samples = sum(map(len, blocks))
    return Shards(max(1, min(most, samples // max_samples)))
