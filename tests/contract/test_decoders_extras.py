"""Both decoders on what is read only when asked for: typed attributes, trace state, links."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from consumer.decode.ids import HIGH_BASIS, LOW_BASIS, digest
from processors.batch import ABSENT, EMPTY
from tests.support import otlp
from tests.support.decoding import IMPLEMENTATIONS, Decode, around_span, one_span, require, texts


@pytest.fixture(params=IMPLEMENTATIONS)
def decode(request: pytest.FixtureRequest) -> Decode:
    require(request.param)
    return Decode(request.param)


def link(trace_id: bytes, span_id: bytes) -> Span.Link:
    return Span.Link(trace_id=trace_id, span_id=span_id, attributes=otlp.attributes({"a": "b"}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5", "s5"),
        (5, "i5"),
        (-1, "i-1"),
        (5.0, "d5"),
        (2.5, "d2.5"),
        (float("nan"), "dNaN"),
        (True, "btrue"),
        ("true", "strue"),
        (False, "bfalse"),
        ("", "s"),
        ([1, "a"], "o[1a]"),
        ([], "o[]"),
        ({"a": 1.5}, "o{a:1.5}"),
        (b"bytes", "o"),
        (None, "o"),
        (AnyValue(string_value_strindex=7), "o"),
    ],
)
def test_typed_columns_tell_types_apart(decode: Decode, value: Any, text: str) -> None:
    record = otlp.record(
        otlp.resource_spans([otlp.span(attrs={"v": value})], resource={"v": value})
    )
    batch = decode(record, typed_span_keys=("v",), typed_resource_keys=("v",)).batch
    assert texts(batch, batch.typed["v"]) == [text]
    assert texts(batch, batch.resources.typed["v"]) == [text]


def test_the_first_attribute_with_a_typed_key_wins_even_without_value(decode: Decode) -> None:
    pairs = [KeyValue(key="a"), *otlp.attributes({"b": 1}), *otlp.attributes({"a": 2, "b": "x"})]
    batch = decode(one_span(attrs=pairs), typed_span_keys=("b", "missing", "a")).batch
    assert list(batch.typed) == ["b", "missing", "a"]
    assert texts(batch, batch.typed["a"]) == ["o"]
    assert texts(batch, batch.typed["b"]) == ["i1"]
    assert batch.typed["missing"].tolist() == [ABSENT]


def test_the_type_is_that_of_the_last_member_of_a_oneof(decode: Decode) -> None:
    value = otlp.field(5, otlp.field(1, b"")) + otlp.field(99, 1) + otlp.field(3, 7)
    span = otlp.field(9, otlp.field(1, b"v") + otlp.field(2, value))
    batch = decode(around_span(span), typed_span_keys=("v",)).batch
    assert texts(batch, batch.typed["v"]) == ["i7"]


def test_a_key_may_be_wanted_typed_and_untyped(decode: Decode) -> None:
    keys: dict[str, Any] = {"span_keys": ("a", "b"), "typed_span_keys": ("c", "b")}
    batch = decode(one_span(attrs={"a": 1, "b": 2, "c": 3}), **keys).batch
    plain = [texts(batch, batch.attributes[key]) for key in ("a", "b")]
    typed = [texts(batch, batch.typed[key]) for key in ("c", "b")]
    assert (plain, typed) == ([["1"], ["2"]], [["i3"], ["i2"]])


def test_service_name_may_be_wanted_typed(decode: Decode) -> None:
    batch = decode(one_span(), typed_resource_keys=("service.name",)).batch
    assert list(batch.resources.attributes) == []
    assert texts(batch, batch.resources.typed["service.name"]) == ["ssvc"]


def test_the_trace_state_is_read_when_asked_for(decode: Decode) -> None:
    spans = [otlp.span(trace_state="ot=th:8"), otlp.span()]
    batch = decode(otlp.record(otlp.resource_spans(spans)), trace_state=True).batch
    assert batch.trace_state is not None
    assert texts(batch, batch.trace_state) == ["ot=th:8", ""]
    assert batch.trace_state[1] == EMPTY


def test_links_are_those_of_their_span(decode: Decode) -> None:
    trace_id, span_id = bytes(range(16)), bytes(range(8))
    spans = [
        otlp.span(links=[link(trace_id, span_id), link(b"odd", b"")]),
        otlp.span(),
        otlp.span(links=[link(bytes(16), bytes(8))]),
    ]
    links = decode(otlp.record(otlp.resource_spans(spans)), links=True).batch.links
    assert links is not None
    assert links.offsets.tolist() == [0, 2, 2, 3]
    assert links.trace_id.tolist() == [
        [0x0001020304050607, 0x08090A0B0C0D0E0F],
        [digest(b"odd", HIGH_BASIS), digest(b"odd", LOW_BASIS)],
        [0, 0],
    ]
    assert links.span_id.tolist() == [0x0001020304050607, digest(b"", HIGH_BASIS), 0]


def test_links_of_a_failed_record_are_forgotten(decode: Decode) -> None:
    linked = one_span(links=[link(b"t" * 16, b"s" * 8)])
    links = decode(linked, linked + b"\x0a", linked, links=True).batch.links
    assert links is not None
    assert links.offsets.tolist() == [0, 1, 2]
    assert len(links.span_id) == len(links.trace_id) == 2


def test_columns_have_the_promised_types_even_without_spans(decode: Decode) -> None:
    wanted: dict[str, Any] = {"typed_span_keys": ("a",), "typed_resource_keys": ("b",)}
    for values, rows in (((), 0), ((b"",), 0), ((one_span(), one_span()), 2)):
        batch = decode(*values, trace_state=True, links=True, **wanted).batch
        assert batch.links is not None
        for column in (batch.typed["a"], batch.resources.typed["b"], batch.trace_state):
            assert column is not None
            assert column.dtype == np.uint32
            assert len(column) == rows
        assert batch.links.offsets.tolist() == [0] * (rows + 1)
        assert batch.links.offsets.dtype == np.int64
        assert batch.links.span_id.dtype == batch.links.trace_id.dtype == np.uint64
        assert batch.links.trace_id.shape == (0, 2)


def test_what_nobody_asked_for_is_not_there(decode: Decode) -> None:
    record = one_span(
        trace_state="secret", links=[link(b"t" * 16, b"s" * 8)], attrs={"a": "secret"}
    )
    batch = decode(record).batch
    assert (batch.trace_state, batch.links, batch.typed, batch.resources.typed) == (
        None,
        None,
        {},
        {},
    )
    assert "secret" not in batch.strings.text


def test_codes_are_given_in_the_documented_order(decode: Decode) -> None:
    span = otlp.span(
        "name", attrs={"typed": 2, "plain": 1}, status=2, message="message", trace_state="state"
    )
    record = otlp.record(otlp.resource_spans([span], resource={"t": "y", "p": "x"}))
    wanted: dict[str, Any] = {
        "span_keys": ("plain",),
        "typed_span_keys": ("typed",),
        "resource_keys": ("p",),
        "typed_resource_keys": ("t",),
        "all_resource_attributes": True,
    }
    batch = decode(record, status_message=True, trace_state=True, **wanted).batch
    of_resource = ["svc", "x", "sy", "service.name", "t", "y", "p"]
    of_span = ["name", "1", "i2", "message", "state"]
    assert list(batch.strings.text) == ["", "", *of_resource, *of_span]
