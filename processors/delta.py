"""What processors emit: mergeable deltas, one frame per set of label names.

Deltas of the same series add up (gauges: the last one stays), so frames of many
batches fold into one state in any grouping. That is all a registry needs to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from processors.batch import Codes, Mask


class Kind(Enum):
    """The instrument of a family."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family. ``bounds`` are a histogram's finite upper bounds, ascending."""

    name: str
    kind: Kind
    help: str
    unit: str = ""
    bounds: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Columns of this family's values: 1, or buckets incl. +Inf and the sum."""
        return len(self.bounds) + 2 if self.kind is Kind.HISTOGRAM else 1


@dataclass(frozen=True, slots=True)
class Schema:
    """What the rows of a frame are: the label names and the families they feed.

    Two frames with equal schemas feed the same table of a registry.
    """

    label_names: tuple[str, ...]
    families: tuple[Family, ...]


@dataclass(frozen=True, slots=True)
class DeltaFrame:
    """``g`` distinct label sets with their deltas.

    ``tenant``: code into ``tenants`` (uint32[g]). ``labels``: codes into ``strings``
    (uint32[g, k]), one column per label name; codes 0 and 1 are "no label".
    ``values``: for each family float64[g, width]: a counter's increment, a gauge's
    value, or a histogram's count per bucket (not cumulative, +Inf last) and then the
    sum. ``present``: for each family bool[g], where it was observed at all, or ``None``
    for everywhere.
    """

    schema: Schema
    tenants: tuple[str, ...]
    tenant: Codes
    strings: Sequence[str]
    labels: Codes
    values: tuple[NDArray[np.float64], ...]
    present: tuple[Mask | None, ...]

    def __len__(self) -> int:
        return len(self.tenant)
