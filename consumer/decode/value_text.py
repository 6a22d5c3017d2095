"""Attribute values as text (tempo-behaviour.md 0.9), on the messages of `messages.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from consumer.decode.messages import Message
from processors.batch import TYPE_MARKS


def value_text(value: Message) -> bytes:
    """Text of an `AnyValue`; bytes, unset and what the spec does not name are empty."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return bytes(value.string_value)
    write = _WRITERS.get(kind)
    return write(value) if write is not None else b""


def typed_text(value: Message) -> bytes:
    """The text after a mark for its type (:data:`processors.batch.TYPE_MARKS`)."""
    return _MARKS.get(value.WhichOneof("value"), _OTHER) + value_text(value)


def double_text(number: float) -> bytes:
    """Shortest digits that round-trip, in fixed notation; special values as Go prints them."""
    if math.isnan(number):
        return b"NaN"
    if math.isinf(number):
        return b"+Inf" if number > 0 else b"-Inf"
    text = repr(number)
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0").encode()


def _array_text(value: Message) -> bytes:
    return b"[" + b"".join(map(value_text, value.array_value.values)) + b"]"


def _kvlist_text(value: Message) -> bytes:
    pairs = (pair.key + b":" + value_text(pair.value) for pair in value.kvlist_value.values)
    return b"{" + b"".join(pairs) + b"}"


_OTHER = TYPE_MARKS["other"].encode()
_MARKS = {
    f"{name}_value": TYPE_MARKS[name].encode() for name in ("string", "int", "double", "bool")
}

_WRITERS: Mapping[str, Callable[[Message], bytes]] = MappingProxyType(
    {
        "bool_value": lambda value: b"true" if value.bool_value else b"false",
        "int_value": lambda value: b"%d" % value.int_value,
        "double_value": lambda value: double_text(value.double_value),
        "array_value": _array_text,
        "kvlist_value": _kvlist_text,
    }
)
