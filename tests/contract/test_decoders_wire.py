"""Both decoders on odd bytes: sizes, merges, limits and what is malformed, as upb has it."""

from __future__ import annotations

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from consumer.decode import MALFORMED_PROTOBUF
from tests.support import otlp
from tests.support.decoding import (
    IMPLEMENTATIONS,
    Decode,
    around_span,
    nested_value,
    one_span,
    require,
    texts,
)


@pytest.fixture(params=IMPLEMENTATIONS)
def decode(request: pytest.FixtureRequest) -> Decode:
    require(request.param)
    return Decode(request.param)


BASE = bytes.fromhex(
    "0a10a00000000000000000000000000000011208b000000000000001"
    "2a046261736530023900002a36fe9c9717418096c236fe9c9717"
)


@pytest.mark.parametrize(
    ("added", "size"),
    [
        pytest.param("", 54, id="nothing"),
        pytest.param("fa3f03616263", 54, id="an unknown field"),
        pytest.param("a3060801a406", 54, id="an unknown group"),
        pytest.param("50006000", 54, id="explicit defaults"),
        pytest.param("5081808000", 56, id="an overlong varint"),
        pytest.param("2a03616263", 53, id="a name sent twice"),
        pytest.param("7a00", 56, id="an empty status"),
        pytest.param("7a021800", 56, id="a status of defaults"),
        pytest.param("7a0218027a0312016d", 61, id="a status in two parts"),
        pytest.param("850100000000", 54, id="flags of zero"),
        pytest.param("850101000000", 60, id="flags"),
        pytest.param("4a00", 56, id="an attribute without key"),
        pytest.param("4a050a01611200", 61, id="an attribute whose value is unset"),
        pytest.param("4a070a016112021000", 63, id="a value of false"),
        pytest.param("4a0c0a016112070a016210011802", 63, id="a value replaced twice"),
        pytest.param("5a020a00", 56, id="an event with an unknown field"),
        pytest.param("6a0b0a0012001a003500000000", 56, id="a link of defaults"),
        pytest.param("10cfffffff0f", 54, id="a known field of another wire type"),
        pytest.param("30ffffffff0f", 63, id="a negative kind of five bytes is sent as ten"),
    ],
)
def test_sizes_are_those_of_the_span_encoded_again(decode: Decode, added: str, size: int) -> None:
    span = BASE + bytes.fromhex(added)
    reference = Span.FromString(span)
    reference.DiscardUnknownFields()
    batch = decode(around_span(span)).batch
    assert batch.size_bytes.tolist() == [reference.ByteSize()] == [size]


def test_parts_of_a_message_sent_twice_are_merged(decode: Decode) -> None:
    status = otlp.field(15, otlp.field(3, 2)) + otlp.field(15, otlp.field(2, b"boom"))
    array = otlp.field(5, otlp.field(1, otlp.field(1, b"a")))
    pair = otlp.field(1, b"v") + otlp.field(2, array) + otlp.field(2, array)
    resource = otlp.field(1, otlp.field(1, b"r") + otlp.field(2, otlp.field(3, 1)))
    name = otlp.field(1, otlp.field(1, b"service.name") + otlp.field(2, otlp.field(1, b"s")))
    scope = otlp.field(2, otlp.field(2, status + otlp.field(9, pair)))
    value = otlp.field(1, otlp.field(1, resource) + scope + otlp.field(1, name))
    batch = decode(value, span_keys=("v",), resource_keys=("r",), status_message=True).batch
    assert batch.status.tolist() == [2]
    assert texts(batch, batch.status_message) == ["boom"]
    assert texts(batch, batch.attributes["v"]) == ["[aa]"]
    assert texts(batch, batch.resources.service) == ["s"]
    assert texts(batch, batch.resources.attributes["r"]) == ["1"]


def test_another_member_of_a_oneof_replaces_the_one_before(decode: Decode) -> None:
    array = otlp.field(5, otlp.field(1, otlp.field(1, b"a")))
    for value, text in (
        (array + otlp.field(1, b"s"), "s"),
        (array + otlp.field(1, b"s") + array, "[a]"),
        (otlp.field(1, b"s") + array + array, "[aa]"),
        (otlp.field(1, b"s") + otlp.field(2, 0), "false"),
    ):
        span = otlp.field(9, otlp.field(1, b"v") + otlp.field(2, value))
        batch = decode(around_span(span), span_keys=("v",)).batch
        assert texts(batch, batch.attributes["v"]) == [text]


def test_the_order_of_fields_does_not_matter(decode: Decode) -> None:
    name = otlp.field(1, otlp.field(1, b"service.name") + otlp.field(2, otlp.field(1, b"s")))
    pair = otlp.field(2, otlp.field(3, 5)) + otlp.field(1, b"v")
    span = otlp.field(9, pair) + otlp.field(6, 2) + otlp.field(5, b"op")
    value = otlp.field(1, otlp.field(2, otlp.field(2, span)) + otlp.field(1, name))
    batch = decode(value, span_keys=("v",)).batch
    assert texts(batch, batch.service()) == ["s"]
    assert texts(batch, batch.name) == ["op"]
    assert texts(batch, batch.attributes["v"]) == ["5"]


MALFORMED = {
    "a length beyond the end": b"\x0a\x05abc",
    "a tag alone": b"\x0a",
    "a length broken off": b"\x0a\x80",
    "field number zero": b"\x02\x00",
    "wire type six": b"\x0e\x00",
    "a tag of six bytes": b"\x8a\x80\x80\x80\x80\x00\x00",
    "an overlong varint": around_span(b"\x30" + b"\x80" * 10 + b"\x00"),
    "a length of 2 GiB": b"\x0a\xff\xff\xff\xff\x0f",
    "a group never ended": b"\x0b",
    "a group never begun": b"\x0c",
    "a group ended by another number": b"\x9b\x06\xa4\x06",
    "a broken scope": otlp.field(1, otlp.field(2, otlp.field(1, b"\x0a\x05"))),
    "a broken resource": otlp.field(1, otlp.field(1, b"\x0a\x05")),
    "a broken entity": otlp.field(1, otlp.field(1, otlp.field(3, b"\x0a\x05"))),
    "a broken event": around_span(otlp.field(11, b"\x0a\x05")),
    "a broken link": around_span(otlp.field(13, b"\x09\x05")),
    "a broken status": around_span(otlp.field(15, b"\x18")),
    "a broken attribute that nobody wants": around_span(otlp.field(9, b"\x0a\x05")),
    "a fixed64 cut short": around_span(b"\x39\x00\x00"),
    "a fixed32 cut short": around_span(b"\x85\x01\x00"),
    "a field that ends after its message": otlp.field(1, b"\x0a\x05") + b"abcdef",
    "values too deep": around_span(otlp.field(9, otlp.field(2, nested_value(48)))),
    "groups too deep": b"\xa3\x06" * 101 + b"\xa4\x06" * 101,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_record_fails_alone(decode: Decode, name: str) -> None:
    good = one_span(name="good")
    decoded = decode(good, good + MALFORMED[name], good)
    assert [failure.record for failure in decoded.failures] == [1]
    assert decoded.failures[0].reason == MALFORMED_PROTOBUF
    assert decoded.failures[0].text
    assert decoded.failures[0].value == good + MALFORMED[name]
    assert decoded.spans_received.tolist() == [1, 0, 1]
    assert texts(decoded.batch, decoded.batch.name) == ["good", "good"]
    assert decoded.batch.record.tolist() == [0, 2]
    assert decoded.batch.resource.tolist() == [0, 1]


def test_nothing_of_a_failed_record_stays(decode: Decode) -> None:
    spoilt = otlp.record(otlp.resource_spans([otlp.span("bad", attrs={"a": "b"})], service="worse"))
    batch = decode(spoilt + b"\x0a", span_keys=("a",), all_resource_attributes=True).batch
    assert len(batch.resources) == len(batch.resources.all_keys) == 0
    assert list(batch.strings.text) == ["", ""]


def test_nesting_is_taken_up_to_a_hundred_messages(decode: Decode) -> None:
    """Record, resource spans, scope spans, span, attribute, value, then two an array."""
    span = otlp.field(9, otlp.field(1, b"v") + otlp.field(2, nested_value(47)))
    decoded = decode(around_span(span), span_keys=("v",))
    assert not decoded.failures
    assert texts(decoded.batch, decoded.batch.attributes["v"]) == ["[" * 47 + "x" + "]" * 47]
    canonical = otlp.field(1, b"x")
    for _ in range(47):
        canonical = otlp.field(5, otlp.field(1, canonical))
    canonical = otlp.field(9, otlp.field(1, b"v") + otlp.field(2, canonical))
    assert decoded.batch.size_bytes.tolist() == [len(canonical)]


def test_groups_nest_up_to_a_hundred_levels(decode: Decode) -> None:
    decoded = decode(one_span() + b"\xa3\x06" * 100 + b"\xa4\x06" * 100)
    assert not decoded.failures
    assert len(decoded.batch) == 1
