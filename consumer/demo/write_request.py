"""Reads remote-write 1.0 requests: ``prometheus.WriteRequest`` in a snappy block.

Source: the Remote-Write 1.0 specification and its field numbers. Bound: a request holds
at most ``MAX_REQUEST_BYTES`` when unfolded, told by its own preamble before unfolding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import snappy
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message_factory import GetMessageClass

from consumer.errors import SpanmillError

MAX_REQUEST_BYTES = 64 * 1024 * 1024

Labels = tuple[tuple[str, str], ...]
"""Names and values of a series, ``__name__`` among them, in the order they were sent."""

Sample = tuple[int, float]
"""Timestamp in milliseconds, value."""

_TYPES = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "int64": FieldDescriptorProto.TYPE_INT64,
}
_MESSAGES = {
    "WriteRequest": (("timeseries", 1, "*TimeSeries"),),
    "TimeSeries": (("labels", 1, "*Label"), ("samples", 2, "*Sample")),
    "Label": (("name", 1, "string"), ("value", 2, "string")),
    "Sample": (("value", 1, "double"), ("timestamp", 2, "int64")),
}
"""Fields as name, number and type; ``*`` is a repeated message."""


class WriteRequestError(SpanmillError):
    """The body is no remote-write request; sending it again would not help."""


def parse_write_request(body: bytes) -> Iterator[tuple[Labels, list[Sample]]]:
    """Yield the series of a request with their samples.

    Raises :class:`WriteRequestError`, before the first series, for anything else.
    """
    try:
        if _unfolded_bytes(body) > MAX_REQUEST_BYTES:
            raise WriteRequestError(f"a request of more than {MAX_REQUEST_BYTES} bytes")
        request = _WriteRequest.FromString(snappy.decompress(body))
    except (snappy.UncompressError, ProtobufDecodeError) as error:
        raise WriteRequestError(f"no snappy block of a WriteRequest: {error}") from error
    for series in request.timeseries:
        labels = tuple((label.name, label.value) for label in series.labels)
        yield labels, [(sample.timestamp, sample.value) for sample in series.samples]


def _unfolded_bytes(body: bytes) -> int:
    """Read the preamble of a snappy block: a varint of at most five bytes."""
    number = 0
    for index, byte in enumerate(body[:5]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number
    raise WriteRequestError("no snappy block")


def _make_write_request() -> Any:  # noqa: ANN401  a class made at run time has no static type
    file = FileDescriptorProto(
        name="demo/write_request.proto", package="prometheus", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind in fields:
            field = message.field.add(name=field_name, number=number)
            field.label = FieldDescriptorProto.LABEL_OPTIONAL
            if kind.startswith("*"):
                field.label = FieldDescriptorProto.LABEL_REPEATED
                field.type = FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".prometheus.{kind[1:]}"
            else:
                field.type = _TYPES[kind]
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


_WriteRequest = _make_write_request()
