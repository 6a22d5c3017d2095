"""Classic histograms as columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from processors.grouping import Groups


def observe(
    groups: Groups,
    values: NDArray[np.float64],
    bounds: Sequence[float],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Histogram of ``values`` (float64[n]) in each group; rows that are NaN do not count.

    A value belongs to the first bucket whose upper bound is not below it
    (tempo-behaviour.md 3.11), and counts ``weights`` times (float64[n]). Returns
    float64[g, len(bounds) + 2]: counts per bucket, not cumulative, +Inf last, and then
    the sum.
    """
    of_row = groups.of_row
    measured = ~np.isnan(values)
    if not measured.all():
        of_row, values = of_row[measured], values[measured]
        weights = None if weights is None else weights[measured]
    buckets = len(bounds) + 1
    bucket = np.searchsorted(np.asarray(bounds), values, side="left")
    cells = of_row * buckets + bucket
    counts = np.bincount(cells, weights=weights, minlength=len(groups) * buckets)
    histogram = np.empty((len(groups), buckets + 1))
    histogram[:, :buckets] = counts.reshape(len(groups), buckets)
    sums = values if weights is None else values * weights
    histogram[:, buckets] = np.bincount(of_row, weights=sums, minlength=len(groups))
    return histogram
