"""The labels of series as bytes: sorted, complete, each text encoded once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from operator import is_not, itemgetter

import numpy as np
import orjson
from numpy.typing import NDArray

from consumer.remote_write.series import SeriesBlock
from consumer.remote_write.time_series import Fragments, Part, PythonFragments, joined, varint

INVALID_LABEL_NAME = "invalid_label_name"
INVALID_UTF8 = "invalid_utf8"
DUPLICATE_LABEL_NAME = "duplicate_label_name"

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

    def __init__(
        self,
        encode_one: EncodeLabel | None = None,
        new_fragments: Callable[[], Fragments] = PythonFragments,
    ) -> None:
        self._encode_one = encode_one or encode_label
        self._new_fragments = new_fragments
        self._columns: dict[tuple[str, int], _Column] = {}
        self._shared_columns: tuple[object, ...] = (None, None, None)
        self._shared_parts: dict[str, Part] = {}

    def parts(self, block: SeriesBlock) -> tuple[list[Part], dict[int, str]]:
        """The labels of all series of ``block``, and rows that have none with the reason why.

        Parts joined are equal exactly if the label sets are. Names are ASCII, so sorting
        text sorts bytes.
        """
        fixed = _fixed_labels(block)
        reason = _fault(block, fixed)
        if reason is not None:
            return [], dict.fromkeys(range(len(block)), reason)
        invalid: dict[int, str] = {}
        parts: list[tuple[str, Part]] = [
            (name, self._encode_one(name, text.encode())) for name, text in fixed.items() if text
        ]
        shared = self._shared(block)
        for index, name in enumerate(block.label_names):
            if name in fixed:
                continue
            column, codes = self._column(name, block.strings), block.labels[:, index]
            if name not in shared:
                shared[name] = column.part(codes)
            parts.append((name, shared[name]))
            if column.invalid:
                bad = np.flatnonzero(np.isin(codes, list(column.invalid)))
                invalid.update(dict.fromkeys(bad.tolist(), column.reason))
        parts.sort(key=itemgetter(0))
        return [part for _, part in parts], invalid

    def _shared(self, block: SeriesBlock) -> dict[str, Part]:
        """By name: the labels that the block before made, if it is of the same label sets.

        So it is with the buckets of a histogram.
        """
        columns = (block.labels, block.strings, block.label_names)
        if any(map(is_not, columns, self._shared_columns)):
            self._shared_columns, self._shared_parts = columns, {}
        return self._shared_parts

    def encode(self, block: SeriesBlock) -> tuple[list[bytes], dict[int, str]]:
        """The parts of each series of ``block``, joined, and rows as :meth:`parts` has them.

        With :class:`PythonFragments` alone.
        """
        parts, invalid = self.parts(block)
        if not parts:
            return [b""] * len(block), invalid
        return joined(parts, len(block)), invalid

    def _column(self, name: str, strings: Sequence[str]) -> _Column:
        # The blocks being encoded keep their strings alive, so that an id stays theirs.
        key = (name, id(strings))
        column = self._columns.get(key)
        if column is None:
            encode = partial(self._encode_one, name)
            column = self._columns[key] = _Column(name, strings, encode, self._new_fragments())
        return column


class _Column:
    """The encoded label for each code of one column, made when first asked for.

    A code in ``invalid`` has a text that must not be sent, for ``reason``.
    """

    def __init__(
        self,
        name: str,
        strings: Sequence[str],
        encode: Callable[[bytes], bytes],
        fragments: Fragments,
    ) -> None:
        self._strings = strings
        self._encode_value = encode
        self._fragments = fragments
        self._name_is_valid = _LABEL_NAME.fullmatch(name) is not None
        self.reason = INVALID_UTF8 if self._name_is_valid else INVALID_LABEL_NAME
        self.invalid: set[int] = set()

    def part(self, codes: NDArray[np.uint32]) -> Part:
        """The label of each of ``codes``."""
        codes = np.ascontiguousarray(codes)
        missing = self._fragments.missing(codes)
        if len(missing):
            self._fragments.put(missing, list(map(self._encode, missing.tolist())))
        return self._fragments, codes

    def _encode(self, code: int) -> bytes:
        text = self._strings[code]
        if not text:
            return b""
        if self._name_is_valid:
            try:
                return self._encode_value(text.encode())
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
    return _heads_of(name)[len(value)] + value


class _Heads(dict[int, bytes]):
    """What stands before a value of so many bytes in labels of one name.

    Bound: the lengths that values have, which the registry cuts.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name_field = b"\x0a" + varint(len(name)) + name.encode()

    def __missing__(self, length: int) -> bytes:
        rest = self._name_field + b"\x12" + varint(length)
        head = self[length] = b"\x0a" + varint(len(rest) + length) + rest
        return head


@lru_cache(maxsize=1_024)
def _heads_of(name: str) -> _Heads:
    return _Heads(name)


def series_text(block: SeriesBlock, row: int) -> str:
    """One series of ``block`` as people write it: ``name{a="b"}``."""
    texts = map(block.strings.__getitem__, block.labels[row].tolist())
    labels = dict(zip(block.label_names, texts, strict=True)) | dict(block.constant_labels)
    shown = (
        f"{name}={orjson.dumps(text.encode(errors='replace').decode()).decode()}"
        for name, text in sorted(labels.items())
        if text
    )
    return f"{block.name}{{{', '.join(shown)}}}"
