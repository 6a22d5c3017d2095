"""The messages of remote write 1.0 and 2.0, parsed strictly.

Described here in protobuf's own terms, so that nothing is shared with the encoders.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

import snappy
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

V2_CONTENT_TYPE = "application/x-protobuf;proto=io.prometheus.write.v2.Request"

Labels = tuple[tuple[str, str], ...]
Series = list[tuple[Labels, list[tuple[int, float]]]]

_KINDS = descriptor_pb2.FieldDescriptorProto
_V1 = {
    "WriteRequest": [("timeseries", 1, "[TimeSeries]")],
    "TimeSeries": [("labels", 1, "[Label]"), ("samples", 2, "[Sample]")],
    "Label": [("name", 1, "string"), ("value", 2, "string")],
    "Sample": [("value", 1, "double"), ("timestamp", 2, "int64")],
}
_V2 = {
    "Request": [("symbols", 4, "[string]"), ("timeseries", 5, "[TimeSeries]")],
    "TimeSeries": [
        ("labels_refs", 1, "[uint32]"),
        ("samples", 2, "[Sample]"),
        ("metadata", 5, "Metadata"),
        ("created_timestamp", 6, "int64"),
    ],
    "Sample": [("value", 1, "double"), ("timestamp", 2, "int64"), ("start_timestamp", 3, "int64")],
    "Metadata": [("type", 1, "uint32"), ("help_ref", 3, "uint32"), ("unit_ref", 4, "uint32")],
}


@dataclass(frozen=True)
class Start:
    """What 2.0 says about a series beside its samples; times in ms, 0 if not given."""

    type: int
    help: str
    unit: str
    starts: tuple[int, ...]
    created: int


def parse(body: bytes) -> Series:
    """The series of a request of 1.0; ValueError for anything that does not belong there."""
    request = _decode(_WriteRequest, body)
    _refuse_unknown([request, *request.timeseries])
    return [
        (
            tuple((label.name, label.value) for label in series.labels),
            [(sample.timestamp, sample.value) for sample in series.samples],
        )
        for series in request.timeseries
    ]


def parse_v2(body: bytes, starts: MutableMapping[Labels, Start]) -> Series:
    """The series of a request of 2.0, what else it says put into ``starts``; or ValueError."""
    request = _decode(_Request, body)
    _refuse_unknown([request])
    symbols = list(request.symbols)
    if not symbols or symbols[0]:
        raise ValueError("the first symbol is not empty")
    if len(set(symbols)) < len(symbols):
        raise ValueError("a symbol is there twice")
    found = []
    for series in request.timeseries:
        _refuse_unknown([series, series.metadata, *series.samples])
        refs, metadata = list(series.labels_refs), series.metadata
        if len(refs) % 2:
            raise ValueError("odd number of references")
        if max([*refs, metadata.help_ref, metadata.unit_ref]) >= len(symbols):
            raise ValueError("a reference beyond the symbols")
        if not metadata.type:
            raise ValueError("no type")
        texts = [symbols[ref] for ref in refs]
        labels = tuple(zip(texts[::2], texts[1::2], strict=True))
        if any(sample.start_timestamp > sample.timestamp for sample in series.samples):
            raise ValueError(f"begins after its sample: {labels}")
        starts[labels] = Start(
            type=metadata.type,
            help=symbols[metadata.help_ref],
            unit=symbols[metadata.unit_ref],
            starts=tuple(sample.start_timestamp for sample in series.samples),
            created=series.created_timestamp,
        )
        found.append((labels, [(sample.timestamp, sample.value) for sample in series.samples]))
    return found


def _decode(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(snappy.decompress(body))
    except DecodeError as error:
        raise ValueError(f"not the message expected: {error}") from error
    except Exception as error:
        raise ValueError(f"no snappy block: {error}") from error


def _refuse_unknown(messages: Iterable[Any]) -> None:
    if any(len(UnknownFieldSet(message)) for message in messages):
        raise ValueError("unknown fields")


def _message(package: str, root: str, members: dict[str, list[tuple[str, int, str]]]) -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for name, fields in members.items():
        message = file.message_type.add(name=name)
        for member, number, described in fields:
            kind = described.strip("[]")
            repeated = kind != described
            added = message.field.add(
                name=member,
                number=number,
                label=_KINDS.LABEL_REPEATED if repeated else _KINDS.LABEL_OPTIONAL,
            )
            if kind in members or kind[0].isupper():
                added.type, added.type_name = _KINDS.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                added.type = getattr(_KINDS, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{root}"))


_WriteRequest = _message("receiver.v1", "WriteRequest", _V1)
_Request = _message("receiver.v2", "Request", _V2)
