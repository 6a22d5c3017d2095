"""Series of remote write 1.0 and 2.0 out of fragments, codes and samples.

`native/src/series.rs` is the twin of what is here in Python; the contract tests hold the two
together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from consumer.extension import is_native
from consumer.remote_write.series import hex_texts

if TYPE_CHECKING:
    import spanmill_native

INT64 = 0xFFFFFFFFFFFFFFFF

NO_ZERO = np.iinfo(np.int64).min
"""In place of the time of a zero sample: there is none."""

_SMALL = [bytes([number]) for number in range(0x80)]
"""Varints of one byte."""

_EXEMPLAR = b"\x1a"
"""The tag of TimeSeries.exemplars."""


class Fragments(Protocol):
    """Bytes by code."""

    def missing(self, codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Those of ``codes`` never asked for before, each once, in order."""
        ...

    def put(self, codes: NDArray[np.uint32], fragments: Sequence[bytes]) -> None:
        """Set the bytes of each code; without them it is empty."""
        ...


class PythonFragments(dict[int, bytes]):
    """:class:`Fragments` without an extension."""

    def missing(self, codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Those of ``codes`` never asked for before, each once, in order."""
        missing = [code for code in dict.fromkeys(codes.tolist()) if code not in self]
        self.update(dict.fromkeys(missing, b""))
        return np.array(missing, np.uint32)

    def put(self, codes: NDArray[np.uint32], fragments: Sequence[bytes]) -> None:
        """Set the bytes of each code."""
        self.update(zip(codes.tolist(), fragments, strict=True))

    def of(self, codes: NDArray[np.uint32]) -> list[bytes]:
        """The bytes of each of ``codes``, which were asked for."""
        return list(map(self.__getitem__, codes.tolist()))


class NativeFragments:
    """:class:`Fragments` in Rust."""

    def __init__(self) -> None:
        import spanmill_native  # noqa: PLC0415  may not be built

        self.native = spanmill_native.Fragments()

    def missing(self, codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Those of ``codes`` never asked for before, each once, in order."""
        return np.frombuffer(self.native.missing(codes), np.uint32)

    def put(self, codes: NDArray[np.uint32], fragments: Sequence[bytes]) -> None:
        """Set the bytes of each code."""
        self.native.put(codes.tolist(), fragments)


Part: TypeAlias = bytes | tuple[Fragments, NDArray[np.uint32]]
"""A label of all series: the same bytes, or the fragment of each one's code (uint32[n])."""


@dataclass(frozen=True, slots=True)
class Samples:
    """A sample of each of ``n`` series at one time, and perhaps a zero sample before it.

    ``bits`` (uint64[n]) are those of the values; ``zero_ms`` (int64[n]) is the time of the
    zero sample, or :data:`NO_ZERO`. ``start_ms`` (int64[n]) says since when the series
    counts (2.0), 0 where that is not told.
    """

    time_ms: int
    bits: NDArray[np.uint64]
    zero_ms: NDArray[np.int64] | None = None
    start_ms: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Framing:
    """The tag of a series, that of its labels if they are a field, and what ends it."""

    series: bytes
    labels: bytes = b""
    end: bytes = b""


V1 = Framing(b"\x0a")
"""WriteRequest.timeseries, whose labels are fields one by one."""


@dataclass(frozen=True, slots=True)
class ExemplarFields:
    """``e`` exemplars; ``row`` (intp[e], ascending) is the series that each belongs to.

    ``bits`` (uint64[e]) are those of the values, ``time_ms`` is int64[e]. Each has the
    ``labels``: the same bytes for all, then numbers (uint64[e, k]) in hexadecimal.
    """

    row: NDArray[np.intp]
    bits: NDArray[np.uint64]
    time_ms: NDArray[np.int64]
    labels: Sequence[tuple[bytes, NDArray[np.uint64]]]


@dataclass(frozen=True, slots=True)
class Series:
    """What ``rows`` series are made of: labels, samples, other fields (``tails``), exemplars."""

    rows: int
    parts: Sequence[Part]
    samples: Samples | None = None
    tails: Sequence[bytes] | None = None
    exemplars: ExemplarFields | None = None
    framing: Framing = V1


Written: TypeAlias = tuple[bytes, NDArray[np.int64]]
"""Series one after the other, and where each ends (int64[n])."""


def write_in_python(series: Series) -> Written:
    """The bytes of ``series``, whose fragments are :class:`PythonFragments`."""
    framing = series.framing
    columns: list[Sequence[bytes]] = [joined(series.parts, series.rows)]
    if framing.labels:
        columns = [[framing.labels + varint(len(each)) + each for each in columns[0]]]
    if series.samples is not None:
        columns.append(_sample_column(series.samples))
    if series.tails is not None:
        columns.append(series.tails)
    if series.exemplars is not None:
        columns.append(_exemplar_column(series.exemplars, series.rows))
    columns.append([framing.end] * series.rows)
    contents = map(b"".join, zip(*columns, strict=True))
    written = [framing.series + varint(len(content)) + content for content in contents]
    return b"".join(written), np.cumsum([len(each) for each in written], dtype=np.int64)


def joined(parts: Sequence[Part], rows: int) -> list[bytes]:
    """The ``parts`` of each row, whose fragments are :class:`PythonFragments`."""
    if not parts:
        return [b""] * rows
    return list(map(b"".join, zip(*(_column(part, rows) for part in parts), strict=True)))


def write_natively(series: Series) -> Written:
    """The bytes of ``series``, whose fragments are :class:`NativeFragments`."""
    import spanmill_native  # noqa: PLC0415  may not be built

    parts = [each if isinstance(each, bytes) else _native_part(*each) for each in series.parts]
    samples, told, framing = series.samples, series.exemplars, series.framing
    given = None
    if samples is not None:
        given = (samples.time_ms, samples.bits, samples.zero_ms, samples.start_ms)
    exemplars = None if told is None else (told.row, told.bits, told.time_ms, told.labels)
    tags = (framing.series[0], framing.labels[0] if framing.labels else None, framing.end)
    rest = (series.tails, exemplars)
    content, ends = spanmill_native.write_series(series.rows, parts, given, rest, tags)
    return content, np.frombuffer(ends, np.int64)


@dataclass(frozen=True, slots=True)
class Writer:
    """One of the two ways to write series, with the fragments that it takes."""

    new_fragments: Callable[[], Fragments]
    write: Callable[[Series], Written]


PYTHON = Writer(PythonFragments, write_in_python)
NATIVE = Writer(NativeFragments, write_natively)


def fastest_writer() -> Writer:
    """The faster of the two that is there."""
    return NATIVE if is_native() else PYTHON


def sample_fields(samples: Samples) -> list[bytes]:
    """TimeSeries.samples without zero samples."""
    values, time_ms = float_bytes(samples.bits), samples.time_ms
    if samples.start_ms is None:
        return [sample_field(value, time_ms) for value in values]
    starts = samples.start_ms.tolist()
    ends = {start: b"\x18" + varint(start & INT64) if start else b"" for start in set(starts)}
    return [
        sample_field(value, time_ms, ends[start])
        for value, start in zip(values, starts, strict=True)
    ]


def float_bytes(bits: NDArray[np.uint64]) -> list[bytes]:
    """Each of ``bits`` as the eight bytes of a double."""
    values: list[bytes] = np.ascontiguousarray(bits, "<u8").view("V8").tolist()
    return values


def sample_field(value: bytes, time_ms: int, more: bytes = b"") -> bytes:
    """TimeSeries.samples with a value of eight bytes; ``more`` holds other fields.

    Fields 1 and 2 of a Sample are the same in 2.0.
    """
    sample = b"\x09" + value + b"\x10" + varint(time_ms & INT64) + more
    return b"\x12" + varint(len(sample)) + sample


def exemplar_field(tag: bytes, labels: bytes, value: bytes, time_ms: int) -> bytes:
    """TimeSeries.exemplars with a value of eight bytes.

    Fields 2 and 3 of an Exemplar are the same in 2.0.
    """
    content = labels + b"\x11" + value + b"\x18" + varint(time_ms & INT64)
    return tag + varint(len(content)) + content


def varint(number: int) -> bytes:
    """``number`` (not negative) as a base-128 varint, lowest group first."""
    if number <= 0x7F:
        return _SMALL[number]
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _column(part: Part, rows: int) -> Sequence[bytes]:
    if isinstance(part, bytes):
        return list(repeat(part, rows))
    fragments, codes = part
    assert isinstance(fragments, PythonFragments)
    return fragments.of(codes)


def _sample_column(samples: Samples) -> list[bytes]:
    fields = sample_fields(samples)
    if samples.zero_ms is not None:
        for row in np.flatnonzero(samples.zero_ms != NO_ZERO).tolist():
            fields[row] = sample_field(bytes(8), int(samples.zero_ms[row])) + fields[row]
    return fields


def _exemplar_column(exemplars: ExemplarFields, rows: int) -> list[bytes]:
    fields = [b""] * rows
    labels = [
        [head + text.encode() for text in hex_texts(numbers)] for head, numbers in exemplars.labels
    ]
    values = float_bytes(exemplars.bits)
    columns = (exemplars.row.tolist(), map(b"".join, zip(*labels, strict=True)), values)
    for row, of, value, time_ms in zip(*columns, exemplars.time_ms.tolist(), strict=True):
        fields[row] += exemplar_field(_EXEMPLAR, of, value, time_ms)
    return fields


def _native_part(
    fragments: Fragments, codes: NDArray[np.uint32]
) -> tuple[spanmill_native.Fragments, NDArray[np.uint32]]:
    assert isinstance(fragments, NativeFragments)
    return fragments.native, codes
