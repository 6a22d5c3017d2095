"""What the worker asks of a decoder: record bytes in, one batch of columns out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from processors.batch import Projection, SpanBatch

MALFORMED_PROTOBUF = "malformed_protobuf"
"""Reason of what upb, the reference, refuses."""

MALFORMED_JSON = "malformed_json"
"""Reason of a record that is not OTLP/JSON."""

TOO_MANY_SPANS = "too_many_spans"
"""Reason of more than :func:`most_spans`."""

REASONS = (MALFORMED_PROTOBUF, MALFORMED_JSON, TOO_MANY_SPANS)
"""Every :attr:`Failure.reason` there is."""


FREE_SPANS, BYTES_A_SPAN = 1_000, 16
"""A span of the OpenTelemetry API has 40 bytes of ids and times alone; one of 2 bytes, which
is all that protobuf asks for, would become a hundred times its size in columns."""


def most_spans(size_bytes: int) -> int:
    """Spans that a record of this size may hold; Tempo's: each trace in it."""
    return FREE_SPANS + size_bytes // BYTES_A_SPAN


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

    @classmethod
    def bare(cls, values: Sequence[bytes]) -> Self:
        """Records of which nothing but ``values`` is known, for :meth:`Decoded.of`."""
        codes = np.zeros(len(values), np.uint32)
        return cls(values, ("",), codes, np.zeros(len(values), np.int64), codes)

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Failure:
    """Record ``record`` (index into :class:`RawRecords`) cannot be decoded, or not all of it.

    ``reason`` is one of :data:`REASONS`, that of the first broken trace where there are
    many; ``text`` says where and what, for a human. ``value`` is what could not be decoded,
    in the record's own encoding: the record, or a `PushBytesRequest` of the broken traces
    alone, so that decoding it once more doubles no span.
    """

    record: int
    reason: str
    text: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Decoded:
    """The outcome of one batch.

    A `TracesData` is atomic: a record of OTLP, or one trace of a `PushBytesRequest`, has
    all its rows in ``batch`` or none. ``failures`` are ordered by record, at most one for
    each. ``spans_received``: spans of each record that are in ``batch`` (int64[m]).
    """

    batch: SpanBatch
    failures: Sequence[Failure]
    spans_received: NDArray[np.int64]

    def of(self, records: RawRecords) -> Decoded:
        """What became of these bytes, as the values of ``records``: whose they are, and when."""
        table = replace(
            self.batch.records,
            tenants=records.tenants,
            tenant=records.tenant,
            time_ms=records.time_ms,
            lane=records.lane,
        )
        return replace(self, batch=replace(self.batch, records=table))


class Decoder(Protocol):
    """Turns records into columns; one thread at a time.

    Nothing of one batch shows in another but the codes of texts, which may stay the same.
    """

    implementation: str
    """``native`` or ``python``; for logs and metrics."""

    def decode(self, records: RawRecords) -> Decoded:
        """Decode all records; never raises for what is in their bytes."""


OpenDecoder: TypeAlias = Callable[[Projection], Decoder]
"""Opens a decoder that reads what is asked for."""
