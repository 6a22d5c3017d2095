"""What goes with some rows of a frame only: buckets of native histograms, and exemplars.

Both are tables of numeric columns of which ``row`` points into the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from processors.grouping import greatest, group


@dataclass(frozen=True, slots=True)
class _Sparse:
    row: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def concatenate(cls, tables: Sequence[Self]) -> Self:
        """The entries of all ``tables``, one after another."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(each, name) for each in tables]) for name in names))

    def where(self, mask: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """The entries that ``mask`` (bool[c], or intp of their numbers) chooses.

        By :meth:`numpy.ndarray.take`: an index makes a step of its own of each row of two ids.
        """
        rows = np.flatnonzero(mask) if mask.dtype == np.bool_ else mask
        return type(self)(*(getattr(self, field.name).take(rows, axis=0) for field in fields(self)))

    def at(self, place: NDArray[np.intp]) -> Self:
        """The entries of the rows that have a ``place`` (intp[g], -1 for none), put there."""
        row = place[self.row]
        if not (row < 0).any():
            return replace(self, row=row)
        kept = self.where(row >= 0)
        rest = (getattr(kept, field.name) for field in fields(self)[1:])
        return type(self)(row[row >= 0], *rest)


@dataclass(frozen=True, slots=True)
class Cells(_Sparse):
    """``c`` buckets of native histograms: each counts ``count`` (float64[c]) more.

    ``bucket`` (int32[c]) is the number of a bucket at the schema of the family: bucket i of
    schema s ends, inclusively, at 2**(i * 2**-s). A (row, bucket) may occur repeatedly.
    """

    bucket: NDArray[np.int32]
    count: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Exemplars(_Sparse):
    """``e`` spans that stand for others of the same row and ``bucket`` (int32[e]).

    The bucket is that of a classic histogram (its column in ``values``), the octave of a
    native one (2**i is the least power of 2 that is not less than the value), and 0 for a
    counter. ``seconds`` (float64[e]) is the span's duration: of two with one row and bucket
    the slower one stays, of equal ones the one with the larger trace id, then span id.
    ``trace_id`` is uint64[e, 2], ``span_id`` uint64[e]; ``time_ms`` (int64[e]) is when the
    span ended (D13).
    """

    bucket: NDArray[np.int32]
    seconds: NDArray[np.float64]
    trace_id: NDArray[np.uint64]
    span_id: NDArray[np.uint64]
    time_ms: NDArray[np.int64]

    def slowest(self) -> Exemplars:
        """One for each row and bucket, in the order in which they appear."""
        cells = group([self.row.view(np.uint64), self.bucket.view(np.uint32)])
        return self.where(_slowest_rows(cells.of_row, self.seconds, self))

    def of_rows(self) -> Exemplars:
        """The slowest of each row, of exemplars ordered by row and bucket of time."""
        is_last = np.append(self.row[1:] != self.row[:-1], np.True_)[: len(self)]
        return replace(self.where(is_last), bucket=np.zeros(int(is_last.sum()), np.int32))

    def ordered(self) -> Exemplars:
        """The same, ordered by row and bucket."""
        return self.where(np.lexsort((self.bucket, self.row)))


@dataclass(frozen=True, slots=True)
class Spans:
    """The ``n`` spans that exemplars are chosen from.

    Ids as in :class:`processors.batch.SpanBatch`; ``end_ns`` (uint64[n]) is their end.
    """

    trace_id: NDArray[np.uint64]
    span_id: NDArray[np.uint64]
    end_ns: NDArray[np.uint64]

    def where(self, rows: NDArray[np.intp]) -> Spans:
        """The spans in ``rows`` alone."""
        return Spans(self.trace_id.take(rows, axis=0), self.span_id[rows], self.end_ns[rows])


class SomeSpans(Protocol):
    """Spans that need not be there as columns: most are never asked for."""

    def where(self, rows: NDArray[np.intp]) -> Spans:
        """The spans in ``rows``."""
        ...


def choose(
    spans: SomeSpans,
    of_row: NDArray[np.intp],
    seconds: NDArray[np.float64],
    bucket: NDArray[np.int32] | None = None,
) -> Exemplars:
    """The slowest of ``spans`` in each row and bucket (none: all in one).

    ``of_row`` (intp[n]) and ``bucket`` (int32[n]) say where each span counts, ``seconds``
    (float64[n]) how long it took; NaN and a trace id of zeros make no exemplar.
    """
    if bucket is None:
        bucket, cell = np.zeros(len(seconds), np.int32), of_row
    else:
        first, width = int(bucket.min(initial=0)), int(np.ptp(bucket)) + 1 if len(bucket) else 1
        cell = of_row * width + (bucket - first)
    rows = _slowest_rows(cell, seconds, spans)
    chosen = spans.where(rows)
    if not (chosen.trace_id[:, 0] | chosen.trace_id[:, 1]).all():
        is_named = spans.where(np.arange(len(seconds))).trace_id.any(axis=1)
        rows = _slowest_rows(cell, np.where(is_named, seconds, np.nan), spans)
        chosen = spans.where(rows)
    return Exemplars(
        row=of_row[rows],
        bucket=bucket[rows],
        seconds=seconds[rows],
        trace_id=chosen.trace_id,
        span_id=chosen.span_id,
        time_ms=(chosen.end_ns // np.uint64(1_000_000)).astype(np.int64),
    )


def _slowest_rows(
    cell: NDArray[np.intp], seconds: NDArray[np.float64], spans: SomeSpans | Exemplars
) -> NDArray[np.intp]:
    """One of ``spans`` for each cell, which orders them: of equals that of the largest ids."""
    found = greatest(cell, seconds)
    if not len(found.tied):
        return found.rows
    tied, named = found.tied, spans.where(found.tied)
    order = np.lexsort((named.span_id, named.trace_id[:, 1], named.trace_id[:, 0], cell[tied]))
    tied = tied[order]
    is_last = np.append(cell[tied[1:]] != cell[tied[:-1]], np.True_)
    winners = tied[is_last]
    rows = found.rows.copy()
    rows[np.searchsorted(cell[rows], cell[winners])] = winners
    return rows
