"""OTLP/JSON: parsed by orjson, filled into the protobuf messages, decoded like those.

Keys are lowerCamelCase (the field's own name is taken too), unknown ones are ignored, and
null means "not there". Depth is bounded by orjson (1024) and by upb's limit on messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from consumer.decode.interface import MALFORMED_JSON, Decoded, Decoder, Failure, RawRecords
from consumer.decode.json_values import (
    MalformedJson,
    enum_reader,
    found,
    integer_reader,
    read_base64,
    read_boolean,
    read_double,
    read_hex,
    read_text,
)
from consumer.decode.messages import TRACES, Message

MAX_DEPTH = 100
"""Messages inside messages; upb's own limit."""

_IDS = frozenset({"trace_id", "span_id", "parent_span_id"})


class JsonDecoder:
    """A :class:`consumer.decode.Decoder` in front of one for `otlp_proto`."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.implementation = decoder.implementation

    def decode(self, records: RawRecords) -> Decoded:
        """Decode all records (see :class:`consumer.decode.Decoder`)."""
        values: list[bytes] = []
        failures: list[Failure] = []
        for index, value in enumerate(records.values):
            try:
                values.append(to_protobuf(value))
            except MalformedJson as error:
                failures.append(Failure(index, MALFORMED_JSON, str(error), value))
                values.append(b"")
        decoded = self._decoder.decode(replace(records, values=values))
        failures += (
            replace(failure, value=records.values[failure.record]) for failure in decoded.failures
        )
        failures.sort(key=lambda failure: failure.record)
        return replace(decoded, failures=failures)


def to_protobuf(value: bytes) -> bytes:
    """One JSON `TracesData` as protobuf. Raises :class:`MalformedJson`, which names the place."""
    try:
        source = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(str(error)) from None
    traces = TRACES()
    _fill(traces, source, _fields(TracesData.DESCRIPTOR), depth=0)
    encoded: bytes = traces.SerializeToString()
    return encoded


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    repeated: bool
    message: Descriptor | None
    read: Callable[[object], Any]


def _fill(target: Message, source: object, fields: Mapping[str, _Field], *, depth: int) -> None:
    if not isinstance(source, dict):
        raise MalformedJson(f"expected an object, found {found(source)}")
    if depth > MAX_DEPTH:
        raise MalformedJson(f"nested deeper than {MAX_DEPTH} messages")
    for key, value in source.items():
        field = fields.get(key)
        if field is None or value is None:
            continue
        try:
            if field.repeated:
                _fill_repeated(getattr(target, field.name), value, field, depth=depth)
            elif field.message is not None:
                child = getattr(target, field.name)
                child.SetInParent()
                _fill(child, value, _fields(field.message), depth=depth + 1)
            else:
                setattr(target, field.name, field.read(value))
        except MalformedJson as error:
            raise error.within(key) from None


def _fill_repeated(target: Message, source: object, field: _Field, *, depth: int) -> None:
    if not isinstance(source, list):
        raise MalformedJson(f"expected an array, found {found(source)}")
    for index, value in enumerate(source):
        try:
            if field.message is not None:
                _fill(target.add(), value, _fields(field.message), depth=depth + 1)
            else:
                target.append(field.read(value))
        except MalformedJson as error:
            raise error.within(f"[{index}]") from None


@cache
def _fields(message: Descriptor) -> Mapping[str, _Field]:
    """The fields of a message under both of their names."""
    fields: dict[str, _Field] = {}
    for field in message.fields:
        entry = _Field(field.name, field.is_repeated, field.message_type, _reader(field))
        fields[field.name] = fields[field.json_name] = entry
    return fields


def _reader(field: FieldDescriptor) -> Callable[[object], Any]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return read_hex if field.name in _IDS else read_base64
    if field.enum_type is not None:
        return enum_reader({value.name: value.number for value in field.enum_type.values})
    return _SCALARS.get(field.cpp_type, read_text)


_SCALARS: Mapping[int, Callable[[object], Any]] = {
    FieldDescriptor.CPPTYPE_STRING: read_text,
    FieldDescriptor.CPPTYPE_BOOL: read_boolean,
    FieldDescriptor.CPPTYPE_DOUBLE: read_double,
    FieldDescriptor.CPPTYPE_INT32: integer_reader(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: integer_reader(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: integer_reader(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: integer_reader(0, 2**64 - 1),
}
