"""Classic histograms as columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from processors.grouping import Groups


def observe(
    groups: Groups, values: NDArray[np.float64], bounds: Sequence[float]
) -> NDArray[np.float64]:
    """Histogram of ``values`` (float64[n]) in each group.

    A value belongs to the first bucket whose upper bound is not below it
    (tempo-behaviour.md 3.11). Returns float64[g, len(bounds) + 2]: counts per bucket,
    not cumulative, +Inf last, and then the sum.
    """
    buckets = len(bounds) + 1
    bucket = np.searchsorted(np.asarray(bounds), values, side="left")
    cells = groups.of_row * buckets + bucket
    counts = np.bincount(cells, minlength=len(groups) * buckets)
    histogram = np.empty((len(groups), buckets + 1))
    histogram[:, :buckets] = counts.reshape(len(groups), buckets)
    histogram[:, buckets] = groups.sum(values)
    return histogram


def observe_measured(
    groups: Groups, values: NDArray[np.float64], bounds: Sequence[float]
) -> NDArray[np.float64]:
    """Like :func:`observe`, but rows whose value is NaN do not count."""
    measured = ~np.isnan(values)
    part = Groups(of_row=groups.of_row[measured], first=groups.first)
    return observe(part, values[measured], bounds)
