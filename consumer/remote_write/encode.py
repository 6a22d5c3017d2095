"""Columns in, remote-write 1.0 requests out: protobuf in a snappy block.

Written by hand because a protobuf object per label costs more than everything else the
sender does. A label's bytes are made once per distinct value of an encoding and then only
joined. Wire format: prometheus.WriteRequest{timeseries=1}, TimeSeries{labels=1,
samples=2, exemplars=3, histograms=4}, Label{name=1, value=2}, Sample{value=1, timestamp=2},
Exemplar{labels=1, value=2, timestamp=3} (remote write specification 1.0, "Protobuf
messages").

Bounds: beside its input an encoding holds one request and the rows of one slice (at most
``max_samples`` series), plus a fragment for each distinct label.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from operator import add
from typing import NamedTuple, TypeAlias

import numpy as np
import snappy
from numpy.typing import NDArray

from consumer.remote_write.labels import LabelEncoder, encode_label, label_text, varint
from consumer.remote_write.native_histograms import empty_field, histogram_field
from consumer.remote_write.request import Dropped, EncodedRequest, Limits
from consumer.remote_write.series import MetricType, SeriesBlock

STALE_NAN_BITS = 0x7FF0000000000002
NORMAL_NAN_BITS = 0x7FF8000000000001

EXEMPLAR, HISTOGRAM = b"\x1a", b"\x22"
"""The tags of TimeSeries.exemplars and TimeSeries.histograms."""

INT64 = 0xFFFFFFFFFFFFFFFF

Labels: TypeAlias = tuple[tuple[str, str], ...]


def encode(
    blocks: Iterable[SeriesBlock], time_ms: int, limits: Limits, dropped: Dropped
) -> Iterator[EncodedRequest]:
    """The requests for one tenant's ``blocks`` at ``time_ms``, encoded as they are asked for.

    A newborn cumulative series whose ``start_ms`` is before ``time_ms`` gets a zero
    sample there, so that a receiver sees its first increment. Native histograms and
    exemplars go with their series. Series that cannot be encoded are left out alone and
    reported to ``dropped``.
    """
    labels = LabelEncoder()
    request = _Request(limits)
    for block in blocks:
        for start in range(0, len(block), limits.samples):
            rows = _Rows(block, slice(start, start + limits.samples), time_ms)
            rows.label(labels, dropped)
            yield from request.add(rows)
    if request.series:
        yield request.take()


class _Rows:
    """The series of one slice of a block as bytes, and how many samples each carries."""

    def __init__(self, block: SeriesBlock, rows: slice, time_ms: int) -> None:
        self._block = block
        self._rows = rows
        part = block.cut(rows)
        self.samples = samples_of(part, time_ms, HISTOGRAM)
        self.are_histograms = part.histograms is not None
        self.zeros = [b""] * len(part)
        self.exemplars = [b""] * len(part)
        self.counts = [1] * len(part)
        self.exemplar_counts = [0] * len(part)
        self.labels: list[bytes] = []
        self.headers: list[bytes] = []
        self.sizes: list[int] = []
        if part.type is not MetricType.GAUGE:
            self._add_zeros(part, time_ms)
        for row, field in exemplar_fields(part, EXEMPLAR, _exemplar_labels):
            self.exemplars[row] += field
            self.exemplar_counts[row] += 1

    def _add_zeros(self, part: SeriesBlock, time_ms: int) -> None:
        zeros: dict[int, bytes] = {}
        for row in np.flatnonzero(part.newborn & (part.start_ms < time_ms)).tolist():
            start_ms = int(part.start_ms[row])
            if part.histograms is not None:
                one = part.histograms.cut(slice(row, row + 1))
                zero = empty_field(HISTOGRAM, one, start_ms)
            else:
                zero = zeros.get(start_ms) or sample_field(bytes(8), start_ms)
                zeros[start_ms] = zero
            self.zeros[row] = zero
            self.counts[row] = 2

    def label(self, encoder: LabelEncoder, dropped: Dropped) -> None:
        """Put the labels to the samples; rows without valid labels leave."""
        labels, invalid = encoder.encode(self._block, self._rows)
        if invalid:
            for row, reason in invalid.items():
                dropped(reason, self.counts[row])
            kept = [row for row in range(len(self.samples)) if row not in invalid]
            labels = [labels[row] for row in kept]
            self.samples = [self.samples[row] for row in kept]
            self.zeros = [self.zeros[row] for row in kept]
            self.exemplars = [self.exemplars[row] for row in kept]
            self.counts = [self.counts[row] for row in kept]
            self.exemplar_counts = [self.exemplar_counts[row] for row in kept]
        self.labels = labels
        columns = (labels, self.zeros, self.samples, self.exemplars)
        lengths = [sum(map(len, row)) for row in zip(*columns, strict=True)]
        self.headers = list(map(encoder.headers.__getitem__, lengths))
        self.sizes = list(map(add, lengths, map(len, self.headers)))

    def __len__(self) -> int:
        return len(self.samples)

    def join(self, rows: slice) -> bytes:
        """The bytes of ``rows``, one after another."""
        columns = (self.headers, self.labels, self.zeros, self.samples, self.exemplars)
        return b"".join(chain.from_iterable(zip(*(each[rows] for each in columns), strict=True)))


class _Request:
    """The request being filled."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._clear()

    def _clear(self) -> None:
        self._parts: list[bytes] = []
        self._pieces: list[tuple[_Rows, slice]] = []
        self._size = 0
        self._samples = 0
        self.series = 0

    def add(self, rows: _Rows) -> Iterator[EncodedRequest]:
        """Take ``rows`` in; yields each request that they fill."""
        ends = list(accumulate(rows.sizes, initial=0))
        counts = list(accumulate(rows.counts, initial=0))
        row = 0
        while row < len(rows):
            by_size = bisect_right(ends, ends[row] + self._limits.size_bytes - self._size)
            by_count = bisect_right(counts, counts[row] + self._limits.samples - self._samples)
            stop = min(by_size, by_count) - 1
            if stop <= row:
                if self.series:
                    yield self.take()
                    continue
                stop = row + 1
            piece = slice(row, stop)
            self._parts.append(rows.join(piece))
            self._pieces.append((rows, piece))
            self._size += ends[stop] - ends[row]
            self._samples += counts[stop] - counts[row]
            self.series += stop - row
            row = stop

    def take(self) -> EncodedRequest:
        """Close the request and begin another."""
        body = snappy.compress(b"".join(self._parts))
        native = sum(sum(rows.counts[at]) for rows, at in self._pieces if rows.are_histograms)
        request = EncodedRequest(
            body,
            self.series,
            self._samples,
            histograms=native,
            exemplars=sum(sum(rows.exemplar_counts[at]) for rows, at in self._pieces),
            origin=_Pieces(self._pieces),
        )
        self._clear()
        return request


@dataclass(frozen=True, slots=True)
class _Pieces:
    """What a request holds, in the rows that it was made of."""

    pieces: list[tuple[_Rows, slice]]

    def split(self) -> Sequence[EncodedRequest]:
        """Zero samples apart from the others, else two halves."""
        zeros: list[_Series] = []
        values: list[_Series] = []
        for rows, piece in self.pieces:
            native = int(rows.are_histograms)
            for row in range(len(rows))[piece]:
                labels, zero = rows.labels[row], rows.zeros[row]
                if zero:
                    zeros.append(_Series(labels, zero, native, 0))
                told = rows.samples[row] + rows.exemplars[row]
                values.append(_Series(labels, told, native, rows.exemplar_counts[row]))
        if zeros:
            return [_Part(zeros, zeros=True).request(), _Part(values).request()]
        return _Part(values).split()

    def as_v1(self) -> Sequence[EncodedRequest]:
        """Nothing to do."""
        return ()

    def example(self) -> str:
        """The first series."""
        rows, piece = self.pieces[0]
        return label_text(rows.labels[piece][0])


class _Series(NamedTuple):
    """One series as bytes, labels and sample; how many of it are histograms, or exemplars."""

    labels: bytes
    samples: bytes
    histograms: int
    exemplars: int


@dataclass(frozen=True, slots=True)
class _Part:
    """Some series; all samples are zero samples, or none."""

    series: list[_Series]
    zeros: bool = False

    def split(self) -> Sequence[EncodedRequest]:
        """Two halves."""
        if len(self.series) < 2:
            return ()
        middle = len(self.series) // 2
        halves = (self.series[:middle], self.series[middle:])
        return [_Part(half, zeros=self.zeros).request() for half in halves]

    def as_v1(self) -> Sequence[EncodedRequest]:
        """Nothing to do."""
        return ()

    def example(self) -> str:
        """The first series."""
        return label_text(self.series[0].labels)

    def request(self) -> EncodedRequest:
        """A request of all series."""
        series = (_time_series(each.labels, each.samples) for each in self.series)
        count = len(self.series)
        return EncodedRequest(
            snappy.compress(b"".join(series)),
            0 if self.zeros else count,
            count,
            histograms=sum(each.histograms for each in self.series),
            exemplars=sum(each.exemplars for each in self.series),
            origin=self,
        )


def _time_series(labels: bytes, samples: bytes) -> bytes:
    return b"\x0a" + varint(len(labels) + len(samples)) + labels + samples


def samples_of(
    block: SeriesBlock, time_ms: int, histogram_tag: bytes, starts: Sequence[int] = ()
) -> list[bytes]:
    """The Sample field of each series, or its Histogram with the one of ``starts``, if not 0."""
    if block.histograms is None:
        return sample_fields(block.values, block.ended, time_ms)
    fields = []
    for row, ended in enumerate(block.ended.tolist()):
        one = block.histograms.cut(slice(row, row + 1))
        start_ms = (starts[row] or None) if starts else None
        fields.append(histogram_field(histogram_tag, one, time_ms, ended=ended, start_ms=start_ms))
    return fields


def exemplar_fields(
    block: SeriesBlock, tag: bytes, encode_labels: Callable[[Labels], bytes]
) -> Iterator[tuple[int, bytes]]:
    """(row, TimeSeries.exemplars) of each exemplar; fields 2 and 3 are the same in 2.0."""
    if block.exemplars is None:
        return
    for row, value, time_ms, labels in block.exemplars.texts():
        content = encode_labels(labels) + b"\x11" + struct.pack("<d", value)
        content += b"\x18" + varint(time_ms & INT64)
        yield row, tag + varint(len(content)) + content


def _exemplar_labels(labels: Labels) -> bytes:
    return b"".join(encode_label(name, value.encode()) for name, value in labels)


def sample_fields(
    values: NDArray[np.float64], ended: NDArray[np.bool_], time_ms: int
) -> list[bytes]:
    """One Sample field per value; only bits are moved, since arithmetic quiets a stale NaN."""
    bits = np.array(values, dtype="<f8", order="C").view("<i8")
    bits[bits == STALE_NAN_BITS] = NORMAL_NAN_BITS
    bits[ended] = STALE_NAN_BITS
    template = sample_field(bytes(8), time_ms)
    fields = np.empty((len(bits), len(template)), dtype=np.uint8)
    fields[:] = np.frombuffer(template, dtype=np.uint8)
    fields[:, 3:11] = bits.view(np.uint8).reshape(-1, 8)
    samples: list[bytes] = fields.view(f"V{len(template)}").ravel().tolist()
    return samples


def sample_field(value: bytes, time_ms: int, more: bytes = b"") -> bytes:
    """TimeSeries.samples with a value of eight bytes, which begins at byte 3.

    Fields 1 and 2 of a Sample are the same in 2.0; ``more`` holds its others.
    """
    sample = b"\x09" + value + b"\x10" + varint(time_ms & INT64) + more
    return b"\x12" + varint(len(sample)) + sample
