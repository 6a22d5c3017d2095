"""The Python twin of the native decoder, on `protobuf` (upb) and `opentelemetry-proto`.

It is the reference for what is malformed (whatever upb refuses) and for sizes (what upb
writes when it encodes a span again). The order in which texts get their codes is part of
the contract: for each resource `service.name`, the wanted keys, the typed keys, then all
attributes; for each span its name, the wanted keys, the typed keys, the status message,
then the trace state.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError as ProtobufError
from numpy.typing import NDArray

from consumer.decode import ids
from consumer.decode.dictionary import Dictionary
from consumer.decode.failures import (
    BrokenTraces,
    UndecodableError,
    failed_record,
    malformed,
    too_many_spans,
)
from consumer.decode.interface import Decoded, Encoding, Failure, RawRecords, most_spans
from consumer.decode.messages import (
    NEST,
    NEST_LEVELS,
    PUSH_BYTES,
    TRACES,
    Message,
    count_spans,
    nested,
)
from consumer.decode.value_text import typed_text, value_text
from processors.batch import Codes, Links, Projection, Records, Resources, SpanBatch


class PythonDecoder:
    """A :class:`consumer.decode.Decoder` for the two protobuf encodings."""

    implementation = "python"

    def __init__(self, encoding: Encoding, projection: Projection) -> None:
        self._push_bytes = encoding is Encoding.TEMPO
        self._projection = projection

    def decode(self, records: RawRecords) -> Decoded:
        """Decode all records (see :class:`consumer.decode.Decoder`)."""
        failures: list[Failure] = []
        spans_received = np.zeros(len(records), dtype=np.int64)
        skip = np.zeros(len(records), dtype=np.bool_)
        rows = _Rows(self._projection)
        for index, value in enumerate(records.values):
            before = len(rows)
            if self._push_bytes:
                failure, skip[index] = _read_push(index, value, rows)
            else:
                failure = _read_traces(index, value, rows)
            if failure is not None:
                failures.append(failure)
            spans_received[index] = len(rows) - before
        table = Records(records.tenants, records.tenant, records.time_ms, records.lane, skip)
        return Decoded(rows.batch(table), failures, spans_received)


class _Rows:
    """Grows into a batch."""

    def __init__(self, projection: Projection) -> None:
        strings = Dictionary()
        self._resources = _ResourceRows(projection, strings)
        self._spans = _SpanRows(projection, strings)

    def __len__(self) -> int:
        return len(self._spans)

    def extend(self, record: int, traces: Message) -> None:
        """Add a row for each resource and each span."""
        for resource_spans in traces.resource_spans:
            resource = self._resources.append(resource_spans.resource, record)
            for scope_spans in resource_spans.scope_spans:
                self._spans.extend(scope_spans.spans, record, resource)

    def batch(self, records: Records) -> SpanBatch:
        """All rows as columns."""
        return self._spans.batch(records, self._resources.table())


def _read_traces(record: int, value: bytes, rows: _Rows) -> Failure | None:
    try:
        rows.extend(record, _parse_traces(value))
    except UndecodableError as error:
        return failed_record(record, value, error)
    return None


def _read_push(record: int, value: bytes, rows: _Rows) -> tuple[Failure | None, bool]:
    """What is wrong with a record, and whether its sender wants no metrics of it."""
    try:
        request = _parse_push(value)
    except UndecodableError as error:
        return failed_record(record, value, error), False
    broken = BrokenTraces()
    for index, trace in enumerate(request.traces):
        try:
            rows.extend(record, _parse_traces(trace))
        except UndecodableError as error:
            broken.add(index, error)
    failure = broken.failure(record, value) if broken else None
    return failure, request.skip_metrics_generation


def _parse_push(value: bytes) -> Message:
    try:
        return PUSH_BYTES.FromString(value)
    except ProtobufError as error:
        raise malformed(str(error)) from None


def _parse_traces(value: bytes) -> Message:
    """`TracesData` without unknown fields. Raises :class:`UndecodableError`."""
    size = len(value)
    try:
        # The shortest span has two bytes: what is small cannot hold too many.
        if size // 2 > most_spans(size) and count_spans(value) > most_spans(size):
            raise too_many_spans(size)
        return _parse_known(value)
    except ProtobufError as error:
        raise malformed(str(error)) from None


def _parse_known(value: bytes) -> Message:
    try:
        message = NEST.FromString(nested(value))
    except ProtobufError:
        message = TRACES.FromString(value)
        _discard_unknown(message)
        return message
    for _ in range(NEST_LEVELS - 1):
        message = message.inner
    message.traces.DiscardUnknownFields()
    return message.traces


def _discard_unknown(message: Message) -> None:
    message.DiscardUnknownFields()
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in value if field.is_repeated else (value,):
                _discard_unknown(child)


class _Wanted:
    """The wanted attributes of resources or spans, as texts."""

    def __init__(self, keys: Iterable[str], typed_keys: Iterable[str]) -> None:
        self.keys = tuple(dict.fromkeys(keys))
        self.typed_keys = tuple(dict.fromkeys(typed_keys))
        self._slots = _slots(self.keys)
        self._typed_slots = _slots(self.typed_keys)

    def texts(self, attributes: Iterable[Message]) -> list[bytes | None]:
        """Text of the first attribute of each key, then of each typed key; None: not there."""
        texts = _texts(attributes, self._slots, value_text) if self._slots else []
        if self._typed_slots:
            texts += _texts(attributes, self._typed_slots, typed_text)
        return texts

    def columns(self, rows: array[int]) -> tuple[dict[str, Codes], dict[str, Codes]]:
        """The codes of what :meth:`texts` gave, by key and by typed key."""
        columns = _columns(rows, len(self.keys) + len(self.typed_keys))
        typed = columns[len(self.keys) :]
        return (
            dict(zip(self.keys, columns, strict=False)),
            dict(zip(self.typed_keys, typed, strict=True)),
        )


def _slots(keys: Iterable[str]) -> Mapping[bytes, int]:
    return {key.encode(): slot for slot, key in enumerate(keys)}


def _texts(
    attributes: Iterable[Message],
    slots: Mapping[bytes, int],
    text_of: Callable[[Message], bytes],
) -> list[bytes | None]:
    texts: list[bytes | None] = [None] * len(slots)
    slot_of = slots.get
    for attribute in attributes:
        slot = slot_of(attribute.key)
        if slot is not None and texts[slot] is None:
            texts[slot] = text_of(attribute.value)
    return texts


class _ResourceRows:
    """Grows into :class:`Resources`."""

    def __init__(self, projection: Projection, strings: Dictionary) -> None:
        keys = ("service.name", *projection.resource_keys)
        self._keys = projection.resource_keys
        self._wanted = _Wanted(keys, projection.typed_resource_keys)
        self._want_all = projection.all_resource_attributes
        self._code = strings.__getitem__
        self._records = array("I")
        self._offsets = array("q", [0])
        self._attributes = array("I")
        self._all = array("I")

    def append(self, resource: Message, record: int) -> int:
        """Add a row and return its index."""
        code = self._code
        self._records.append(record)
        self._attributes.extend(map(code, self._wanted.texts(resource.attributes)))
        if self._want_all:
            for attribute in resource.attributes:
                self._all.extend((code(attribute.key), code(value_text(attribute.value))))
        self._offsets.append(len(self._all) // 2)
        return len(self._offsets) - 2

    def table(self) -> Resources:
        """All rows as columns."""
        by_key, typed = self._wanted.columns(self._attributes)
        all_keys, all_values = _columns(self._all, 2)
        return Resources(
            record=np.array(self._records, dtype=np.uint32),
            service=by_key["service.name"],
            attributes={key: by_key[key] for key in self._keys},
            all_offsets=np.array(self._offsets, dtype=np.int64),
            all_keys=all_keys,
            all_values=all_values,
            typed=typed,
        )


class _SpanRows:
    """Grows into :class:`SpanBatch`."""

    def __init__(self, projection: Projection, strings: Dictionary) -> None:
        self._wanted = _Wanted(projection.span_keys, projection.typed_span_keys)
        self._code = strings.__getitem__
        self._strings = strings
        self._projection = projection
        self._sources = array("I")
        self._names = array("I")
        self._enums = array("i")
        self._times = array("Q")
        self._sizes = array("q")
        self._trace_ids: list[bytes] = []
        self._span_ids: list[bytes] = []
        self._parent_ids: list[bytes] = []
        self._attributes = array("I")
        self._messages = array("I")
        self._states = array("I")
        self._link_offsets = array("q", [0])
        self._link_trace_ids: list[bytes] = []
        self._link_span_ids: list[bytes] = []

    def __len__(self) -> int:
        return len(self._names)

    def extend(self, spans: Iterable[Message], record: int, resource: int) -> None:
        """Add a row for each of ``spans``."""
        code, texts_of, source = self._code, self._wanted.texts, (record, resource)
        projection = self._projection
        for span in spans:
            status = span.status
            self._sources.extend(source)
            self._names.append(code(span.name))
            self._enums.extend((span.kind, status.code))
            self._times.extend((span.start_time_unix_nano, span.end_time_unix_nano))
            self._sizes.append(span.ByteSize())
            self._trace_ids.append(span.trace_id)
            self._span_ids.append(span.span_id)
            self._parent_ids.append(span.parent_span_id)
            self._attributes.extend(map(code, texts_of(span.attributes)))
            if projection.status_message:
                self._messages.append(code(status.message))
            if projection.trace_state:
                self._states.append(code(span.trace_state))
            if projection.links:
                self._link_trace_ids.extend(link.trace_id for link in span.links)
                self._link_span_ids.extend(link.span_id for link in span.links)
                self._link_offsets.append(len(self._link_span_ids))

    def batch(self, records: Records, resources: Resources) -> SpanBatch:
        """All rows as columns, with the tables they point into."""
        record, resource = _columns(self._sources, 2)
        kind, status = _columns(self._enums, 2)
        start_ns, end_ns = _columns(self._times, 2)
        attributes, typed = self._wanted.columns(self._attributes)
        projection = self._projection
        is_root = [not parent for parent in self._parent_ids]
        return SpanBatch(
            strings=self._strings.strings(),
            records=records,
            resources=resources,
            record=record,
            resource=resource,
            name=np.array(self._names),
            kind=kind,
            status=status,
            start_ns=start_ns,
            end_ns=end_ns,
            size_bytes=np.array(self._sizes),
            trace_id=ids.trace_ids(self._trace_ids),
            span_id=ids.span_ids(self._span_ids),
            parent_id=ids.span_ids(self._parent_ids),
            is_root=np.array(is_root, dtype=np.bool_),
            attributes=attributes,
            status_message=np.array(self._messages) if projection.status_message else None,
            typed=typed,
            trace_state=np.array(self._states) if projection.trace_state else None,
            links=self._links() if projection.links else None,
        )

    def _links(self) -> Links:
        return Links(
            offsets=np.array(self._link_offsets, dtype=np.int64),
            trace_id=ids.trace_ids(self._link_trace_ids),
            span_id=ids.span_ids(self._link_span_ids),
        )


def _columns(rows: array[int], width: int) -> NDArray[Any]:
    """Rows of ``width`` numbers, one after the other, as contiguous columns [width, n]."""
    return np.ascontiguousarray(np.array(rows).reshape(-1 if width else 0, width).T)
