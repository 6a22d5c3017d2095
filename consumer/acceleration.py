"""The native pairing of service graphs, in place of the one in Python."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from consumer.extension import Implementation, is_native
from processors.service_graphs.pairing import (
    COUPLES,
    MAX_REMEMBERED,
    Halves,
    NewPairing,
    Numbers,
    Pairs,
)
from processors.service_graphs.python_pairing import PythonPairing


def choose_pairing(implementation: Implementation = "auto") -> NewPairing:
    """The pairing that service graphs shall use (see :func:`is_native`)."""
    return NativePairing if is_native(implementation) else PythonPairing


class NativePairing:
    """A ``pairing.Pairing`` of service graphs in Rust; what it returns is read-only."""

    implementation = "native"

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        import spanmill_native  # noqa: PLC0415  may not be built

        self._pairing = spanmill_native.Pairing(max_remembered=max_remembered)

    def push(self, halves: Halves, wait_ms: int, max_pending: int) -> Pairs:
        """Take the halves of records, in order, without the GIL."""
        of_halves = (halves.own, halves.parent, halves.side, halves.tenant)
        of_records = (halves.starts, halves.lane, halves.time_ms)
        limits = (wait_ms, max_pending)
        return _pairs(self._pairing.push(halves.first, of_halves, of_records, limits))

    def advance(self, lane: int, time_ms: int) -> Pairs:
        """Let the time of ``lane`` reach ``time_ms``; it never goes back."""
        return _pairs(self._pairing.advance(lane, time_ms))

    def close(self, lane: int) -> Numbers:
        """Forget all halves of ``lane``, and its time; returns those that were pending."""
        return _numbers(self._pairing.close(lane))

    def pending(self) -> int:
        """Halves without a partner."""
        return self._pairing.pending()

    def remembered(self) -> int:
        """Halves of records that are not forgotten."""
        return self._pairing.remembered()

    def oldest(self) -> int | None:
        """The lowest number of a half that is still remembered."""
        return self._pairing.oldest()


def _pairs(columns: list[bytes]) -> Pairs:
    named = zip(fields(Pairs), map(_numbers, columns), strict=True)
    return Pairs(
        **{
            field.name: numbers.reshape(-1, 2) if field.name in COUPLES else numbers
            for field, numbers in named
        }
    )


def _numbers(column: bytes) -> NDArray[np.int64]:
    return np.frombuffer(column, np.int64)
