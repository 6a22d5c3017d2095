"""Columns in, remote-write 2.0 requests out (specification 2.0-rc.4, ``types.proto``).

Wire format: Request{symbols=4, timeseries=5}, TimeSeries{labels_refs=1, samples=2,
histograms=3, exemplars=4, metadata=5, created_timestamp=6 (older drafts)}, Sample{value=1,
timestamp=2, start_timestamp=3}, Exemplar{labels_refs=1, value=2, timestamp=3},
Metadata{type=1, help_ref=3, unit_ref=4}.

Each request has symbols of its own, so it is made of row numbers and can be made again
of fewer. Bounds: as in ``encode``; a request too large is halved until it fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import snappy

from consumer.remote_write.encode import (
    INT64,
    Labels,
    encode,
    exemplar_fields,
    sample_field,
    samples_of,
)
from consumer.remote_write.labels import Headers, LabelEncoder, varint
from consumer.remote_write.native_histograms import histogram_field
from consumer.remote_write.request import Dropped, EncodedRequest, Limits, Message
from consumer.remote_write.series import MetricType, SeriesBlock

_SYMBOL = b"\x22"
_TIME_SERIES = b"\x2a"
_LABELS_REFS = b"\x0a"
_HISTOGRAM, _EXEMPLAR, _METADATA = b"\x1a", b"\x22", b"\x2a"
_TYPES = {MetricType.COUNTER: 1, MetricType.GAUGE: 2, MetricType.HISTOGRAM: 3}


@dataclass(frozen=True, slots=True)
class Encoding:
    """What the requests of a tick have in common."""

    time_ms: int
    limits: Limits
    created_timestamp: bool
    """Write the start into TimeSeries field 6, as older drafts had it, not into the sample."""


def encode_v2(
    blocks: Iterable[SeriesBlock], encoding: Encoding, dropped: Dropped
) -> Iterator[EncodedRequest]:
    """The requests for one tenant's ``blocks``, made as they are asked for.

    The first sample of a cumulative series says since when it counts; there are no zero
    samples. Series that cannot be encoded are left out alone and reported to ``dropped``.
    """
    pieces: list[SeriesBlock] = []
    room = encoding.limits.samples
    for block in blocks:
        start = 0
        while start < len(block):
            piece = block.cut(slice(start, start + room))
            pieces.append(piece)
            start += len(piece)
            room -= len(piece)
            if not room:
                yield from _fit(_Pieces(pieces, encoding), dropped)
                pieces, room = [], encoding.limits.samples
    if pieces:
        yield from _fit(_Pieces(pieces, encoding), dropped)


def _fit(pieces: _Pieces, dropped: Dropped) -> Iterator[EncodedRequest]:
    """One request, or several if it were too large."""
    waiting = [pieces]
    while waiting:
        part = waiting.pop()
        drops: list[tuple[str, int]] = []
        request, size = part.request(lambda *drop, drops=drops: drops.append(drop))
        if size > part.encoding.limits.size_bytes and part.count > 1:
            waiting += reversed(part.halves())
            continue
        for reason, count in drops:
            dropped(reason, count)
        if request.samples:
            yield request


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The series of one request."""

    blocks: Sequence[SeriesBlock]
    encoding: Encoding

    @property
    def count(self) -> int:
        """How many series."""
        return sum(map(len, self.blocks))

    def halves(self) -> list[_Pieces]:
        """The first half and the second."""
        middle = self.count // 2
        first: list[SeriesBlock] = []
        second: list[SeriesBlock] = []
        begin = 0
        for block in self.blocks:
            at = min(max(middle - begin, 0), len(block))
            first += [block.cut(slice(0, at))] if at else []
            second += [block.cut(slice(at, None))] if at < len(block) else []
            begin += len(block)
        return [_Pieces(first, self.encoding), _Pieces(second, self.encoding)]

    def split(self) -> Sequence[EncodedRequest]:
        """Two halves, without what cannot be encoded: that has been told."""
        if self.count < 2:
            return ()
        requests = [half.request(_ignore)[0] for half in self.halves()]
        return [request for request in requests if request.samples]

    def as_v1(self) -> Sequence[EncodedRequest]:
        """The same in 1.0, zero samples included."""
        return list(encode(self.blocks, self.encoding.time_ms, self.encoding.limits, _ignore))

    def request(self, dropped: Dropped) -> tuple[EncodedRequest, int]:
        """The request and its size before compression."""
        symbols = _Symbols()
        labels = LabelEncoder(symbols.label)
        series = [
            each for block in self.blocks for each in self._series(block, symbols, labels, dropped)
        ]
        content = symbols.encoded() + b"".join(series)
        body = snappy.compress(content)
        native = sum(len(block) for block in self.blocks if block.histograms is not None)
        request = EncodedRequest(
            body,
            len(series),
            len(series),
            Message.V2,
            histograms=native,
            exemplars=sum(len(block.exemplars or ()) for block in self.blocks),
            origin=self,
        )
        return request, len(content)

    def _series(
        self, block: SeriesBlock, symbols: _Symbols, encoder: LabelEncoder, dropped: Dropped
    ) -> Iterator[bytes]:
        metadata = _metadata(block, symbols)
        refs, invalid = encoder.encode(block, slice(None))
        exemplars: dict[int, bytes] = {}
        for row, field in exemplar_fields(block, _EXEMPLAR, symbols.exemplar_labels):
            exemplars[row] = exemplars.get(row, b"") + field
        for reason in invalid.values():
            dropped(reason, 1)
        for row, (labels, sample) in enumerate(zip(refs, self._samples(block), strict=True)):
            if row not in invalid:
                content = symbols.refs[len(labels)] + labels + sample
                content += exemplars.get(row, b"") + metadata
                yield symbols.headers[len(content)] + content

    def _samples(self, block: SeriesBlock) -> list[bytes]:
        time_ms = self.encoding.time_ms
        samples = samples_of(block, time_ms, _HISTOGRAM)
        if block.type is MetricType.GAUGE:
            return samples
        for row in np.flatnonzero(block.newborn & (block.start_ms < time_ms)).tolist():
            start = varint(int(block.start_ms[row]) & INT64)
            if self.encoding.created_timestamp:
                samples[row] += b"\x30" + start
            elif block.histograms is not None:
                one, ended = block.histograms.cut(slice(row, row + 1)), bool(block.ended[row])
                start_ms = int(block.start_ms[row])
                samples[row] = histogram_field(
                    _HISTOGRAM, one, time_ms, ended=ended, start_ms=start_ms
                )
            else:
                samples[row] = sample_field(samples[row][3:11], time_ms, b"\x18" + start)
        return samples


class _Symbols:
    """The texts of a request, each once, numbered in the order they were asked for."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {b"": 0}
        self.refs = Headers(_LABELS_REFS)
        self.headers = Headers(_TIME_SERIES)

    def label(self, name: str, value: bytes) -> bytes:
        """The two references of a label."""
        return self.reference(name.encode()) + self.reference(value)

    def exemplar_labels(self, labels: Labels) -> bytes:
        """Exemplar.labels_refs."""
        refs = b"".join(self.label(name, value.encode()) for name, value in labels)
        return _LABELS_REFS + varint(len(refs)) + refs

    def reference(self, text: bytes) -> bytes:
        """The number of ``text``."""
        return varint(self._numbers.setdefault(text, len(self._numbers)))

    def encoded(self) -> bytes:
        """Request.symbols."""
        return b"".join(_SYMBOL + varint(len(text)) + text for text in self._numbers)


def _metadata(block: SeriesBlock, symbols: _Symbols) -> bytes:
    """TimeSeries.metadata; a text that is not Unicode is sent as far as it is."""
    content = b"\x08" + varint(_TYPES[block.type])
    for tag, text in ((b"\x18", block.help), (b"\x20", block.unit)):
        if text:
            content += tag + symbols.reference(text.encode(errors="replace"))
    return _METADATA + varint(len(content)) + content


def _ignore(_reason: str, _samples: int) -> None:
    """Say nothing."""
