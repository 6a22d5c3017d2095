"""The labels of series as bytes: sorted, complete, each text encoded once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat

import numpy as np
import orjson

from consumer.remote_write.series import SeriesBlock

INVALID_LABEL_NAME = "invalid_label_name"
INVALID_UTF8 = "invalid_utf8"
DUPLICATE_LABEL_NAME = "duplicate_label_name"

TIME_SERIES_V1 = b"\x0a"
"""The tag of WriteRequest.timeseries."""

EncodeLabel = Callable[[str, bytes], bytes]
"""Makes the bytes of a label out of its name (ASCII) and value (UTF-8)."""

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class LabelEncoder:
    """Encodes label sets; keeps a fragment for each distinct label it has met.

    ``encode_one`` says how a label is written; by default as 1.0 has it. Made for one
    encoding and thrown away after it, which bounds the fragments by the distinct labels of
    one tenant's tick.
    """

    def __init__(self, encode_one: EncodeLabel | None = None) -> None:
        self.headers = Headers(TIME_SERIES_V1)
        self._encode_one = encode_one or encode_label
        self._fragments: dict[tuple[str, int], _Fragments] = {}

    def encode(self, block: SeriesBlock, rows: slice) -> tuple[list[bytes], dict[int, str]]:
        """TimeSeries.labels of ``rows``, and the rows that have none with the reason why.

        The bytes are equal exactly if the label sets are. Rows are counted from the
        start of the slice. Names are ASCII, so sorting text sorts bytes.
        """
        count = len(range(len(block))[rows])
        fixed = _fixed_labels(block)
        reason = _fault(block, fixed)
        if reason is not None:
            return [b""] * count, dict.fromkeys(range(count), reason)
        invalid: dict[int, str] = {}
        parts: list[tuple[str, Iterable[bytes]]] = [
            (name, repeat(self._encode_one(name, text.encode()), count))
            for name, text in fixed.items()
            if text
        ]
        for column, name in enumerate(block.label_names):
            if name in fixed:
                continue
            fragments = self._fragments_of(name, block.strings)
            codes = block.labels[rows, column]
            parts.append((name, list(map(fragments.__getitem__, codes.tolist()))))
            if fragments.invalid:
                bad = np.flatnonzero(np.isin(codes, list(fragments.invalid)))
                invalid.update(dict.fromkeys(bad.tolist(), fragments.reason))
        parts.sort(key=lambda part: part[0])
        return list(map(b"".join, zip(*(part[1] for part in parts), strict=True))), invalid

    def _fragments_of(self, name: str, strings: Sequence[str]) -> _Fragments:
        # The blocks being encoded keep their strings alive, so that an id stays theirs.
        key = (name, id(strings))
        fragments = self._fragments.get(key)
        if fragments is None:
            fragments = self._fragments[key] = _Fragments(name, strings, self._encode_one)
        return fragments


class _Fragments(dict[int, bytes]):
    """The encoded label for each code of one column, made when first asked for.

    A code in ``invalid`` has a text that must not be sent, for ``reason``.
    """

    def __init__(self, name: str, strings: Sequence[str], encode_one: EncodeLabel) -> None:
        super().__init__()
        self._encode_one = encode_one
        self._name = name
        self._strings = strings
        self._name_is_valid = _LABEL_NAME.fullmatch(name) is not None
        self.reason = INVALID_UTF8 if self._name_is_valid else INVALID_LABEL_NAME
        self.invalid: set[int] = set()

    def __missing__(self, code: int) -> bytes:
        fragment = self[code] = self._encode(code)
        return fragment

    def _encode(self, code: int) -> bytes:
        text = self._strings[code]
        if not text:
            return b""
        if self._name_is_valid:
            try:
                return self._encode_one(self._name, text.encode())
            except UnicodeEncodeError:
                pass
        self.invalid.add(code)
        return b""


class Headers(dict[int, bytes]):
    """Tag and length of a field of so many bytes."""

    def __init__(self, tag: bytes) -> None:
        super().__init__()
        self._tag = tag

    def __missing__(self, length: int) -> bytes:
        header = self[length] = self._tag + varint(length)
        return header


def _fixed_labels(block: SeriesBlock) -> dict[str, str]:
    """The labels all series of the block share; an empty one only hides a column."""
    return {**dict(block.constant_labels), "__name__": block.name}


def _fault(block: SeriesBlock, fixed: dict[str, str]) -> str | None:
    """Why no series of the block can be sent, if that is so."""
    if not _METRIC_NAME.fullmatch(block.name):
        return INVALID_LABEL_NAME
    if any(text and not _LABEL_NAME.fullmatch(name) for name, text in fixed.items()):
        return INVALID_LABEL_NAME
    columns = [name for name in block.label_names if name not in fixed]
    if len(set(columns)) < len(columns):
        return DUPLICATE_LABEL_NAME
    try:
        "".join(fixed.values()).encode()
    except UnicodeEncodeError:
        return INVALID_UTF8
    return None


def encode_label(name: str, value: bytes) -> bytes:
    """TimeSeries.labels: a Label of ``name`` (ASCII) and ``value`` (UTF-8)."""
    label = b"\x0a" + varint(len(name)) + name.encode() + b"\x12" + varint(len(value)) + value
    return b"\x0a" + varint(len(label)) + label


def label_text(labels: bytes) -> str:
    """What :func:`encode_label` made of some labels, as people write it: ``name{a="b"}``."""
    name, pairs = "", []
    at = 0
    while at < len(labels):
        _, at = _read_varint(labels, at + 1)
        key, at = _read_text(labels, at)
        value, at = _read_text(labels, at)
        if key == "__name__":
            name = value
        else:
            pairs.append(f"{key}={orjson.dumps(value).decode()}")
    return f"{name}{{{', '.join(pairs)}}}"


def _read_text(field: bytes, at: int) -> tuple[str, int]:
    length, at = _read_varint(field, at + 1)
    return field[at : at + length].decode(), at + length


def _read_varint(field: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        group = field[at]
        number |= (group & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if group < 0x80:
            return number, at


def varint(number: int) -> bytes:
    """``number`` (not negative) as a base-128 varint, lowest group first."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
