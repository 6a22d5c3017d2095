"""Builders of OTLP messages for tests: plain arguments in, protobuf objects or bytes out."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import (
    ResourceSpans,
    ScopeSpans,
    Span,
    Status,
    TracesData,
)

from consumer.decode import RawRecords

Attributes: TypeAlias = Mapping[str, Any] | Iterable[KeyValue]
"""Values as :func:`any_value` takes them, or pairs made by hand."""

START_NS = 1_700_000_000_000_000_000


_SCALARS: tuple[tuple[type, str], ...] = (
    (bool, "bool_value"),
    (str, "string_value"),
    (int, "int_value"),
    (float, "double_value"),
    (bytes, "bytes_value"),
)


def any_value(value: Any) -> AnyValue:
    """`AnyValue` of the kind that matches; of ``None`` one with nothing set."""
    if value is None:
        return AnyValue()
    if isinstance(value, AnyValue):
        return value
    if isinstance(value, Mapping):
        return AnyValue(kvlist_value=KeyValueList(values=attributes(value)))
    for kind, name in _SCALARS:
        if isinstance(value, kind):
            member: dict[str, Any] = {name: value}
            return AnyValue(**member)
    return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))


def attributes(source: Attributes) -> list[KeyValue]:
    """`KeyValue` of each item of a mapping; those made by hand pass through."""
    if isinstance(source, Mapping):
        return [KeyValue(key=key, value=any_value(value)) for key, value in source.items()]
    return list(source)


def span(
    name: str = "op",
    *,
    attrs: Attributes = (),
    duration_s: float = 0.05,
    status: int | None = None,
    message: str = "",
    **fields: Any,
) -> Span:
    """A server span of 50 ms that starts at :data:`START_NS`; ``fields`` are those of `Span`."""
    start = fields.setdefault("start_time_unix_nano", START_NS)
    fields.setdefault("end_time_unix_nano", start + round(duration_s * 1e9))
    fields.setdefault("trace_id", (1).to_bytes(16, "big"))
    fields.setdefault("span_id", (1).to_bytes(8, "big"))
    fields.setdefault("kind", Span.SPAN_KIND_SERVER)
    built = Span(name=name, attributes=attributes(attrs), **fields)
    if status is not None or message:
        built.status.CopyFrom(
            Status(code=Status.StatusCode.ValueType(status or 0), message=message)
        )
    return built


def resource_spans(
    spans: Iterable[Span], *, service: str | None = "svc", resource: Attributes = ()
) -> ResourceSpans:
    """Spans of one scope of one resource, whose first attribute is ``service.name``."""
    named = attributes({} if service is None else {"service.name": service})
    return ResourceSpans(
        resource=Resource(attributes=[*named, *attributes(resource)]),
        scope_spans=[ScopeSpans(scope=InstrumentationScope(name="lib"), spans=spans)],
    )


def record(*parts: ResourceSpans) -> bytes:
    """The value of an ``otlp_proto`` record."""
    return TracesData(resource_spans=parts).SerializeToString()


def field(number: int, payload: bytes | int) -> bytes:
    """One field as wire bytes: length-delimited for bytes, a varint for a number."""
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(number: int) -> bytes:
    """The shortest varint of a number below 2**64; a negative one as its two's complement."""
    number &= 0xFFFF_FFFF_FFFF_FFFF
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def push_bytes(traces: Iterable[bytes], *, skip: bool = False) -> bytes:
    """The value of a ``tempo`` record (`PushBytesRequest`), with an id for each trace."""
    traces = list(traces)
    encoded = b"".join(field(2, trace) for trace in traces)
    encoded += b"".join(field(3, struct.pack(">QQ", 0, index)) for index in range(len(traces)))
    return encoded + (field(5, 1) if skip else b"")


def raw_records(
    values: Iterable[bytes], *, tenants: Sequence[str] = ("single-tenant",)
) -> RawRecords:
    """Records of one partition, dealt to ``tenants`` in turn, one millisecond apart."""
    values = list(values)
    index = np.arange(len(values))
    return RawRecords(
        values=values,
        tenants=tuple(tenants),
        tenant=(index % len(tenants)).astype(np.uint32),
        time_ms=(START_NS // 1_000_000 + index).astype(np.int64),
        lane=np.zeros(len(values), dtype=np.uint32),
    )
