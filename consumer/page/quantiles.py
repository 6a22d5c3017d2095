"""Quantiles of classic histograms, many at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def quantile(
    share: float, bounds: NDArray[np.float64], cumulative: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimate a quantile of each row as ``histogram_quantile`` does (float64[n]).

    ``bounds`` (float64[b]) are upper bounds, the last infinite; ``cumulative`` is
    float64[n, b]. NaN without observations; the highest finite bound when it lies beyond.
    """
    if not len(bounds):
        return np.full(len(cumulative), np.nan)
    cumulative = np.maximum.accumulate(cumulative, axis=1)
    total = cumulative[:, -1]
    rank = share * total
    bucket = (cumulative >= rank[:, np.newaxis]).argmax(axis=1)
    rows = np.arange(len(cumulative))
    is_first = bucket == 0
    lower = np.where(is_first, 0.0, bounds[bucket - 1])
    below = np.where(is_first, 0.0, cumulative[rows, bucket - 1])
    inside = cumulative[rows, bucket] - below
    upper = np.where(np.isinf(bounds[bucket]), lower, bounds[bucket])
    part = np.divide(rank - below, inside, out=np.zeros_like(rank), where=inside > 0)
    return np.where(total > 0, lower + (upper - lower) * part, np.nan)
