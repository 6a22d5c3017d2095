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
from numpy.typing import NDArray

from consumer.remote_write.encode import bits_of, encode, float_bits, histogram_fields
from consumer.remote_write.labels import Headers, LabelEncoder, series_text
from consumer.remote_write.request import Dropped, EncodedRequest, Limits, Message
from consumer.remote_write.series import Exemplars, MetricType, SeriesBlock, halves, hex_texts
from consumer.remote_write.time_series import (
    INT64,
    Framing,
    Samples,
    Series,
    exemplar_field,
    fastest_writer,
    float_bytes,
    varint,
)

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

    Each sample of a cumulative series says since when it counts, if that is known; there
    are no zero samples. Series that cannot be encoded are left out alone and reported to
    ``dropped``.
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
        return [_Pieces(half, self.encoding) for half in halves(self.blocks)]

    def split(self) -> Sequence[EncodedRequest]:
        """Two halves, without what cannot be encoded: that has been told."""
        if self.count < 2:
            return ()
        requests = [half.request(_ignore)[0] for half in self.halves()]
        return [request for request in requests if request.samples]

    def as_v1(self) -> Sequence[EncodedRequest]:
        """The same in 1.0, zero samples included."""
        return list(encode(self.blocks, self.encoding.time_ms, self.encoding.limits, _ignore))

    def example(self) -> str:
        """The first series."""
        return series_text(self.blocks[0], 0)

    def request(self, dropped: Dropped) -> tuple[EncodedRequest, int]:
        """The request and its size before compression."""
        symbols, writer = _Symbols(), fastest_writer()
        labels = LabelEncoder(symbols.label, writer.new_fragments)
        contents, series = [], 0
        for block in self.blocks:
            made = self._series(block, symbols, labels, dropped)
            if made is not None:
                contents.append(writer.write(made)[0])
                series += made.rows
        content = symbols.encoded() + b"".join(contents)
        body = snappy.compress(content)
        native = sum(len(block) for block in self.blocks if block.histograms is not None)
        request = EncodedRequest(
            body,
            series,
            series,
            Message.V2,
            histograms=native,
            exemplars=sum(len(block.exemplars or ()) for block in self.blocks),
            origin=self,
        )
        return request, len(content)

    def _series(
        self, block: SeriesBlock, symbols: _Symbols, encoder: LabelEncoder, dropped: Dropped
    ) -> Series | None:
        """What the series of ``block`` are made of; ``None`` if none of them can be sent."""
        metadata = _metadata(block, symbols)
        parts, invalid = encoder.parts(block)
        for reason in invalid.values():
            dropped(reason, 1)
        if invalid:
            block = block.cut(np.setdiff1d(np.arange(len(block)), list(invalid)))
            if not len(block):
                return None
            parts, _ = encoder.parts(block)
        framing = Framing(_TIME_SERIES, _LABELS_REFS, metadata)
        tails = self._tails(block, symbols)
        return Series(len(block), parts, self._samples(block), tails, framing=framing)

    def _starts(self, block: SeriesBlock) -> NDArray[np.int64]:
        """Since when each series counts (int64[n]), 0 where that is not told."""
        if block.type is MetricType.GAUGE:
            return np.zeros(len(block), np.int64)
        is_told = (block.start_ms < self.encoding.time_ms) & ~block.ended
        return np.where(is_told, block.start_ms, 0)

    def _samples(self, block: SeriesBlock) -> Samples | None:
        if block.histograms is not None:
            return None
        starts = None if self.encoding.created_timestamp else self._starts(block)
        return Samples(self.encoding.time_ms, bits_of(block), start_ms=starts)

    def _tails(self, block: SeriesBlock, symbols: _Symbols) -> list[bytes] | None:
        """Native histograms, the beginnings that older drafts had here, and exemplars."""
        is_created = self.encoding.created_timestamp
        if block.histograms is None and block.exemplars is None and not is_created:
            return None
        starts = self._starts(block).tolist()
        tails = [b""] * len(block)
        if block.histograms is not None:
            of_histograms = () if is_created else starts
            tails = histogram_fields(block, self.encoding.time_ms, _HISTOGRAM, of_histograms)
        if is_created:
            created = _Created()
            tails = [tail + created[start] for tail, start in zip(tails, starts, strict=True)]
        if block.exemplars is not None:
            for row, field in _exemplars(block.exemplars, symbols):
                tails[row] += field
        return tails


class _Created(dict[int, bytes]):
    """TimeSeries.created_timestamp by its time; nothing for 0."""

    def __missing__(self, start_ms: int) -> bytes:
        field = self[start_ms] = b"\x30" + varint(start_ms & INT64) if start_ms else b""
        return field


class _Symbols:
    """The texts of a request, each once, numbered in the order they were asked for."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {b"": 0}
        self.refs = Headers(_LABELS_REFS)

    def label(self, name: str, value: bytes) -> bytes:
        """The two references of a label."""
        return self.reference(name.encode()) + self.reference(value)

    def reference(self, text: bytes) -> bytes:
        """The number of ``text``."""
        return varint(self._numbers.setdefault(text, len(self._numbers)))

    def encoded(self) -> bytes:
        """Request.symbols."""
        return b"".join(_SYMBOL + varint(len(text)) + text for text in self._numbers)


def _exemplars(exemplars: Exemplars, symbols: _Symbols) -> Iterator[tuple[int, bytes]]:
    """(row, TimeSeries.exemplars) of each."""
    ids = exemplars.ids()
    names = [name.encode() for name, _ in ids]
    labels = zip(*(hex_texts(numbers) for _, numbers in ids), strict=True)
    values = float_bytes(float_bits(exemplars.value))
    columns = (exemplars.row.tolist(), labels, values, exemplars.time_ms.tolist())
    for row, texts, value, time_ms in zip(*columns, strict=True):
        refs = b"".join(
            symbols.reference(name) + symbols.reference(text.encode())
            for name, text in zip(names, texts, strict=True)
        )
        yield row, exemplar_field(_EXEMPLAR, symbols.refs[len(refs)] + refs, value, time_ms)


def _metadata(block: SeriesBlock, symbols: _Symbols) -> bytes:
    """TimeSeries.metadata; a text that is not Unicode is sent as far as it is."""
    content = b"\x08" + varint(_TYPES[block.type])
    for tag, text in ((b"\x18", block.help), (b"\x20", block.unit)):
        if text:
            content += tag + symbols.reference(text.encode(errors="replace"))
    return _METADATA + varint(len(content)) + content


def _ignore(_reason: str, _samples: int) -> None:
    """Say nothing."""
