"""What the worker asks of a decoder: record bytes in, one batch of columns out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from processors.batch import SpanBatch

MALFORMED_PROTOBUF = "malformed_protobuf"
"""Reason of a record that upb, the reference, refuses."""

MALFORMED_JSON = "malformed_json"
"""Reason of a record that is not OTLP/JSON."""

REASONS = (MALFORMED_PROTOBUF, MALFORMED_JSON)
"""Every :attr:`Failure.reason` there is."""


class Encoding(StrEnum):
    """How the value of a record holds its spans."""

    OTLP_PROTO = "otlp_proto"
    """`ExportTraceServiceRequest` or `TracesData`, which are the same on the wire."""

    OTLP_JSON = "otlp_json"
    """The same in JSON: ids in hex, enums as numbers or names (OTLP specification, 1.x)."""

    TEMPO = "tempo"
    """Tempo's `PushBytesRequest` (tempo-behaviour.md 4.1)."""


@dataclass(frozen=True, slots=True)
class RawRecords:
    """The Kafka records of one batch, not yet decoded.

    ``values``: ``m`` record values. ``tenant``: code into ``tenants`` (uint32[m]).
    ``time_ms``: record timestamp, ms since the epoch (int64[m]). ``lane``: partition
    (uint32[m]; see :class:`processors.batch.Records`).
    """

    values: Sequence[bytes]
    tenants: tuple[str, ...]
    tenant: NDArray[np.uint32]
    time_ms: NDArray[np.int64]
    lane: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Failure:
    """Record ``record`` (index into :class:`RawRecords`) cannot be decoded.

    ``reason`` is one of :data:`REASONS`; ``text`` says where and what, for a human.
    """

    record: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """The outcome of one batch.

    A record is atomic: one that is in ``failures`` has no row in ``batch``.
    ``failures`` are ordered by record, at most one for each. ``spans_received``:
    spans of each record (int64[m]), 0 for those that failed.
    """

    batch: SpanBatch
    failures: Sequence[Failure]
    spans_received: NDArray[np.int64]


class Decoder(Protocol):
    """Turns records into columns. Keeps no state between batches; one thread at a time."""

    implementation: str
    """``native`` or ``python``; for logs and metrics."""

    def decode(self, records: RawRecords) -> Decoded:
        """Decode all records; never raises for what is in their bytes."""
