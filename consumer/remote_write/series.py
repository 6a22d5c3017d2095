"""What a sender takes: the samples of one tick, as columns, tenant by tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class MetricType(Enum):
    """Type of the family a block belongs to, as Prometheus names them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class SeriesBlock:
    """``n`` series of one name, one sample each; they differ in ``labels`` only.

    ``constant_labels`` (``le``, external labels) are on each of them and win over a
    label of the same name. ``labels`` holds codes into ``strings`` (uint32[n, k]), one
    column per label name; a label whose text is empty is left out. ``values`` is
    float64[n]. ``newborn`` (bool[n]) marks series whose first sample this is and
    ``start_ms`` (int64[n]) says since when they count; a series that is ``ended``
    (bool[n]) gets a stale marker in place of its value.

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

    def __len__(self) -> int:
        return len(self.values)

    def cut(self, rows: slice | NDArray[np.intp]) -> SeriesBlock:
        """The block with ``rows`` alone, strings shared."""
        return replace(
            self,
            labels=self.labels[rows],
            values=self.values[rows],
            newborn=self.newborn[rows],
            start_ms=self.start_ms[rows],
            ended=self.ended[rows],
        )


@dataclass(frozen=True, slots=True)
class Tick:
    """All samples of one collection: every sample carries ``time_ms``."""

    time_ms: int
    tenants: Mapping[str, Sequence[SeriesBlock]]
