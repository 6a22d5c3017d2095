"""Native histograms as messages: ``prometheus.Histogram`` and ``write.v2.Histogram``.

Fields: count_int=1, count_float=2, sum=3, schema=4, zero_threshold=5, zero_count_int=6,
zero_count_float=7, positive_spans=11, positive_deltas=12, positive_counts=13,
timestamp=15, in 2.0 start_timestamp=17; BucketSpan{offset=1, length=2}. Counts are sent as
integers, bucket by bucket as the difference to the one before, where all of a histogram
are whole, and as floats where one is not (fractional weights).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumer.remote_write.series import NativeHistograms
from consumer.remote_write.time_series import varint

_STALE_NAN = (0x7FF0000000000002).to_bytes(8, "little")
_MOST_WHOLE = 2.0**53
_WIDEST_GAP = 2
"""Empty buckets that are sent as such, since another span costs more (as Prometheus does)."""


@dataclass(frozen=True, slots=True)
class WireBuckets:
    """``spans`` are (offset to the end of the span before, length); ``counts`` by bucket."""

    spans: Sequence[tuple[int, int]]
    counts: Sequence[float]

    def deltas(self) -> list[int]:
        """Each count as the difference to the one before."""
        whole = [int(count) for count in self.counts]
        return [count - before for before, count in zip([0, *whole], whole, strict=False)]


def wire_buckets(bucket: NDArray[np.int32], count: NDArray[np.float64]) -> WireBuckets:
    """The buckets (int32[c], ascending) of one histogram with their counts (float64[c])."""
    spans: list[tuple[int, int]] = []
    counts: list[float] = []
    end = 0
    for number, of_bucket in zip(bucket.tolist(), count.tolist(), strict=True):
        gap = number - end
        if spans and gap <= _WIDEST_GAP:
            counts += [0.0] * gap
            spans[-1] = (spans[-1][0], spans[-1][1] + gap + 1)
        else:
            spans.append((gap, 1))
        counts.append(of_bucket)
        end = number + 1
    return WireBuckets(spans, counts)


def is_whole(one: NativeHistograms) -> bool:
    """Whether integers can say all counts of ``one``."""
    counts = np.concatenate([one.count, one.zero_count, one.bucket_count])
    return bool((counts == np.floor(counts)).all() and (counts < _MOST_WHOLE).all())


def histogram_field(
    tag: bytes, one: NativeHistograms, time_ms: int, *, ended: bool, start_ms: int | None = None
) -> bytes:
    """The field of a TimeSeries with a single histogram at ``time_ms``.

    One that is ``ended`` is a stale marker. ``start_ms`` (2.0) says since when it counts.
    """
    content = _stale() if ended else _content(one)
    content += _zigzag(b"\x20", int(one.schema[0]))
    content += b"\x29" + struct.pack("<d", one.zero_threshold)
    content += b"\x78" + varint(time_ms & 0xFFFFFFFFFFFFFFFF)
    if start_ms is not None:
        content += b"\x88\x01" + varint(start_ms & 0xFFFFFFFFFFFFFFFF)
    return tag + varint(len(content)) + content


def empty_field(tag: bytes, one: NativeHistograms, time_ms: int) -> bytes:
    """The same with nothing in it: the zero sample of a histogram of that schema."""
    nothing = np.zeros(1)
    empty = NativeHistograms(
        schema=one.schema,
        zero_threshold=one.zero_threshold,
        count=nothing,
        zero_count=nothing,
        sum=nothing,
        offsets=np.zeros(2, np.int64),
        bucket=np.zeros(0, np.int32),
        bucket_count=np.zeros(0),
    )
    return histogram_field(tag, empty, time_ms, ended=False)


def _stale() -> bytes:
    return b"\x08\x00" + b"\x19" + _STALE_NAN + b"\x30\x00"


def _content(one: NativeHistograms) -> bytes:
    wire = wire_buckets(one.bucket, one.bucket_count)
    count, zero_count = float(one.count[0]), float(one.zero_count[0])
    total = struct.pack("<d", float(one.sum[0]))
    spans = b"".join(_span(offset, length) for offset, length in wire.spans)
    if is_whole(one):
        content = b"\x08" + varint(int(count)) + b"\x19" + total + b"\x30" + varint(int(zero_count))
        deltas = b"".join(varint(_zigzag_of(delta)) for delta in wire.deltas())
        return content + spans + _packed(b"\x62", deltas)
    content = b"\x11" + struct.pack("<d", count) + b"\x19" + total
    content += b"\x39" + struct.pack("<d", zero_count)
    counts = struct.pack(f"<{len(wire.counts)}d", *wire.counts)
    return content + spans + _packed(b"\x6a", counts)


def _span(offset: int, length: int) -> bytes:
    content = _zigzag(b"\x08", offset) + b"\x10" + varint(length)
    return b"\x5a" + varint(len(content)) + content


def _packed(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content if content else b""


def _zigzag(tag: bytes, number: int) -> bytes:
    return tag + varint(_zigzag_of(number))


def _zigzag_of(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1
