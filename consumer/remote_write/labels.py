"""The labels of series as bytes: sorted, complete, each text encoded once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np

from consumer.remote_write.series import SeriesBlock

INVALID_LABEL_NAME = "invalid_label_name"
INVALID_UTF8 = "invalid_utf8"
DUPLICATE_LABEL_NAME = "duplicate_label_name"

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class LabelEncoder:
    """Encodes label sets; keeps a fragment for each distinct label it has met.

    Made for one encoding and thrown away after it, which bounds the fragments by the
    distinct labels of one tenant's tick.
    """

    def __init__(self) -> None:
        self.headers = _Headers()
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
            (name, repeat(encode_label(name, text.encode()), count))
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
            fragments = self._fragments[key] = _Fragments(name, strings)
        return fragments


class _Fragments(dict[int, bytes]):
    """The encoded label for each code of one column, made when first asked for.

    A code in ``invalid`` has a text that must not be sent, for ``reason``.
    """

    def __init__(self, name: str, strings: Sequence[str]) -> None:
        super().__init__()
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
                return encode_label(self._name, text.encode())
            except UnicodeEncodeError:
                pass
        self.invalid.add(code)
        return b""


class _Headers(dict[int, bytes]):
    """WriteRequest.timeseries: tag and length for a TimeSeries of so many bytes."""

    def __missing__(self, length: int) -> bytes:
        header = self[length] = b"\x0a" + varint(length)
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


def varint(number: int) -> bytes:
    """``number`` (not negative) as a base-128 varint, lowest group first."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
