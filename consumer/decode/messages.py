"""OTLP's messages with `bytes` in place of `string`, in a descriptor pool of their own.

Python's protobuf refuses a proto3 `string` that is not UTF-8; a `bytes` field reads the
same wire format and takes anything. One bad name must not cost a whole record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

Message: TypeAlias = Any
"""A message of a class made at run time; no checker knows its fields."""

NEST_LEVELS = 48
"""Levels of :data:`NEST` around a record, see :func:`nested`."""

_TRACES = "opentelemetry.proto.trace.v1.TracesData"

_SHAPES = (
    ("TracesShape", 1, ".spanmill.ResourceShape"),
    ("ResourceShape", 2, ".spanmill.ScopeShape"),
)
"""`TracesData` down to its spans, which stay bytes."""


def _with_bytes(descriptor: FileDescriptor) -> FileDescriptorProto:
    file = FileDescriptorProto()
    descriptor.CopyToProto(file)
    pending = list(file.message_type)
    while pending:
        message = pending.pop()
        pending.extend(message.nested_type)
        for field in message.field:
            if field.type == FieldDescriptorProto.TYPE_STRING:
                field.type = FieldDescriptorProto.TYPE_BYTES
    return file


def _own_file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="spanmill.proto", package="spanmill", syntax="proto3")
    file.dependency.append(trace_pb2.DESCRIPTOR.name)
    push = file.message_type.add(name="PushBytesRequest")
    one, many = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
    is_bytes, is_bool = FieldDescriptorProto.TYPE_BYTES, FieldDescriptorProto.TYPE_BOOL
    is_message = FieldDescriptorProto.TYPE_MESSAGE
    push.field.add(name="traces", number=2, label=many, type=is_bytes)
    push.field.add(name="ids", number=3, label=many, type=is_bytes)
    push.field.add(name="skip_metrics_generation", number=5, label=one, type=is_bool)
    for name, number, inner in _SHAPES:
        shape = file.message_type.add(name=name)
        shape.field.add(name="inner", number=number, label=many, type=is_message, type_name=inner)
    file.message_type.add(name="ScopeShape").field.add(
        name="spans", number=2, label=many, type=is_bytes
    )
    nest = file.message_type.add(name="Nest")
    nest.field.add(name="inner", number=1, label=one, type=is_message, type_name=".spanmill.Nest")
    nest.field.add(name="traces", number=2, label=one, type=is_message, type_name=f".{_TRACES}")
    return file


def _build() -> Sequence[Message]:
    pool = DescriptorPool()
    for module in (common_pb2, resource_pb2, trace_pb2):
        pool.Add(_with_bytes(module.DESCRIPTOR))
    pool.Add(_own_file())
    names = (_TRACES, "spanmill.PushBytesRequest", "spanmill.Nest", "spanmill.TracesShape")
    return [GetMessageClass(pool.FindMessageTypeByName(name)) for name in names]


TRACES, PUSH_BYTES, NEST, _TRACES_SHAPE = _build()
"""Classes of `TracesData`, Tempo's `PushBytesRequest` and the wrapper of :func:`nested`."""


def count_spans(record: bytes) -> int:
    """Spans of a `TracesData`, none of which is read. Raises protobuf's `DecodeError`."""
    shape = _TRACES_SHAPE.FromString(record)
    return sum(len(scope.spans) for resource in shape.inner for scope in resource.inner)


def nested(record: bytes) -> bytes:
    """``record`` inside :data:`NEST_LEVELS` levels of :data:`NEST`.

    upb parses 100 levels but discards unknown fields in the first 64 only. What still parses
    inside the nest has no more than 100 - :data:`NEST_LEVELS` levels: all are in reach.
    """
    headers = [b"\x12" + _varint(len(record))]
    size = len(record) + len(headers[0])
    for _ in range(NEST_LEVELS - 1):
        headers.append(b"\x0a" + _varint(size))
        size += len(headers[-1])
    return b"".join((*reversed(headers), record))


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
