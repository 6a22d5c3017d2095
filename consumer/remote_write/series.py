"""What a sender takes: the samples of one tick, as columns, tenant by tenant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = slice | NDArray[np.intp]

SPAN_ID = "span_id"
"""The label of an exemplar that holds the span id."""


class MetricType(Enum):
    """Type of the family a block belongs to, as Prometheus names them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class NativeHistograms:
    """``n`` native histograms without negative values.

    ``schema`` is int8[n]; ``count``, ``zero_count`` and ``sum`` are float64[n]; what is not
    over ``zero_threshold`` is in the zero bucket. The other buckets of the i-th are rows
    ``offsets[i]:offsets[i + 1]`` (int64[n + 1]) of ``bucket`` (int32[c], ascending) and
    ``bucket_count`` (float64[c]): bucket i of schema s ends, inclusively, at 2**(i * 2**-s).
    """

    schema: NDArray[np.int8]
    zero_threshold: float
    count: NDArray[np.float64]
    zero_count: NDArray[np.float64]
    sum: NDArray[np.float64]
    offsets: NDArray[np.int64]
    bucket: NDArray[np.int32]
    bucket_count: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.schema)

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """The arrays."""
        numbers = (self.count, self.zero_count, self.sum, self.bucket_count)
        return (self.schema, *numbers, self.offsets, self.bucket)

    def cut(self, rows: Rows) -> NativeHistograms:
        """The histograms in ``rows`` alone."""
        first, last = self.offsets[:-1][rows], self.offsets[1:][rows]
        offsets = np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64)
        places = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], last - first)
        return NativeHistograms(
            schema=self.schema[rows],
            zero_threshold=self.zero_threshold,
            count=self.count[rows],
            zero_count=self.zero_count[rows],
            sum=self.sum[rows],
            offsets=offsets,
            bucket=self.bucket[places],
            bucket_count=self.bucket_count[places],
        )


@dataclass(frozen=True, slots=True)
class Exemplars:
    """``e`` exemplars; ``row`` (intp[e], ascending) is the series that each belongs to.

    ``value`` is float64[e]; ``trace_id`` (uint64[e, 2], big-endian halves) and ``span_id``
    (uint64[e]) are told in hexadecimal, the trace id under ``trace_id_label``; ``time_ms``
    is int64[e].
    """

    row: NDArray[np.intp]
    value: NDArray[np.float64]
    trace_id: NDArray[np.uint64]
    span_id: NDArray[np.uint64]
    time_ms: NDArray[np.int64]
    trace_id_label: str

    def __len__(self) -> int:
        return len(self.row)

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """The arrays."""
        return (self.row, self.value, self.trace_id, self.span_id, self.time_ms)

    def cut(self, rows: Rows, series: int) -> Exemplars:
        """Those of ``rows`` (distinct) of ``series`` alone, in the order of ``rows``."""
        if isinstance(rows, slice):
            first, last, _ = rows.indices(series)
            kept: slice | NDArray[np.intp] = slice(*np.searchsorted(self.row, (first, last)))
            row = self.row[kept] - first
        else:
            place = np.full(series, -1, np.intp)
            place[rows] = np.arange(len(rows))
            found = np.flatnonzero(place[self.row] >= 0)
            kept = found[np.argsort(place[self.row[found]], kind="stable")]
            row = place[self.row[kept]]
        return Exemplars(
            row=row,
            value=self.value[kept],
            trace_id=self.trace_id[kept],
            span_id=self.span_id[kept],
            time_ms=self.time_ms[kept],
            trace_id_label=self.trace_id_label,
        )

    def ids(self) -> list[tuple[str, NDArray[np.uint64]]]:
        """The labels, sorted by name, and the numbers of each exemplar (uint64[e, k])."""
        ids = [(self.trace_id_label, self.trace_id), (SPAN_ID, self.span_id[:, np.newaxis])]
        return sorted(ids, key=itemgetter(0))

    def texts(self) -> Iterator[tuple[int, float, int, tuple[tuple[str, str], ...]]]:
        """(row, value, time in ms, labels sorted by name) of each."""
        names, numbers = zip(*self.ids(), strict=True)
        labels = zip(*map(hex_texts, numbers), strict=True)
        columns = zip(self.row.tolist(), self.value.tolist(), self.time_ms.tolist(), strict=True)
        for (row, value, time_ms), texts in zip(columns, labels, strict=True):
            yield row, value, time_ms, tuple(zip(names, texts, strict=True))


def hex_texts(numbers: NDArray[np.uint64]) -> list[str]:
    """Each row of ``numbers`` (uint64[n, k]) in hexadecimal, 16 digits a number."""
    digits, width = numbers.astype(">u8").tobytes().hex(), 16 * numbers.shape[1]
    return [digits[start : start + width] for start in range(0, len(digits), width)]


@dataclass(frozen=True, slots=True)
class SeriesBlock:
    """``n`` series of one name, one sample each; they differ in ``labels`` only.

    ``constant_labels`` (``le``, external labels) are on each of them and win over a
    label of the same name. ``labels`` holds codes into ``strings`` (uint32[n, k]), one
    column per label name; a label whose text is empty is left out. ``values`` is
    float64[n]. ``newborn`` (bool[n]) marks series whose first sample this is and
    ``start_ms`` (int64[n]) says since when they count, 0 where nobody knows; a series that
    is ``ended`` (bool[n]) gets a stale marker in place of its value. Those with ``histograms`` are
    native ones, told in place of ``values``, which are their counts.

    The arrays are not changed after submission; a block may be read from any thread.
    """

    name: str
    type: MetricType
    help: str
    unit: str
    constant_labels: tuple[tuple[str, str], ...]
    label_names: tuple[str, ...]
    labels: NDArray[np.uint32]
    strings: Sequence[str]
    values: NDArray[np.float64]
    newborn: NDArray[np.bool_]
    start_ms: NDArray[np.int64]
    ended: NDArray[np.bool_]
    histograms: NativeHistograms | None = None
    exemplars: Exemplars | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """The arrays, those of histograms and exemplars among them."""
        own = (self.labels, self.values, self.newborn, self.start_ms, self.ended)
        parts = (self.histograms, self.exemplars)
        return (*own, *(each for part in parts if part is not None for each in part.columns))

    def ending(self) -> SeriesBlock:
        """The block with an end for each of its series."""
        no = np.zeros(len(self), np.bool_)
        return replace(self, newborn=no, ended=~no, exemplars=None)

    def cut(self, rows: Rows) -> SeriesBlock:
        """The block with ``rows`` (distinct) alone, in their order, strings shared."""
        if isinstance(rows, slice) and rows.indices(len(self)) == (0, len(self), 1):
            return self
        histograms, exemplars = self.histograms, self.exemplars
        return replace(
            self,
            labels=self.labels[rows],
            values=self.values[rows],
            newborn=self.newborn[rows],
            start_ms=self.start_ms[rows],
            ended=self.ended[rows],
            histograms=None if histograms is None else histograms.cut(rows),
            exemplars=None if exemplars is None else exemplars.cut(rows, len(self)),
        )


def halves(blocks: Sequence[SeriesBlock]) -> tuple[list[SeriesBlock], list[SeriesBlock]]:
    """The first half of the series in ``blocks``, and the second."""
    middle = sum(map(len, blocks)) // 2
    first: list[SeriesBlock] = []
    second: list[SeriesBlock] = []
    begin = 0
    for block in blocks:
        at = min(max(middle - begin, 0), len(block))
        first += [block.cut(slice(0, at))] if at else []
        second += [block.cut(slice(at, None))] if at < len(block) else []
        begin += len(block)
    return first, second


@dataclass(frozen=True, slots=True)
class Tick:
    """All samples of one collection: every sample carries ``time_ms``."""

    time_ms: int
    tenants: Mapping[str, Sequence[SeriesBlock]]
