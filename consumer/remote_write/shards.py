"""Cuts a large tenant's tick into shards that go out side by side.

A series is in the shard that its labels say, whatever comes with it, so as long as their
number stays its samples keep their order. The buckets of a histogram, its sum and its count
go together. Bound: beside the cut arrays eight bytes for each distinct text and series.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumer.remote_write.resharding import is_near
from consumer.remote_write.series import SeriesBlock

_ODD = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)

_SHARDS_PER_REQUEST = 4
_LEAST = 8


def cut(blocks: Sequence[SeriesBlock], count: int) -> dict[int, list[SeriesBlock]]:
    """The blocks of each of ``count`` shards that has any; what they share stays shared."""
    if count == 1:
        return {0: list(blocks)}
    cutter = _Cutter(count)
    found: dict[int, list[SeriesBlock]] = {}
    for block in blocks:
        for shard, part in cutter.parts(block):
            found.setdefault(shard, []).append(part)
    return found


def count_for(samples: int, under_way: int, most: int, max_samples: int) -> int:
    """As many shards as there are full requests, but at least one and no more than ``most``.

    No more either than keep so many requests ``under_way`` (see ``resharding``) while some
    shards are stuck or empty, and leave room for more: each shard has its part of every block,
    so what a tick costs to encode grows with their number.
    """
    enough = max(_LEAST, _SHARDS_PER_REQUEST * under_way)
    return max(1, min(most, enough, samples // max_samples))


def is_worth_it(wanted: int, present: int) -> bool:
    """Whether to drain ``present`` shards for the sake of another number."""
    return wanted != present and not is_near(wanted, present)


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """The rows of a block put in order of their shards: ``rows`` is intp[n].

    ``spans``: each shard that has any, and which of those rows are its.
    """

    rows: NDArray[np.intp]
    spans: Sequence[tuple[int, slice]]


class _Cutter:
    """Cuts blocks of one tick; what several of them share is put in order once.

    They are known by their id, since the blocks being cut keep them alive.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._hashes = _Hashes()
        self._orders: dict[Hashable, _Order] = {}
        self._columns: dict[tuple[int, int], list[NDArray[Any]]] = {}

    def parts(self, block: SeriesBlock) -> Iterator[tuple[int, SeriesBlock]]:
        """(shard, its series in their order)."""
        order = self._order(block)
        labels, newborn, start_ms, ended = (
            self._shared(order, column)
            for column in (block.labels, block.newborn, block.start_ms, block.ended)
        )
        values, histograms, exemplars = block.values[order.rows], block.histograms, block.exemplars
        if histograms is not None:
            histograms = histograms.cut(order.rows)
        if exemplars is not None:
            exemplars = exemplars.cut(order.rows, len(block))
        for index, (shard, rows) in enumerate(order.spans):
            yield (
                shard,
                replace(
                    block,
                    labels=labels[index],
                    values=values[rows],
                    newborn=newborn[index],
                    start_ms=start_ms[index],
                    ended=ended[index],
                    histograms=None if histograms is None else histograms.cut(rows),
                    exemplars=None if exemplars is None else exemplars.cut(rows, len(block)),
                ),
            )

    def _order(self, block: SeriesBlock) -> _Order:
        key = (id(block.labels), id(block.strings), block.label_names)
        known = self._orders.get(key)
        if known is None:
            places = self._hashes.of(block) % np.uint64(self._count)
            rows = np.argsort(places.astype(np.uint16), kind="stable")
            ends = np.cumsum(np.bincount(places.astype(np.intp), minlength=self._count))
            bounds = enumerate(pairwise([0, *ends.tolist()]))
            spans = [(shard, slice(start, end)) for shard, (start, end) in bounds if start < end]
            known = self._orders[key] = _Order(rows, spans)
        return known

    def _shared(self, order: _Order, column: NDArray[Any]) -> list[NDArray[Any]]:
        """The part of ``column`` that each shard has."""
        key = (id(order), id(column))
        known = self._columns.get(key)
        if known is None:
            ordered = column[order.rows]
            known = self._columns[key] = [ordered[rows] for _, rows in order.spans]
        return known


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
