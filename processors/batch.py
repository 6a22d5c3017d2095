"""The columns a decoder produces and every processor reads.

A :class:`SpanBatch` holds the spans of many Kafka records, of many tenants, as
NumPy columns. Strings are dictionary-coded: a column holds ``uint32`` codes into
:class:`Strings`, so a rule about a string runs once per distinct value. There is
no Python object per span.

Three tables make a batch; rows of one point into the next:

* spans (``n`` rows) point with ``record`` and ``resource`` into
* resources (``r`` rows, one per ``ResourceSpans``) and
* records (``m`` rows, one per Kafka record: tenant, timestamp, lane).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Codes: TypeAlias = NDArray[np.uint32]
"""Codes into a :class:`Strings` dictionary."""

Mask: TypeAlias = NDArray[np.bool_]
"""One bool a row."""

ABSENT = 0
"""Code of "the attribute or field is not there"."""

EMPTY = 1
"""Code of the empty string (a field that is there, and empty)."""


class Kind(IntEnum):
    """`opentelemetry.proto.trace.v1.Span.SpanKind`; the enum is open."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


STATUS_ERROR = 2
"""`opentelemetry.proto.trace.v1.Status.STATUS_CODE_ERROR`."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What a decoder has to read beyond the fixed fields; it reads no other attribute.

    Keys are those of the wire (``http.route``). ``service.name`` is always read. Typed
    keys are for rules that tell the number 1 from the text ``1`` (see :data:`TYPE_MARKS`).
    """

    resource_keys: tuple[str, ...] = ()
    span_keys: tuple[str, ...] = ()
    typed_resource_keys: tuple[str, ...] = ()
    typed_span_keys: tuple[str, ...] = ()
    all_resource_attributes: bool = False
    status_message: bool = False
    trace_state: bool = False
    links: bool = False

    def union(self, other: Projection) -> Projection:
        """Everything that either asks for; keys keep their first position."""
        return Projection(
            resource_keys=_merged(self.resource_keys, other.resource_keys),
            span_keys=_merged(self.span_keys, other.span_keys),
            typed_resource_keys=_merged(self.typed_resource_keys, other.typed_resource_keys),
            typed_span_keys=_merged(self.typed_span_keys, other.typed_span_keys),
            all_resource_attributes=self.all_resource_attributes or other.all_resource_attributes,
            status_message=self.status_message or other.status_message,
            trace_state=self.trace_state or other.trace_state,
            links=self.links or other.links,
        )


def _merged(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(first + second))


TYPE_MARKS = {"string": "s", "int": "i", "double": "d", "bool": "b", "other": "o"}
"""First character of a typed column's text, before the value's text; arrays, maps, bytes
and values that are not set are ``other``."""


@dataclass(frozen=True, slots=True)
class Strings:
    """The dictionary of one batch: code -> text.

    ``text[0]`` stands for :data:`ABSENT` and ``text[1]`` for :data:`EMPTY`; both are
    ``""``. Text that is not UTF-8 is decoded with ``surrogateescape`` and marked
    ``False`` in ``valid`` (bool, one per code). Batches may share ``text``, which then
    grows: of a batch are the first codes, as many as are in ``valid``.
    """

    text: Sequence[str]
    valid: Mask

    def __len__(self) -> int:
        return len(self.valid)


@dataclass(frozen=True, slots=True)
class Records:
    """One row per Kafka record of the batch.

    ``tenant``: code into ``tenants`` (uint32[m]). ``time_ms``: record timestamp, ms
    since the epoch (int64[m]). ``lane``: the records of one lane are in order and
    share a clock: a partition (uint32[m]). ``skip``: the sender asked for no metrics
    (`PushBytesRequest` field 5; bool[m]).
    """

    tenants: tuple[str, ...]
    tenant: Codes
    time_ms: NDArray[np.int64]
    lane: NDArray[np.uint32]
    skip: Mask

    def __len__(self) -> int:
        return len(self.tenant)


@dataclass(frozen=True, slots=True)
class Resources:
    """One row per ``ResourceSpans``.

    ``record``: the record that each is of (uint32[r]). ``service``: codes of
    ``service.name`` (uint32[r]). ``attributes``: a column of codes for each of
    ``Projection.resource_keys``. The attributes of row ``i``, when
    ``Projection.all_resource_attributes`` asks for them, are
    ``all_keys[s]``, ``all_values[s]`` with ``s = slice(all_offsets[i], all_offsets[i + 1])``
    in wire order (``all_offsets`` int64[r + 1]; all zeros when not asked for).
    """

    record: NDArray[np.uint32]
    service: Codes
    attributes: Mapping[str, Codes]
    all_offsets: NDArray[np.int64]
    all_keys: Codes
    all_values: Codes
    typed: Mapping[str, Codes] = field(default_factory=dict)
    """A column for each of ``Projection.typed_resource_keys``."""

    def __len__(self) -> int:
        return len(self.service)


@dataclass(frozen=True, slots=True)
class Links:
    """The links of spans: those of span ``i`` are rows ``offsets[i]:offsets[i + 1]``.

    ``offsets`` is int64[n + 1]; ``trace_id`` (uint64[l, 2]) and ``span_id`` (uint64[l])
    name the linked spans.
    """

    offsets: NDArray[np.int64]
    trace_id: NDArray[np.uint64]
    span_id: NDArray[np.uint64]

    def filter(self, mask: Mask) -> Links:
        """The links of the spans where ``mask`` (bool[n]) is true."""
        lengths = np.diff(self.offsets)
        kept = np.repeat(mask, lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths[mask])])
        return Links(offsets.astype(np.int64), self.trace_id[kept], self.span_id[kept])


@dataclass(frozen=True, slots=True)
class SpanBatch:
    """Spans as columns of length ``n``, in the order of the wire.

    ``kind`` and ``status`` are the enum numbers as sent (int32, open). Times are ns
    since the epoch (uint64). ``size_bytes`` is the size of the Span message encoded
    canonically, without unknown fields (int64; tempo-behaviour.md 1.2).

    Ids: ``trace_id`` is uint64[n, 2], big-endian halves; ``span_id`` and ``parent_id``
    are uint64, big-endian. An id that has not its 16 or 8 bytes is replaced by its
    digest (see ``consumer/decode/ids.py``), so equal ids stay equal. ``is_root`` is
    true where the parent id is empty, zero bytes long (tempo-behaviour.md 2.2.2).
    """

    strings: Strings
    records: Records
    resources: Resources
    record: NDArray[np.uint32]
    resource: NDArray[np.uint32]
    name: Codes
    kind: NDArray[np.int32]
    status: NDArray[np.int32]
    start_ns: NDArray[np.uint64]
    end_ns: NDArray[np.uint64]
    size_bytes: NDArray[np.int64]
    trace_id: NDArray[np.uint64]
    span_id: NDArray[np.uint64]
    parent_id: NDArray[np.uint64]
    is_root: Mask
    attributes: Mapping[str, Codes] = field(default_factory=dict)
    """A column of codes for each of ``Projection.span_keys``."""
    status_message: Codes | None = None
    """Only with ``Projection.status_message``."""
    typed: Mapping[str, Codes] = field(default_factory=dict)
    """A column for each of ``Projection.typed_span_keys``."""
    trace_state: Codes | None = None
    """Only with ``Projection.trace_state``."""
    links: Links | None = None
    """Only with ``Projection.links``."""
    served: Mask | None = None
    """Whom the batch is for, by code of the tenant; ``None``: all. Spans are of those only."""

    def __len__(self) -> int:
        return len(self.name)

    def filter(self, mask: Mask) -> SpanBatch:
        """Keep the spans where ``mask`` (bool[n]) is true; the other tables stay whole."""
        message, state, links = self.status_message, self.trace_state, self.links
        rows = np.flatnonzero(mask)
        return replace(
            self,
            record=self.record[rows],
            resource=self.resource[rows],
            name=self.name[rows],
            kind=self.kind[rows],
            status=self.status[rows],
            start_ns=self.start_ns[rows],
            end_ns=self.end_ns[rows],
            size_bytes=self.size_bytes[rows],
            trace_id=self.trace_id.take(rows, axis=0),
            span_id=self.span_id[rows],
            parent_id=self.parent_id[rows],
            is_root=self.is_root[rows],
            attributes={key: codes[rows] for key, codes in self.attributes.items()},
            status_message=None if message is None else message[rows],
            typed={key: codes[rows] for key, codes in self.typed.items()},
            trace_state=None if state is None else state[rows],
            links=None if links is None else links.filter(mask),
        )

    def service(self) -> Codes:
        """``service.name`` of each span's resource."""
        return self.resources.service[self.resource]

    def tenant(self) -> Codes:
        """Code into ``records.tenants`` of each span."""
        return self.records.tenant[self.record]

    def served_resources(self) -> NDArray[np.intp]:
        """Resources of the tenants that the batch is for, also those without a span in it.

        Those whose sender asked for no metrics are left out.
        """
        records = self.records
        is_served = ~records.skip
        if self.served is not None:
            is_served &= self.served[records.tenant]
        return np.flatnonzero(is_served[self.resources.record])

    def duration_s(self) -> NDArray[np.float64]:
        """End minus start in seconds; 0 where the end is not after the start."""
        after = self.end_ns > self.start_ns
        nanos = np.where(after, self.end_ns - self.start_ns, np.uint64(0))
        return nanos.astype(np.float64) / 1e9

    def find(self, key: str) -> Codes:
        """Resource attribute ``key``, else the span's (tempo-behaviour.md 0.10)."""
        of_resource, of_span = self.resources.attributes[key], self.attributes[key]
        if not of_resource.any():
            return of_span
        first = of_resource[self.resource]
        return np.where(first != ABSENT, first, of_span)
