"""Named NumPy columns as bytes: what internal topics hold.

One byte of version, the length of the header (uint32, little-endian), the header as JSON,
then the columns one after another, little-endian, in C order. The header says of each
column its name, type and shape.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from consumer.errors import SpanmillError

VERSION = 1
_PREFIX = struct.Struct("<BI")

Columns = Mapping[str, NDArray[Any]]


class FormatError(SpanmillError):
    """A record of an internal topic is broken, or of another version of spanmill."""


def pack(header: Mapping[str, Any], columns: Columns) -> bytes:
    """``header`` (anything JSON can say) and ``columns`` as bytes."""
    little = {name: _little(column) for name, column in columns.items()}
    shapes = [[name, column.dtype.str, column.shape] for name, column in little.items()]
    head = orjson.dumps({**header, "columns": shapes})
    return b"".join(
        (_PREFIX.pack(VERSION, len(head)), head, *(each.tobytes() for each in little.values()))
    )


def unpack(packed: bytes) -> tuple[Mapping[str, Any], Columns]:
    """What :func:`pack` was given; the columns are not to be changed. Raises :class:`FormatError`.

    They are aligned, as native code asks for, wherever they stand in ``packed``.
    """
    try:
        version, length = _PREFIX.unpack_from(packed)
        if version != VERSION:
            raise FormatError(f"version {version}, expected {VERSION}")
        at = _PREFIX.size + length
        header = orjson.loads(packed[_PREFIX.size : at])
        columns: dict[str, NDArray[Any]] = {}
        for name, type_text, shape in header.pop("columns"):
            dtype = np.dtype(type_text)
            count = int(np.prod(shape, dtype=np.int64))
            column = np.frombuffer(packed, dtype, count, at).reshape(shape)
            columns[name] = np.require(column, dtype.newbyteorder("="), "A")
            at += count * dtype.itemsize
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"not what spanmill writes: {error}") from error
    if at != len(packed):
        raise FormatError(f"{len(packed)} bytes, expected {at}")
    return header, columns


def _little(column: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(column, column.dtype.newbyteorder("<"))
