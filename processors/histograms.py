"""Durations as columns: classic histograms, native ones, and the spans that stand for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.delta import Family, Instrument, NativeShape
from processors.grouping import Groups, group, observe
from processors.sparse import Cells, Exemplars, SomeSpans, choose

ZERO_THRESHOLD = 2.0**-128
"""What is not greater counts in the zero bucket; no duration but 0 is so short."""

_FINEST, _COARSEST = 8, -4
_BUCKET_OFFSET = 1 << 19
"""Makes the number of any bucket of a finite value positive: 1024 * 2**8 is less."""

_OCTAVE_OF_ZERO = -32
"""Below that of the shortest duration there is: a nanosecond's is -29."""


DEFAULT_SHAPE = NativeShape(schema=3, max_buckets=100, min_reset_ms=900_000)
"""Tempo's (tempo-behaviour.md 3.13): buckets that grow by a factor of 1.1 at most."""


@dataclass(frozen=True, slots=True)
class HistogramSettings:
    """Which histograms a tenant gets, and whether spans are named as exemplars."""

    classic: bool = True
    native: bool = False
    shape: NativeShape = DEFAULT_SHAPE
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What one family counts in each of ``g`` groups, as frames have it."""

    values: NDArray[np.float64]
    cells: Cells | None = None
    exemplars: Exemplars | None = None


def duration_families(
    name: str, text: str, bounds: tuple[float, ...], settings: HistogramSettings
) -> Mapping[Instrument, Family]:
    """The families of a histogram of seconds: classic, native or both."""
    families = {}
    if settings.classic:
        of_kind = Instrument.HISTOGRAM
        families[of_kind] = Family(name, of_kind, text, "seconds", bounds)
    if settings.native:
        of_kind = Instrument.NATIVE_HISTOGRAM
        families[of_kind] = Family(name, of_kind, text, "seconds", shape=settings.shape)
    return families


def count(
    groups: Groups, weights: NDArray[np.float64] | None, exemplars: Exemplars | None
) -> Measured:
    """How many rows each group has, each ``weights`` times."""
    counts = groups.count() if weights is None else groups.sum(weights)
    return Measured(counts[:, np.newaxis], exemplars=exemplars)


def measure(
    family: Family,
    groups: Groups,
    seconds: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
    spans: SomeSpans | None = None,
) -> Measured:
    """``seconds`` (float64[n]) in each group by the histogram ``family``; NaN do not count.

    Each counts ``weights`` times (float64[n]). ``spans`` are told as exemplars if given.
    """
    if family.shape is not None:
        return _measure_native(family.shape, groups, seconds, weights, spans)
    values, bucket = observe(groups, seconds, family.bounds, weights)
    exemplars = None if spans is None else choose(spans, groups.of_row, seconds, bucket)
    return Measured(values, exemplars=exemplars)


def schema_of(factor: float) -> int:
    """The coarsest schema whose buckets grow by ``factor`` (over 1) at most.

    A bucket of schema s grows by 2**(2**-s); schemas are -4 to 8 (Prometheus, native
    histograms). 1.1 gives 3 (tempo-behaviour.md 3.13).
    """
    return min(_FINEST, max(_COARSEST, -math.floor(math.log2(math.log2(factor)))))


def bucket_of(values: NDArray[np.float64], schema: int) -> NDArray[np.int32]:
    """The bucket of each of ``values`` (float64[n], positive and finite) at ``schema``."""
    fraction, exponent = np.frexp(values)
    if schema > 0:
        parts = 1 << schema
        bounds = 0.5 * np.exp2(np.arange(parts) / parts)
        found = np.searchsorted(bounds, fraction, side="left") + (exponent - 1) * parts
    else:
        found = coarser(exponent - (fraction == 0.5), -schema)
    return np.asarray(found, np.int32)


def coarser(bucket: NDArray[np.int32], halvings: NDArray[np.int8] | int) -> NDArray[np.int32]:
    """The bucket that holds ``bucket`` after ``halvings`` of the resolution."""
    whole = np.left_shift(np.int32(1), halvings, dtype=np.int32)
    return np.right_shift(bucket + (whole - np.int32(1)), halvings).astype(np.int32)


def _measure_native(
    shape: NativeShape,
    groups: Groups,
    seconds: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    spans: SomeSpans | None,
) -> Measured:
    rows = np.flatnonzero(~np.isnan(seconds))
    of_row, taken = groups.of_row[rows], seconds[rows]
    weight = np.ones(len(rows)) if weights is None else weights[rows]
    is_zero = taken <= ZERO_THRESHOLD
    values = np.empty((len(groups), 3))
    for column, each in enumerate((weight, weight * is_zero, weight * taken)):
        values[:, column] = np.bincount(of_row, weights=each, minlength=len(groups))
    of_row, weight, positive = of_row[~is_zero], weight[~is_zero], taken[~is_zero]
    bucket = bucket_of(positive, shape.schema)
    cells = group([of_row, (bucket + _BUCKET_OFFSET).astype(np.uint32)])
    exemplars = None
    if spans is not None:
        octave = np.full(len(seconds), _OCTAVE_OF_ZERO, np.int32)
        octave[rows[~is_zero]] = bucket_of(positive, 0)
        exemplars = choose(spans, groups.of_row, seconds, octave)
    return Measured(
        values,
        Cells(of_row[cells.first], bucket[cells.first], cells.sum(weight)),
        exemplars,
    )
