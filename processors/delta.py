"""What processors emit: mergeable deltas, one frame per set of label names.

Deltas of the same series add up (gauges: the last one stays), so frames of many
batches fold into one state in any grouping. That is all a registry needs to know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from processors.batch import Codes, Mask, Projection, SpanBatch
from processors.sparse import Cells, Exemplars


class Instrument(Enum):
    """The instrument of a family."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    NATIVE_HISTOGRAM = "native_histogram"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class NativeShape:
    """How fine a native histogram is.

    ``schema`` is that of its deltas. A series with more than ``max_buckets`` halves its
    resolution until they suffice; after ``min_reset_ms`` it begins anew at full resolution.
    """

    schema: int
    max_buckets: int
    min_reset_ms: int


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family.

    ``bounds`` are a classic histogram's finite upper bounds, ascending; ``shape`` is what a
    native one has. A family of each of the two kinds may share a name.
    """

    name: str
    instrument: Instrument
    help: str
    unit: str = ""
    bounds: tuple[float, ...] = ()
    shape: NativeShape | None = None

    @property
    def width(self) -> int:
        """Columns of this family's values.

        1; for a classic histogram its buckets incl. +Inf and the sum; for a native one its
        count, the count of its zero bucket, and the sum.
        """
        if self.instrument is Instrument.HISTOGRAM:
            return len(self.bounds) + 2
        return 3 if self.instrument is Instrument.NATIVE_HISTOGRAM else 1

    @property
    def series(self) -> int:
        """Series of a label set: 1, or a classic histogram's buckets, sum and count."""
        return len(self.bounds) + 3 if self.instrument is Instrument.HISTOGRAM else 1


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
    value, a classic histogram's count per bucket (not cumulative, +Inf last) and then the
    sum, or a native one's count, zero count and sum. ``present``: for each family bool[g],
    where it was observed at all, or ``None`` for everywhere. ``cells``: the buckets of each
    native histogram; ``exemplars``: the slowest spans of each family; both ``None`` for a
    family without, and empty when no family has any.

    What limits need to know: ``first`` (intp[g]) orders the label sets by their first
    appearance in the input, ``None``: as they stand; ``spans`` (float64[g]) is the number
    of spans or edges behind each, ``None``: one. Labels of a frame that ``is_info`` tell
    about a thing and have no limit of values; none of them is empty.
    """

    schema: Schema
    tenants: tuple[str, ...]
    tenant: Codes
    strings: Sequence[str]
    labels: Codes
    values: tuple[NDArray[np.float64], ...]
    present: tuple[Mask | None, ...]
    first: NDArray[np.intp] | None = None
    spans: NDArray[np.float64] | None = None
    is_info: bool = False
    cells: tuple[Cells | None, ...] = ()
    exemplars: tuple[Exemplars | None, ...] = ()

    def __len__(self) -> int:
        return len(self.tenant)

    def spans_of_rows(self) -> NDArray[np.float64]:
        """``spans``, or ones."""
        return np.ones(len(self)) if self.spans is None else self.spans

    def take(self, rows: NDArray[np.intp]) -> DeltaFrame:
        """The frame of these ``rows`` (distinct) alone."""
        place = np.full(len(self), -1, np.intp)
        place[rows] = np.arange(len(rows))
        return replace(
            self,
            tenant=self.tenant[rows],
            labels=self.labels[rows],
            values=tuple(values[rows] for values in self.values),
            present=tuple(mask if mask is None else mask[rows] for mask in self.present),
            first=None if self.first is None else self.first[rows],
            spans=None if self.spans is None else self.spans[rows],
            cells=tuple(each and each.at(place) for each in self.cells),
            exemplars=tuple(each and each.at(place) for each in self.exemplars),
        )


@dataclass(frozen=True, slots=True)
class Output:
    """What became of the spans that a processor has finished with.

    Each span is counted once, by tenant: in ``used`` or, with the reason, in
    ``discarded``. Spans a processor still holds are in neither.
    """

    frames: Sequence[DeltaFrame] = ()
    used: Counter[str] = field(default_factory=Counter)
    discarded: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(tenant, reason) -> spans."""
    edges: Counter[str] = field(default_factory=Counter)
    """Edges by what they are: ``request`` or a connection type. Other processors have none."""
    sanitized: Counter[str] = field(default_factory=Counter)
    """Spans by tenant whose name was replaced, or would have been in earnest."""


class Processor(Protocol):
    """A query over spans. Same input, same output; no I/O, no clock.

    The worker calls :meth:`push` for every batch, in order within a lane, and
    :meth:`advance` when a lane's time has moved on without records.
    """

    name: str
    projection: Projection

    def push(self, batch: SpanBatch) -> Output:
        """Take all spans of ``batch``."""
        ...

    def advance(self, lane: int, time_ms: int) -> Output:
        """Let the record time of ``lane`` reach ``time_ms``."""
        ...

    def close(self, lane: int) -> Output:
        """Give up what is held for ``lane`` as if its time had run out."""
        ...

    def forget(self, lane: int) -> Output:
        """Drop what is held for ``lane``; nothing but its count comes of it."""
        ...

    def pending(self) -> int:
        """Spans that are held."""
        ...


class Stateless:
    """A processor that holds nothing from one batch to the next."""

    def advance(self, lane: int, time_ms: int) -> Output:
        """Nothing waits for time to pass."""
        del lane, time_ms
        return Output()

    def close(self, lane: int) -> Output:
        """Nothing is held for any lane."""
        del lane
        return Output()

    def forget(self, lane: int) -> Output:
        """Nothing is held for any lane."""
        del lane
        return Output()

    def pending(self) -> int:
        """No span is held."""
        return 0


def by_name(names: Sequence[str], counts: NDArray[np.int64]) -> Counter[str]:
    """``counts`` (int64[n]) of the first ``n`` of ``names``, of those that are not 0."""
    if len(names) > len(counts) or not counts.all():
        places = np.flatnonzero(counts)
        names, counts = [names[place] for place in places.tolist()], counts[places]
    return Counter(dict(zip(names, counts.tolist(), strict=True)))


def count_by_tenant(batch: SpanBatch, mask: Mask) -> Counter[str]:
    """Spans of each tenant where ``mask`` (bool[n]) is true."""
    names = batch.records.tenants
    if len(names) == 1:
        return by_name(names, np.array([np.count_nonzero(mask)]))
    return by_name(names, np.bincount(batch.tenant()[mask], minlength=len(names)))


def count_discarded(batch: SpanBatch, mask: Mask, reason: str) -> Counter[tuple[str, str]]:
    """Spans of each tenant where ``mask`` (bool[n]) is true, under ``reason``."""
    if not mask.any():
        return Counter()
    return Counter({(name, reason): n for name, n in count_by_tenant(batch, mask).items()})
