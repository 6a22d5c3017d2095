"""Spans and edges as the oracle sees them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from consumer.decode.messages import Message
from consumer.decode.value_text import value_text

SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
PRODUCER, CONSUMER = Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER
CLIENT_KINDS, SERVER_KINDS = (CLIENT, PRODUCER), (SERVER, CONSUMER)
ERROR = 2

Key = tuple[bytes, bytes]


@dataclass(frozen=True)
class Differences:
    """D1 to D18 of the design, as far as they are about service graphs."""

    d1_measured_side: bool = True
    d2_fan_out: bool = True
    d3_repeated: bool = True
    d4_either_messaging: bool = True
    d6_reserved_labels: bool = True
    d9_last_non_empty: bool = True
    d10_digits: bool = True
    d16_any_number: bool = True
    oldest_goes: bool = True
    """The rule of a full store."""
    empty_erases_nothing: bool = True
    """A client whose database has an empty name leaves a server that came before its own."""

    @classmethod
    def none(cls) -> Self:
        """Tempo."""
        return cls(*[False] * len(cls.__dataclass_fields__))


@dataclass
class Half:
    """A span, with the attributes of its resource."""

    span: Message
    resource: Sequence[Message]
    service: str
    place: int = 0
    """Its place among the halves, in the order of arrival."""
    is_counted: bool = False
    """Whether it no longer waits for its first edge."""

    @property
    def is_client(self) -> bool:
        return self.span.kind in CLIENT_KINDS

    @property
    def key(self) -> Key:
        own = self.span.span_id if self.is_client else self.span.parent_span_id
        return self.span.trace_id, own

    @property
    def identity(self) -> tuple[bytes, bytes, bool]:
        return self.span.trace_id, self.span.span_id, self.is_client

    @property
    def is_root(self) -> bool:
        return not self.is_client and not self.span.parent_span_id

    def find(self, key: str) -> str | None:
        return first(key, self.resource, self.span.attributes)

    def seconds(self) -> float:
        nanos: int = self.span.end_time_unix_nano - self.span.start_time_unix_nano
        return max(0, nanos) / 1e9


@dataclass
class Edge:
    """What Tempo writes down of an edge while it fills up."""

    client: str = ""
    server: str = ""
    connection_type: str = ""
    client_seconds: float | None = None
    server_seconds: float | None = None
    sent_ns: int = 0
    received_ns: int = 0
    failed: bool = False
    peer: str = ""
    weight: float = 1.0
    virtual: str = ""
    is_root: bool = False
    is_call: bool = False
    """Whether a named database makes it complete."""
    kinds: set[int] = field(default_factory=set)
    sides: set[bool] = field(default_factory=set)
    dimensions: dict[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return bool(self.client and self.server)


def first(key: str, *lists: Iterable[Message]) -> str | None:
    """The first attribute of that name (0.10), as text (0.9)."""
    for attributes in lists:
        for each in attributes:
            if each.key == key.encode():
                return value_text(each.value).decode("utf-8", "surrogateescape")
    return None


def is_utf8(text: str) -> bool:
    """Whether it was UTF-8 on the wire."""
    return not any("\udc80" <= character <= "\udcff" for character in text)


def first_found(values: Iterable[str | None]) -> str | None:
    """The first that was found."""
    return next((value for value in values if value is not None), None)


def adjusted_count(trace_state: str) -> float:
    """Spans that one stands for, by the member ``ot`` of its trace state (2.5); 0: not told."""
    members = [member.strip(" \t") for member in trace_state.split(",")]
    value = next((m.removeprefix("ot=") for m in members if m.startswith("ot=")), "")
    fields: dict[str, Any] = dict(part.partition(":")[::2] for part in value.split(";"))
    threshold, randomness = fields.get("th", ""), fields.get("rv", "")
    if not re.fullmatch("[0-9a-f]{1,14}", threshold):
        return 0.0
    if "rv" in fields and not re.fullmatch("[0-9a-f]{14}", randomness):
        return 0.0
    count = 2**56 / (2**56 - int(threshold.ljust(14, "0"), 16))
    if count.is_integer() or not randomness:
        return count
    drawn = (int(randomness, 16) >> 3) / 2**53
    return count // 1 + (1 if drawn < count % 1 else 0)
