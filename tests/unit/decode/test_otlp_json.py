from __future__ import annotations

from typing import Any

import orjson
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from consumer.decode.json_values import MalformedJson
from consumer.decode.otlp_json import to_protobuf


def to_span(source: dict[str, Any]) -> Span:
    """The span that ``source`` becomes, by way of a whole record."""
    whole = {"resourceSpans": [{"scopeSpans": [{"spans": [source]}]}]}
    record = TracesData.FromString(to_protobuf(orjson.dumps(whole)))
    return record.resource_spans[0].scope_spans[0].spans[0]


def test_both_spellings_of_a_key_are_taken() -> None:
    assert to_span({"traceId": "0a"}) == to_span({"trace_id": "0A"}) == Span(trace_id=b"\n")


def test_unknown_fields_and_nulls_are_not_there() -> None:
    odd = {"name": None, "links": None, "futureField": {"deep": [1]}, "kind": 2, "status": None}
    assert to_span(odd) == Span(kind=Span.SPAN_KIND_SERVER)


def test_an_empty_object_is_a_message_that_is_there() -> None:
    span = to_span({"status": {}, "attributes": [{"key": "a", "value": {}}, {"key": "b"}]})
    assert span.HasField("status")
    assert span.attributes[0].HasField("value")
    assert not span.attributes[1].HasField("value")


def test_every_kind_of_value_is_read() -> None:
    values: list[dict[str, Any]] = [
        {"stringValue": ""},
        {"boolValue": False},
        {"intValue": "-9223372036854775808"},
        {"doubleValue": "Infinity"},
        {"bytesValue": "AAE="},
        {"arrayValue": {}},
        {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": 1}}]}},
    ]
    span = to_span({"attributes": [{"key": "v", "value": value} for value in values]})
    kinds = [pair.value.WhichOneof("value") for pair in span.attributes]
    assert kinds == [
        *("string_value", "bool_value", "int_value", "double_value", "bytes_value"),
        *("array_value", "kvlist_value"),
    ]
    assert span.attributes[2].value.int_value == -(2**63)
    assert span.attributes[4].value.bytes_value == b"\0\1"
    assert span.attributes[6].value.kvlist_value.values[0].key == "k"


def test_events_links_and_numbers_are_read() -> None:
    source = {
        "kind": "SPAN_KIND_PRODUCER",
        "startTimeUnixNano": "18446744073709551615",
        "flags": 257,
        "events": [{"timeUnixNano": 5, "name": "e"}],
        "links": [{"traceId": "ff", "spanId": "00"}],
        "status": {"code": "STATUS_CODE_ERROR"},
    }
    span = to_span(source)
    assert span.kind == Span.SPAN_KIND_PRODUCER
    assert span.start_time_unix_nano == 2**64 - 1
    assert span.flags == 257
    assert span.events[0].time_unix_nano == 5
    assert (span.links[0].trace_id, span.links[0].span_id) == (b"\xff", b"\0")
    assert span.status.code == 2


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("[]", "expected an object, found an array"),
        ('{"resourceSpans":{}}', "resourceSpans: expected an array, found an object"),
        ('{"resourceSpans":[null]}', "resourceSpans[0]: expected an object, found null"),
        (
            '{"resourceSpans":[{"resource":{"attributes":[{"key":1}]}}]}',
            "resourceSpans[0].resource.attributes[0].key: expected a string, found a number",
        ),
        (
            '{"resourceSpans":[{},{"scopeSpans":[{"spans":[{"kind":"BIG"}]}]}]}',
            "resourceSpans[1].scopeSpans[0].spans[0].kind: not one of SPAN_KIND_UNSPECIFIED, ",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(source: str, text: str) -> None:
    with pytest.raises(MalformedJson) as caught:
        to_protobuf(source.encode())
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("source", ['{"resourceSpans":[', '{"a":"\\ud800"}', "", "NaN", "{} {}"])
def test_what_is_no_json_is_refused_with_the_parser_s_words(source: str) -> None:
    with pytest.raises(MalformedJson, match="line 1 column"):
        to_protobuf(source.encode())


def nested_json(levels: int) -> bytes:
    value: dict[str, Any] = {"boolValue": True}
    for _ in range(levels):
        value = {"arrayValue": {"values": [value]}}
    attributes = [{"key": "a", "value": value}]
    return orjson.dumps({"resourceSpans": [{"resource": {"attributes": attributes}}]})


def test_values_nest_as_deep_as_protobuf_takes_them() -> None:
    """Record, resource spans, resource, attribute, value, then two messages an array."""
    assert len(TracesData.FromString(to_protobuf(nested_json(48))).resource_spans) == 1
    with pytest.raises(MalformedJson) as caught:
        to_protobuf(nested_json(49))
    assert str(caught.value).endswith("nested deeper than 100 messages")
