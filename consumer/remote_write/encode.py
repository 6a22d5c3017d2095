"""Columns in, remote-write 1.0 requests out: protobuf in a snappy block.

Written by hand because a protobuf object per label costs more than everything else the
sender does. A label's bytes are made once per distinct value of an encoding and then only
joined. Wire format: prometheus.WriteRequest{timeseries=1}, TimeSeries{labels=1,
samples=2, exemplars=3, histograms=4}, Label{name=1, value=2}, Sample{value=1, timestamp=2},
Exemplar{labels=1, value=2, timestamp=3} (remote write specification 1.0, "Protobuf
messages").

Bounds: beside its input an encoding holds one request and the rows of one slice (at most
``max_samples`` series), plus a fragment for each distinct label. A request knows its rows,
so that it can be made again of fewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import add

import numpy as np
import snappy
from numpy.typing import NDArray

from consumer.remote_write.labels import LabelEncoder, encode_label, series_text
from consumer.remote_write.native_histograms import empty_field, histogram_field
from consumer.remote_write.request import Dropped, EncodedRequest, Limits
from consumer.remote_write.series import Exemplars, MetricType, SeriesBlock, halves
from consumer.remote_write.time_series import (
    NO_ZERO,
    ExemplarFields,
    Part,
    Samples,
    Series,
    Writer,
    fastest_writer,
    sample_field,
)

STALE_NAN_BITS = 0x7FF0000000000002
NORMAL_NAN_BITS = 0x7FF8000000000001

HISTOGRAM = b"\x22"
"""The tag of TimeSeries.histograms."""


def encode(
    blocks: Iterable[SeriesBlock], time_ms: int, limits: Limits, dropped: Dropped
) -> Iterator[EncodedRequest]:
    """The requests for one tenant's ``blocks`` at ``time_ms``, encoded as they are asked for.

    A newborn cumulative series whose ``start_ms`` is before ``time_ms`` gets a zero
    sample there, so that a receiver sees its first increment. Native histograms and
    exemplars go with their series. Series that cannot be encoded are left out alone and
    reported to ``dropped``.
    """
    writer = fastest_writer()
    labels = LabelEncoder(new_fragments=writer.new_fragments)
    request = _Request(limits, time_ms)
    for block in blocks:
        for start in range(0, len(block), limits.samples):
            rows = block.cut(slice(start, start + limits.samples))
            parts, invalid = labels.parts(rows)
            if invalid:
                rows = _without(rows, invalid, time_ms, dropped)
                parts, _ = labels.parts(rows)
            if len(rows):
                yield from request.add(_Rows.of(rows, parts, time_ms, writer))
    if request.series:
        yield request.take()


class _Told(Enum):
    """Which samples of series are told."""

    ALL = 0
    ZEROS = 1
    """Those before the first increment alone."""
    VALUES = 2
    """All others, and exemplars."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Series of a block as bytes.

    ``ends`` (int64[n]): where each ends in ``content``; ``counts`` (int64[n]): its samples.
    """

    block: SeriesBlock
    content: bytes
    ends: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        block: SeriesBlock,
        parts: Sequence[Part],
        time_ms: int,
        writer: Writer,
        told: _Told = _Told.ALL,
    ) -> _Rows:
        """The series of ``block`` with the labels in ``parts``."""
        zero_ms = np.where(_has_zero(block, time_ms), block.start_ms, NO_ZERO)
        counts = (zero_ms != NO_ZERO).astype(np.int64)
        counts += 0 if told is _Told.ZEROS else 1
        samples = None
        if told is _Told.VALUES:
            zero_ms = np.full(len(block), NO_ZERO)
            counts = np.ones(len(block), np.int64)
        if block.histograms is None and told is not _Told.ZEROS:
            samples = Samples(time_ms, bits_of(block), zero_ms)
        tails = _tails(block, time_ms, zero_ms, told)
        exemplars = None
        if block.exemplars is not None and told is not _Told.ZEROS:
            exemplars = _exemplar_fields(block.exemplars)
        content, ends = writer.write(Series(len(block), parts, samples, tails, exemplars))
        return cls(block, content, ends, counts)

    def __len__(self) -> int:
        return len(self.block)


def _has_zero(block: SeriesBlock, time_ms: int) -> NDArray[np.bool_]:
    """Which series of ``block`` have a zero sample before their first (bool[n])."""
    if block.type is MetricType.GAUGE:
        return np.zeros(len(block), np.bool_)
    return np.asarray(block.newborn & (block.start_ms < time_ms))


def _tails(
    block: SeriesBlock, time_ms: int, zero_ms: NDArray[np.int64], told: _Told
) -> list[bytes] | None:
    """The native histograms of each series, or its zero sample alone; ``None`` for neither."""
    if block.histograms is None and told is not _Told.ZEROS:
        return None
    tails = [b""] * len(block)
    for row in np.flatnonzero(zero_ms != NO_ZERO).tolist():
        tails[row] = _zero(block, row, int(zero_ms[row]))
    if told is _Told.ZEROS:
        return tails
    return list(map(add, tails, histogram_fields(block, time_ms, HISTOGRAM)))


def _zero(block: SeriesBlock, row: int, start_ms: int) -> bytes:
    if block.histograms is None:
        return sample_field(bytes(8), start_ms)
    return empty_field(HISTOGRAM, block.histograms.cut(slice(row, row + 1)), start_ms)


def _without(
    block: SeriesBlock, invalid: Mapping[int, str], time_ms: int, dropped: Dropped
) -> SeriesBlock:
    """``block`` without the rows that are ``invalid``, which are reported."""
    has_zero = _has_zero(block, time_ms)
    for row, reason in invalid.items():
        dropped(reason, 1 + int(has_zero[row]))
    is_valid = np.ones(len(block), np.bool_)
    is_valid[list(invalid)] = False
    return block.cut(np.flatnonzero(is_valid))


class _Request:
    """The request being filled."""

    def __init__(self, limits: Limits, time_ms: int) -> None:
        self._limits = limits
        self._time_ms = time_ms
        self._clear()

    def _clear(self) -> None:
        self._contents: list[bytes] = []
        self._blocks: list[SeriesBlock] = []
        self._samples = 0
        self._histograms = 0
        self._size = 0
        self.series = 0

    def add(self, rows: _Rows) -> Iterator[EncodedRequest]:
        """Take ``rows`` in; yields each request that they fill."""
        samples = int(rows.counts.sum())
        is_small = self._size + len(rows.content) <= self._limits.size_bytes
        if is_small and self._samples + samples <= self._limits.samples:
            self._append(rows.content, rows.block, samples)
            return
        ends = np.concatenate([[0], rows.ends])
        counts = np.concatenate([[0], np.cumsum(rows.counts)])
        row = 0
        while row < len(rows):
            size = ends[row] + self._limits.size_bytes - self._size
            samples = counts[row] + self._limits.samples - self._samples
            by_size = np.searchsorted(ends, size, side="right")
            by_count = np.searchsorted(counts, samples, side="right")
            stop = int(min(by_size, by_count)) - 1
            if stop <= row:
                if self.series:
                    yield self.take()
                    continue
                stop = row + 1
            content, block = rows.content[ends[row] : ends[stop]], rows.block.cut(slice(row, stop))
            self._append(content, block, int(counts[stop] - counts[row]))
            row = stop

    def _append(self, content: bytes, block: SeriesBlock, samples: int) -> None:
        self._contents.append(content)
        self._blocks.append(block)
        self._size += len(content)
        self._samples += samples
        self._histograms += samples if block.histograms is not None else 0
        self.series += len(block)

    def take(self) -> EncodedRequest:
        """Close the request and begin another."""
        request = EncodedRequest(
            snappy.compress(b"".join(self._contents)),
            self.series,
            self._samples,
            histograms=self._histograms,
            exemplars=exemplars_in(self._blocks),
            origin=_Part(self._blocks, self._time_ms),
        )
        self._clear()
        return request


@dataclass(frozen=True, slots=True)
class _Part:
    """What a request holds: series that can be encoded, and which of their samples."""

    blocks: Sequence[SeriesBlock]
    time_ms: int
    told: _Told = _Told.ALL

    def split(self) -> Sequence[EncodedRequest]:
        """Zero samples apart from the others, else two halves."""
        if self.told is _Told.ALL:
            born = [
                block.cut(np.flatnonzero(_has_zero(block, self.time_ms))) for block in self.blocks
            ]
            if any(map(len, born)):
                zeros = _Part([block for block in born if len(block)], self.time_ms, _Told.ZEROS)
                return [zeros.request(), _Part(self.blocks, self.time_ms, _Told.VALUES).request()]
        if sum(map(len, self.blocks)) < 2:
            return ()
        return [_Part(half, self.time_ms, self.told).request() for half in halves(self.blocks)]

    def as_v1(self) -> Sequence[EncodedRequest]:
        """Nothing to do."""
        return ()

    def example(self) -> str:
        """The first series."""
        return series_text(self.blocks[0], 0)

    def request(self) -> EncodedRequest:
        """A request of all series, each with one sample."""
        writer = fastest_writer()
        labels = LabelEncoder(new_fragments=writer.new_fragments)
        contents = []
        for block in self.blocks:
            parts, _ = labels.parts(block)
            contents.append(_Rows.of(block, parts, self.time_ms, writer, self.told).content)
        count = sum(map(len, self.blocks))
        are_zeros = self.told is _Told.ZEROS
        return EncodedRequest(
            snappy.compress(b"".join(contents)),
            0 if are_zeros else count,
            count,
            histograms=sum(len(block) for block in self.blocks if block.histograms is not None),
            exemplars=0 if are_zeros else exemplars_in(self.blocks),
            origin=self,
        )


def exemplars_in(blocks: Iterable[SeriesBlock]) -> int:
    """How many exemplars ``blocks`` have."""
    return sum(len(block.exemplars or ()) for block in blocks)


def bits_of(block: SeriesBlock) -> NDArray[np.uint64]:
    """The bits of the values; only bits are moved, since arithmetic quiets a stale NaN."""
    bits = np.array(block.values, np.float64, order="C").view(np.uint64)
    bits[bits == STALE_NAN_BITS] = NORMAL_NAN_BITS
    bits[block.ended] = STALE_NAN_BITS
    return bits


def histogram_fields(
    block: SeriesBlock, time_ms: int, tag: bytes, starts: Sequence[int] = ()
) -> list[bytes]:
    """The Histogram field of each native histogram of ``block``; ``starts`` are of 2.0."""
    assert block.histograms is not None
    fields = []
    for row, ended in enumerate(block.ended.tolist()):
        one = block.histograms.cut(slice(row, row + 1))
        start_ms = (starts[row] or None) if starts else None
        fields.append(histogram_field(tag, one, time_ms, ended=ended, start_ms=start_ms))
    return fields


def _exemplar_fields(exemplars: Exemplars) -> ExemplarFields:
    """``exemplars`` with labels as 1.0 has them."""
    labels = []
    for name, numbers in exemplars.ids():
        digits = bytes(16 * numbers.shape[1])
        labels.append((encode_label(name, digits)[: -len(digits)], numbers))
    return ExemplarFields(exemplars.row, float_bits(exemplars.value), exemplars.time_ms, labels)


def float_bits(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """The bits of each of ``values``."""
    return np.ascontiguousarray(values, np.float64).view(np.uint64)
