"""Ids as integers: big-endian, or a digest where the length is not the specified one.

Trace ids have 16 bytes and span ids 8 (OpenTelemetry trace specification). A producer
may send others; equal ids must stay equal and different ones different, so such an id is
replaced by FNV-1a (64 bit) of its bytes: one digest for a span id, two with different
offset bases for the halves of a trace id. `native/src/ids.rs` does the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

HIGH_BASIS = 0xCBF29CE484222325
"""FNV-1a's own offset basis: span ids and the first half of trace ids."""

LOW_BASIS = 0x84222325CBF29CE4
"""The halves of the basis swapped: the second half of trace ids."""

_PRIME = 0x100000001B3
_MASK = 0xFFFF_FFFF_FFFF_FFFF


def digest(identifier: bytes, basis: int) -> int:
    """FNV-1a, 64 bit, of ``identifier`` from an offset ``basis``."""
    state = basis
    for byte in identifier:
        state = ((state ^ byte) * _PRIME) & _MASK
    return state


def trace_ids(identifiers: Sequence[bytes]) -> NDArray[np.uint64]:
    """uint64[n, 2]: both halves of each trace id."""
    return _integers(identifiers, (HIGH_BASIS, LOW_BASIS)).reshape(-1, 2)


def span_ids(identifiers: Sequence[bytes]) -> NDArray[np.uint64]:
    """uint64[n]: each span id or parent span id."""
    return _integers(identifiers, (HIGH_BASIS,))


def _integers(identifiers: Sequence[bytes], bases: tuple[int, ...]) -> NDArray[np.uint64]:
    width = 8 * len(bases)
    if any(len(identifier) != width for identifier in identifiers):
        identifiers = [
            identifier if len(identifier) == width else _digests(identifier, bases)
            for identifier in identifiers
        ]
    return np.frombuffer(b"".join(identifiers), dtype=">u8").astype(np.uint64)


def _digests(identifier: bytes, bases: tuple[int, ...]) -> bytes:
    return b"".join(digest(identifier, basis).to_bytes(8, "big") for basis in bases)
