"""Cuts a large tenant's tick into shards that go out side by side.

A series is in the shard that its labels say, whatever comes with it, so as long as their
number stays its samples keep their order. The buckets of a histogram, its sum and its count
go together. Bound: beside the cut arrays eight bytes for each distinct text and series.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from consumer.remote_write.resharding import is_near
from consumer.remote_write.series import SeriesBlock

_ODD = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def cut(blocks: Sequence[SeriesBlock], count: int) -> dict[int, list[SeriesBlock]]:
    """The blocks of each of ``count`` shards that has any."""
    if count == 1:
        return {0: list(blocks)}
    hashes = _Hashes()
    found: dict[int, list[SeriesBlock]] = {}
    for block in blocks:
        places = hashes.of(block) % np.uint64(count)
        order = np.argsort(places, kind="stable")
        ends = np.searchsorted(places[order], np.arange(count + 1, dtype=np.uint64))
        for shard, (start, end) in enumerate(pairwise(ends.tolist())):
            if start < end:
                found.setdefault(shard, []).append(block.cut(order[start:end]))
    return found


def count_for(samples: int, most: int, max_samples: int) -> int:
    """As many shards as there are full requests, but at least one and no more than ``most``.

    How many of them are sent at a time is another matter (see ``resharding``).
    """
    return max(1, min(most, samples // max_samples))


def is_worth_it(wanted: int, present: int) -> bool:
    """Whether to drain ``present`` shards for the sake of another number."""
    return wanted != present and not is_near(wanted, present)


class _Hashes:
    """The hashes of label sets; those of texts are made once for each list of them.

    A set's hash is the sum of its labels', so it does not depend on their order; a label
    without text adds nothing, as if it were not there.
    """

    def __init__(self) -> None:
        self._texts: dict[int, NDArray[np.uint64]] = {}

    def of(self, block: SeriesBlock) -> NDArray[np.uint64]:
        """uint64[n], one for each series."""
        texts = self._of_texts(block.strings)
        sums = np.zeros(len(block), np.uint64)
        for column, name in enumerate(block.label_names):
            labels = _mixed(texts ^ _hash(name))
            labels[texts == 0] = 0
            sums += labels[block.labels[:, column]]
        return _mixed(sums)

    def _of_texts(self, strings: Sequence[str]) -> NDArray[np.uint64]:
        # The blocks being cut keep their strings alive, so that an id stays theirs.
        known = self._texts.get(id(strings))
        if known is None:
            found = np.fromiter(map(hash, strings), np.int64, len(strings)).view(np.uint64)
            known = self._texts[id(strings)] = found
        return known


def _hash(text: str) -> np.uint64:
    return np.array([hash(text)], np.int64).view(np.uint64)[0]  # type: ignore[no-any-return]


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread each over all bits; multiplication carries upwards only."""
    mixed = numbers * _ODD
    mixed ^= mixed >> _HALF
    mixed *= _ODD
    return mixed ^ (mixed >> _HALF)
