from __future__ import annotations

from google.protobuf.message import DecodeError

from consumer.decode.messages import NEST, NEST_LEVELS, TRACES, nested
from tests.support.decoding import around_span, nested_value, one_span
from tests.support.otlp import field


def test_strings_take_bytes_that_are_not_utf8() -> None:
    record = TRACES.FromString(around_span(field(5, b"\xff")))
    assert record.resource_spans[0].scope_spans[0].spans[0].name == b"\xff"


def test_a_nested_record_is_the_record() -> None:
    message = NEST.FromString(nested(one_span()))
    for _ in range(NEST_LEVELS - 1):
        message = message.inner
    assert message.traces.SerializeToString() == one_span()


def test_what_parses_nested_is_shallow_enough_to_discard_all_unknown_fields() -> None:
    def record(levels: int) -> bytes:
        return around_span(field(9, field(2, nested_value(levels))))

    deepest = max(levels for levels in range(48) if _parses_nested(record(levels)))
    assert 10 < deepest < 40
    message = TRACES.FromString(record(deepest))
    message.DiscardUnknownFields()
    assert message.SerializeToString().endswith(b"\x0a\x01x")


def _parses_nested(record: bytes) -> bool:
    try:
        NEST.FromString(nested(record))
    except DecodeError:
        return False
    return True
