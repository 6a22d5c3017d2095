"""What slots of a table have besides values: buckets of native histograms, and exemplars.

Bounds: after each collection a slot has at most ``NativeShape.max_buckets`` buckets and no
exemplar; in between, what deltas bring is added up whenever it outgrows what there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.delta import NativeShape
from processors.histograms import coarser
from processors.sparse import Cells, Exemplars

Slots = NDArray[np.intp]
Flags = NDArray[np.bool_]

_BUCKET_BITS = np.uint64(20)
_BUCKET_OFFSET = 1 << 19
_COARSEST = -4
_LEAST_PENDING = 1 << 16
"""Entries that may wait to be added up, however few there are already."""

_PENDING_SHARE = 2
"""Exemplars that may wait for each that is settled: settling goes over all of both."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets of ``n`` histograms: those of the i-th are rows ``offsets[i]:offsets[i + 1]``.

    ``schema`` is int8[n], ``offsets`` int64[n + 1], ``bucket`` int32[c] (ascending in each
    histogram), ``count`` float64[c].
    """

    schema: NDArray[np.int8]
    offsets: NDArray[np.int64]
    bucket: NDArray[np.int32]
    count: NDArray[np.float64]


class CellStore:
    """Counts of one native family by slot and bucket.

    Counts add up in the order they came, however often they are added up meanwhile, so two
    registries that fold the same deltas hold the same bits.
    """

    def __init__(self, shape: NativeShape) -> None:
        self._shape = shape
        self._keys = np.zeros(0, np.uint64)
        self._counts = np.zeros(0)
        self._pending: list[tuple[NDArray[np.uint64], NDArray[np.float64]]] = []
        self._waiting = 0
        self._halvings = np.zeros(0, np.int8)
        self._since_ms = np.zeros(0, np.int64)

    def grow(self, room: int) -> None:
        """Have ``room`` for so many slots."""
        more = room - len(self._halvings)
        self._halvings = np.append(self._halvings, np.zeros(more, np.int8))
        self._since_ms = np.append(self._since_ms, np.zeros(more, np.int64))

    def add(self, cells: Cells) -> None:
        """Add ``cells``, whose rows are slots, at the schema of the family."""
        bucket = coarser(cells.bucket, self._halvings[cells.row])
        self._put(_keys(cells.row, bucket), cells.count)

    def begin(self, slots: Slots, time_ms: int) -> None:
        """The histograms in ``slots`` were told first at ``time_ms``."""
        self._since_ms[slots] = time_ms

    def fit(self) -> None:
        """Halve the resolution of what has too many buckets, until it has not."""
        self._settle()
        while True:
            slots = (self._keys >> _BUCKET_BITS).astype(np.intp)
            number = np.bincount(slots, minlength=len(self._halvings))
            is_coarsest = self._shape.schema - self._halvings <= _COARSEST
            too_many = (number > self._shape.max_buckets) & ~is_coarsest
            if not too_many.any():
                return
            self._halvings[too_many] += 1
            bucket = coarser(_bucket(self._keys), too_many[slots].astype(np.int8))
            self._keys, self._counts = _added_up(_keys(slots, bucket), self._counts)

    def outgrown(self, time_ms: int) -> Flags:
        """The slots of reduced resolution that may begin anew at ``time_ms`` (bool[room])."""
        is_old = time_ms - self._since_ms >= self._shape.min_reset_ms
        return np.asarray((self._halvings > 0) & is_old)

    def of(self, slots: Slots) -> Buckets:
        """The buckets in ``slots`` (intp[n]), after :meth:`fit`."""
        self._settle()
        first = np.searchsorted(self._keys, _keys(slots, _lowest(slots)))
        last = np.searchsorted(self._keys, _keys(slots + 1, _lowest(slots)))
        lengths = last - first
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], lengths)
        return Buckets(
            schema=(self._shape.schema - self._halvings[slots]).astype(np.int8),
            offsets=offsets,
            bucket=_bucket(self._keys[places]),
            count=self._counts[places],
        )

    def clear(self, slots: Flags) -> None:
        """Empty the ``slots`` (bool[room]); what comes next has full resolution."""
        self._settle()
        kept = ~slots[(self._keys >> _BUCKET_BITS).astype(np.intp)]
        self._keys, self._counts = self._keys[kept], self._counts[kept]
        self._halvings[slots] = 0

    def move(self, slots: Slots, other: CellStore, others: Slots) -> None:
        """Let what is in ``slots`` go on in the slots ``others`` of a store of equal shape."""
        found = self.of(slots)
        other._halvings[others] = self._halvings[slots]
        other._since_ms[others] = self._since_ms[slots]
        row = np.repeat(others, np.diff(found.offsets))
        other._put(_keys(row, found.bucket), found.count)

    def dump(self, slots: Slots) -> dict[str, NDArray[Any]]:
        """What is in ``slots`` (intp[n]), for :meth:`load`."""
        found = self.of(slots)
        return {
            "halvings": self._halvings[slots],
            "since_ms": self._since_ms[slots],
            "offsets": found.offsets,
            "bucket": found.bucket,
            "count": found.count,
        }

    def load(self, slots: Slots, dumped: Mapping[str, NDArray[Any]]) -> None:
        """Put what was dumped into ``slots`` (intp[n]), which are empty."""
        self._halvings[slots] = dumped["halvings"]
        self._since_ms[slots] = dumped["since_ms"]
        row = np.repeat(slots, np.diff(dumped["offsets"]))
        self._put(_keys(row, dumped["bucket"]), dumped["count"])

    def _put(self, keys: NDArray[np.uint64], counts: NDArray[np.float64]) -> None:
        self._pending.append((keys, counts))
        self._waiting += len(keys)
        if self._waiting > max(_LEAST_PENDING, len(self._keys)):
            self._settle()

    def _settle(self) -> None:
        if self._pending:
            keys, counts = zip((self._keys, self._counts), *self._pending, strict=True)
            self._pending, self._waiting = [], 0
            self._keys, self._counts = _added_up(np.concatenate(keys), np.concatenate(counts))


class ExemplarStore:
    """The slowest spans of one family since they were last told, by slot and bucket."""

    def __init__(self) -> None:
        self._settled: Exemplars | None = None
        self._pending: list[Exemplars] = []
        self._waiting = 0

    def add(self, exemplars: Exemplars) -> None:
        """Take ``exemplars``, whose rows are slots."""
        self._pending.append(exemplars)
        self._waiting += len(exemplars)
        kept = 0 if self._settled is None else len(self._settled)
        if self._waiting > max(_LEAST_PENDING, _PENDING_SHARE * kept):
            self._settle()

    def take(self, slots: Slots) -> Exemplars | None:
        """The exemplars of ``slots`` (intp[n]), which lose them; rows are those of ``slots``."""
        taken = self.dump(slots)
        if taken is None or self._settled is None:
            return None
        is_left = np.isin(self._settled.row, slots, invert=True)
        self._settled = self._settled.where(is_left)
        return taken.ordered()

    def clear(self, slots: Flags) -> None:
        """Drop the exemplars of ``slots`` (bool[room])."""
        known = self._settle()
        if known is not None:
            self._settled = known.where(~slots[known.row])

    def move(self, slots: Slots, other: ExemplarStore, others: Slots) -> None:
        """Let those of ``slots`` go on in the slots ``others`` of another store."""
        taken = self.take(slots)
        if taken is not None:
            other.add(taken.at(others))

    def dump(self, slots: Slots) -> Exemplars | None:
        """Those of ``slots`` (intp[n]); rows are those of ``slots``."""
        known = self._settle()
        if known is None or not len(known):
            return None
        place = np.full(max(int(known.row.max()), int(slots.max(initial=0))) + 1, -1, np.intp)
        place[slots] = np.arange(len(slots))
        return known.at(place)

    def _settle(self) -> Exemplars | None:
        if self._pending:
            parts = self._pending if self._settled is None else [self._settled, *self._pending]
            self._settled = Exemplars.concatenate(parts).slowest()
            self._pending, self._waiting = [], 0
        return self._settled


def _keys(slots: Slots, bucket: NDArray[np.int32]) -> NDArray[np.uint64]:
    return slots.astype(np.uint64) << _BUCKET_BITS | (bucket + _BUCKET_OFFSET).astype(np.uint64)


def _bucket(keys: NDArray[np.uint64]) -> NDArray[np.int32]:
    number = (keys & np.uint64((1 << int(_BUCKET_BITS)) - 1)).astype(np.int32)
    return number - np.int32(_BUCKET_OFFSET)


def _lowest(slots: Slots) -> NDArray[np.int32]:
    return np.full(len(slots), -_BUCKET_OFFSET, np.int32)


def _added_up(
    keys: NDArray[np.uint64], counts: NDArray[np.float64]
) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """Distinct keys, ascending, each with the sum of its counts in the order they stand."""
    distinct, of_key = np.unique(keys, return_inverse=True)
    sums = np.bincount(of_key, weights=counts, minlength=len(distinct))
    return distinct, sums.astype(np.float64, copy=False)
