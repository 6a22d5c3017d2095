"""Columns in, remote-write 1.0 requests out: protobuf in a snappy block.

Written by hand because a protobuf object per label costs more than everything else the
sender does. A label's bytes are made once per distinct value of an encoding and then only
joined. Wire format: prometheus.WriteRequest{timeseries=1}, TimeSeries{labels=1,
samples=2}, Label{name=1, value=2}, Sample{value=1, timestamp=2} (remote write
specification 1.0, "Protobuf messages").

Bounds: beside its input an encoding holds one request and the rows of one slice (at most
``max_samples`` series), plus a fragment for each distinct label.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, starmap
from operator import add

import numpy as np
import snappy
from numpy.typing import NDArray

from consumer.remote_write.labels import LabelEncoder, varint
from consumer.remote_write.request import Dropped, EncodedRequest, Limits
from consumer.remote_write.series import MetricType, SeriesBlock

STALE_NAN_BITS = 0x7FF0000000000002
NORMAL_NAN_BITS = 0x7FF8000000000001

INT64 = 0xFFFFFFFFFFFFFFFF


def encode(
    blocks: Iterable[SeriesBlock], time_ms: int, limits: Limits, dropped: Dropped
) -> Iterator[EncodedRequest]:
    """The requests for one tenant's ``blocks`` at ``time_ms``, encoded as they are asked for.

    A newborn cumulative series whose ``start_ms`` is before ``time_ms`` gets a zero
    sample there, so that a receiver sees its first increment. Series that cannot be
    encoded are left out alone and reported to ``dropped``.
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
        self.samples = sample_fields(block.values[rows], block.ended[rows], time_ms)
        self.counts = [1] * len(self.samples)
        self.labels: list[bytes] = []
        self.headers: list[bytes] = []
        self.sizes: list[int] = []
        if block.type is not MetricType.GAUGE:
            self._add_zeros(time_ms)

    def _add_zeros(self, time_ms: int) -> None:
        starts = self._block.start_ms[self._rows]
        zeros: dict[int, bytes] = {}
        for row in np.flatnonzero(self._block.newborn[self._rows] & (starts < time_ms)).tolist():
            start_ms = int(starts[row])
            zero = zeros.get(start_ms)
            if zero is None:
                zero = zeros[start_ms] = sample_field(bytes(8), start_ms)
            self.samples[row] = zero + self.samples[row]
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
            self.counts = [self.counts[row] for row in kept]
        self.labels = labels
        lengths = list(map(add, map(len, labels), map(len, self.samples)))
        self.headers = list(map(encoder.headers.__getitem__, lengths))
        self.sizes = list(map(add, lengths, map(len, self.headers)))

    def __len__(self) -> int:
        return len(self.samples)

    def join(self, rows: slice) -> bytes:
        """The bytes of ``rows``, one after another."""
        return b"".join(
            chain.from_iterable(
                zip(self.headers[rows], self.labels[rows], self.samples[rows], strict=True)
            )
        )


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
        pieces = _Pieces(self._pieces)
        request = EncodedRequest(body, self.series, self._samples, origin=pieces)
        self._clear()
        return request


@dataclass(frozen=True, slots=True)
class _Pieces:
    """What a request holds, in the rows that it was made of."""

    pieces: list[tuple[_Rows, slice]]

    def split(self) -> Sequence[EncodedRequest]:
        """Zero samples apart from the others, else two halves."""
        labels = chain.from_iterable(rows.labels[piece] for rows, piece in self.pieces)
        samples = chain.from_iterable(rows.samples[piece] for rows, piece in self.pieces)
        return _Part(list(zip(labels, samples, strict=True))).split()

    def as_v1(self) -> Sequence[EncodedRequest]:
        """Nothing to do."""
        return ()


@dataclass(frozen=True, slots=True)
class _Part:
    """Some series as bytes, labels and samples; all samples are zero samples, or none."""

    series: list[tuple[bytes, bytes]]
    zeros: bool = False

    def split(self) -> Sequence[EncodedRequest]:
        """Zero samples apart from the others, else two halves."""
        zeros: list[tuple[bytes, bytes]] = []
        values: list[tuple[bytes, bytes]] = []
        for labels, samples in self.series:
            # A field of a sample is its tag, one byte of length and so many bytes.
            cut = 2 + samples[1]
            if cut < len(samples):
                zeros.append((labels, samples[:cut]))
                values.append((labels, samples[cut:]))
            else:
                values.append((labels, samples))
        if zeros:
            parts = [_Part(zeros, zeros=True), _Part(values)]
        elif len(values) > 1:
            middle = len(values) // 2
            parts = [_Part(half, zeros=self.zeros) for half in (values[:middle], values[middle:])]
        else:
            parts = []
        return [part.request() for part in parts]

    def as_v1(self) -> Sequence[EncodedRequest]:
        """Nothing to do."""
        return ()

    def request(self) -> EncodedRequest:
        """A request of all series."""
        body = snappy.compress(b"".join(starmap(_time_series, self.series)))
        count = len(self.series)
        return EncodedRequest(body, 0 if self.zeros else count, count, origin=self)


def _time_series(labels: bytes, samples: bytes) -> bytes:
    return b"\x0a" + varint(len(labels) + len(samples)) + labels + samples


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
