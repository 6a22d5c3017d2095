"""One suite over both decoders: what every :class:`consumer.decode.Decoder` does."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from consumer.decode import MALFORMED_JSON, Encoding, open_decoder
from consumer.decode.ids import HIGH_BASIS, LOW_BASIS, digest
from processors.batch import ABSENT, EMPTY, Projection
from tests.support import otlp
from tests.support.decoding import (
    IMPLEMENTATIONS,
    Decode,
    around_span,
    one_span,
    require,
    texts,
)


@pytest.fixture(params=IMPLEMENTATIONS)
def decode(request: pytest.FixtureRequest) -> Decode:
    require(request.param)
    return Decode(request.param)


def test_a_span_becomes_a_row_of_its_fixed_fields(decode: Decode) -> None:
    span = otlp.span(
        "GET /",
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        parent_span_id=b"\xff" * 8,
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=5,
        end_time_unix_nano=2**64 - 1,
        status=2,
    )
    batch = decode(otlp.record(otlp.resource_spans([span]))).batch
    assert texts(batch, batch.name) == ["GET /"]
    assert texts(batch, batch.service()) == ["svc"]
    assert batch.kind.tolist() == [3]
    assert batch.status.tolist() == [2]
    assert batch.start_ns.tolist() == [5]
    assert batch.end_ns.tolist() == [2**64 - 1]
    assert batch.size_bytes.tolist() == [span.ByteSize()]
    assert batch.trace_id.tolist() == [[0x0001020304050607, 0x08090A0B0C0D0E0F]]
    assert batch.span_id.tolist() == [0x0001020304050607]
    assert batch.parent_id.tolist() == [2**64 - 1]
    assert batch.is_root.tolist() == [False]
    assert batch.status_message is None


def test_columns_have_the_promised_types_and_lengths_even_without_records(decode: Decode) -> None:
    projection: dict[str, Any] = {
        "span_keys": ("a",),
        "resource_keys": ("b",),
        "status_message": True,
    }
    for values, rows in (((), 0), ((b"",), 0), ((one_span(), one_span()), 2)):
        decoded = decode(*values, all_resource_attributes=True, **projection)
        batch, resources = decoded.batch, decoded.batch.resources
        assert decoded.spans_received.dtype == np.int64
        assert len(decoded.spans_received) == len(batch.records) == len(values)
        assert len(batch) == rows
        expected = {
            np.dtype(np.uint32): (
                *(batch.record, batch.resource, batch.name, batch.attributes["a"]),
                batch.status_message,
            ),
            np.dtype(np.int32): (batch.kind, batch.status),
            np.dtype(np.int64): (batch.size_bytes,),
            np.dtype(np.uint64): (
                *(batch.start_ns, batch.end_ns, batch.span_id),
                *(batch.parent_id, batch.trace_id),
            ),
            np.dtype(np.bool_): (batch.is_root,),
        }
        for dtype, columns in expected.items():
            for column in columns:
                assert column is not None
                assert column.dtype == dtype
                assert len(column) == rows
        assert batch.trace_id.shape == (rows, 2)
        assert batch.records.skip.dtype == np.bool_
        assert resources.service.dtype == resources.attributes["b"].dtype == np.uint32
        assert resources.all_keys.dtype == resources.all_values.dtype == np.uint32
        assert resources.all_offsets.dtype == np.int64
        assert len(resources.all_offsets) == len(resources) + 1
        assert batch.strings.valid.dtype == np.bool_
        assert len(batch.strings.valid) == len(batch.strings.text)


def test_rows_point_to_their_record_and_resource_in_the_order_of_the_wire(decode: Decode) -> None:
    first = otlp.record(
        otlp.resource_spans([otlp.span("a"), otlp.span("b")], service="one"),
        otlp.resource_spans([], service="none"),
        otlp.resource_spans([otlp.span("c")], service="two"),
    )
    second = otlp.record(otlp.resource_spans([otlp.span("d")], service="one"))
    decoded = decode(first, b"", second, tenants=("x", "y"))
    batch = decoded.batch
    assert texts(batch, batch.name) == ["a", "b", "c", "d"]
    assert batch.record.tolist() == [0, 0, 0, 2]
    assert batch.resource.tolist() == [0, 0, 2, 3]
    assert texts(batch, batch.resources.service) == ["one", "none", "two", "one"]
    assert batch.resources.record.tolist() == [0, 0, 0, 2]
    assert decoded.spans_received.tolist() == [3, 0, 1]
    assert batch.records.tenants == ("x", "y")
    assert batch.tenant().tolist() == [0, 0, 0, 0]
    assert batch.records.tenant.tolist() == [0, 1, 0]


def test_equal_texts_share_one_code(decode: Decode) -> None:
    value = otlp.record(
        otlp.resource_spans([otlp.span("x", attrs={"k": "x"}), otlp.span("svc")]),
    )
    batch = decode(value, value, span_keys=("k",)).batch
    assert sorted(batch.strings.text) == ["", "", "svc", "x"]
    assert batch.name[0] == batch.attributes["k"][0]
    assert batch.name[1] == batch.resources.service[1]


def test_only_wanted_attributes_are_read(decode: Decode) -> None:
    value = one_span(attrs={"a": "1", "b": "secret", "ab": "x", "c": "3"})
    batch = decode(value, span_keys=("c", "a", "missing")).batch
    assert list(batch.attributes) == ["c", "a", "missing"]
    assert texts(batch, batch.attributes["c"]) == ["3"]
    assert texts(batch, batch.attributes["a"]) == ["1"]
    assert batch.attributes["missing"].tolist() == [ABSENT]
    assert "secret" not in batch.strings.text


def test_long_wanted_keys_are_found(decode: Decode) -> None:
    long, longer = "k" * 63, "k" * 300
    batch = decode(one_span(attrs={longer: "1", long: "2"}), span_keys=(long, longer)).batch
    assert texts(batch, batch.attributes[long]) == ["2"]
    assert texts(batch, batch.attributes[longer]) == ["1"]


def test_the_first_attribute_with_a_key_wins_even_if_it_is_empty(decode: Decode) -> None:
    pairs = [
        *otlp.attributes({"a": "", "b": "x"}),
        KeyValue(key="c"),
        *otlp.attributes({"a": "late", "b": "late", "c": "late"}),
    ]
    batch = decode(one_span(attrs=pairs), span_keys=("a", "b", "c")).batch
    assert batch.attributes["a"].tolist() == [EMPTY]
    assert texts(batch, batch.attributes["b"]) == ["x"]
    assert batch.attributes["c"].tolist() == [EMPTY]


def test_a_missing_resource_has_no_attributes(decode: Decode) -> None:
    batch = decode(around_span(b""), resource_keys=("a",), all_resource_attributes=True).batch
    assert len(batch) == 1
    assert batch.service().tolist() == [ABSENT]
    assert batch.resources.attributes["a"].tolist() == [ABSENT]
    assert batch.resources.all_offsets.tolist() == [0, 0]


def test_an_empty_service_name_is_there_and_empty(decode: Decode) -> None:
    batch = decode(otlp.record(otlp.resource_spans([otlp.span()], service=""))).batch
    assert batch.service().tolist() == [EMPTY]


def test_service_name_may_be_asked_for_like_any_key(decode: Decode) -> None:
    batch = decode(one_span(), resource_keys=("x", "service.name")).batch
    assert list(batch.resources.attributes) == ["x", "service.name"]
    assert texts(batch, batch.resources.attributes["service.name"]) == ["svc"]


def test_all_resource_attributes_come_in_wire_order(decode: Decode) -> None:
    odd = [*otlp.attributes({"b": 1, "": "no key", "a": ""}), *otlp.attributes({"b": "again"})]
    value = otlp.record(
        otlp.resource_spans([], resource=odd),
        otlp.resource_spans([], service=None),
        otlp.resource_spans([], service=None, resource={"z": True}),
    )
    batch = decode(value, all_resource_attributes=True).batch
    resources = batch.resources
    assert resources.all_offsets.tolist() == [0, 5, 5, 6]
    assert texts(batch, resources.all_keys) == ["service.name", "b", "", "a", "b", "z"]
    assert texts(batch, resources.all_values) == ["svc", "1", "no key", "", "again", "true"]
    assert resources.all_keys[2] == EMPTY
    assert resources.all_values[3] == EMPTY


def test_the_status_message_is_read_when_asked_for(decode: Decode) -> None:
    value = otlp.record(
        otlp.resource_spans([otlp.span(status=2, message="boom"), otlp.span(), otlp.span(status=1)])
    )
    batch = decode(value, status_message=True).batch
    assert batch.status_message is not None
    assert texts(batch, batch.status_message) == ["boom", "", ""]
    assert batch.status_message[1] == EMPTY


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("s", "s"),
        (True, "true"),
        (False, "false"),
        (-1, "-1"),
        (-(2**63), "-9223372036854775808"),
        (2**63 - 1, "9223372036854775807"),
        (1.5, "1.5"),
        (3.0, "3"),
        (-0.0, "-0"),
        (0.0, "0"),
        (1e-7, "0.0000001"),
        (1e21, "1000000000000000000000"),
        (123456789.125, "123456789.125"),
        (0.1, "0.1"),
        (2**53 + 2.0, "9007199254740994"),
        (5e-324, "0." + "0" * 323 + "5"),
        (float("nan"), "NaN"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (b"bytes", ""),
        (None, ""),
        ([1, [2.5, True], {"k": "v"}], "[1[2.5true]{k:v}]"),
        ({"a": 1, "b": ["x"]}, "{a:1b:[x]}"),
        ([], "[]"),
        ({}, "{}"),
        ([None, b"x"], "[]"),
        (AnyValue(string_value_strindex=7), ""),
    ],
)
def test_values_become_text(decode: Decode, value: Any, text: str) -> None:
    batch = decode(one_span(attrs={"v": value}), span_keys=("v",)).batch
    assert texts(batch, batch.attributes["v"]) == [text]
    assert (batch.attributes["v"][0] == EMPTY) == (text == "")


def test_text_that_is_not_utf8_is_kept_and_marked(decode: Decode) -> None:
    pair = otlp.field(1, b"v") + otlp.field(2, otlp.field(1, b"caf\xe9"))
    span = otlp.field(5, b"\xff\xfe") + otlp.field(9, pair)
    batch = decode(around_span(span), one_span(name="fine"), span_keys=("v",)).batch
    assert texts(batch, batch.name) == ["\udcff\udcfe", "fine"]
    assert texts(batch, batch.attributes["v"]) == ["caf\udce9", None]
    assert batch.strings.valid[batch.name].tolist() == [False, True]
    assert batch.strings.valid[batch.attributes["v"]].tolist() == [False, True]


def test_surrogates_in_utf8_are_not_valid_text(decode: Decode) -> None:
    batch = decode(around_span(otlp.field(5, b"\xed\xa0\x80"))).batch
    assert texts(batch, batch.name) == ["\udced\udca0\udc80"]
    assert not batch.strings.valid[batch.name[0]]


@pytest.mark.parametrize("length", [0, 1, 7, 9, 15, 17, 40])
def test_ids_of_another_length_are_digested(decode: Decode, length: int) -> None:
    odd = b"y" * length
    batch = decode(one_span(trace_id=odd, span_id=odd, parent_span_id=odd)).batch
    assert batch.trace_id.tolist() == [[digest(odd, HIGH_BASIS), digest(odd, LOW_BASIS)]]
    assert batch.span_id.tolist() == batch.parent_id.tolist() == [digest(odd, HIGH_BASIS)]
    assert batch.is_root.tolist() == [length == 0]


def test_a_parent_of_zeros_is_no_root(decode: Decode) -> None:
    batch = decode(one_span(parent_span_id=bytes(8)), one_span(parent_span_id=bytes(16))).batch
    assert batch.is_root.tolist() == [False, False]
    assert batch.parent_id[0] == 0


def test_tempo_records_hold_many_traces_and_a_skip_flag(decode: Decode) -> None:
    traces = [one_span(name="a"), one_span(name="b")]
    decoded = decode(
        otlp.push_bytes(traces), otlp.push_bytes(traces, skip=True), b"", encoding=Encoding.TEMPO
    )
    assert not decoded.failures
    assert texts(decoded.batch, decoded.batch.name) == ["a", "b", "a", "b"]
    assert decoded.batch.records.skip.tolist() == [False, True, False]
    assert decoded.spans_received.tolist() == [2, 2, 0]


def test_json_says_the_same_as_protobuf(decode: Decode) -> None:
    source = {
        "resourceSpans": [
            {
                "resource": {
                    "attributes": [
                        {"key": "service.name", "value": {"stringValue": "svc"}},
                        {"key": "n", "value": {"intValue": "-7"}},
                    ]
                },
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": "000102030405060708090A0b0c0d0e0f",
                                "spanId": "0001020304050607",
                                "name": "caf\u00e9",
                                "kind": "SPAN_KIND_CLIENT",
                                "startTimeUnixNano": "1700000000000000000",
                                "endTimeUnixNano": 1700000000000000001,
                                "attributes": [
                                    {"key": "a", "value": {"doubleValue": 0.5}},
                                    {"key": "b", "value": {"arrayValue": {"values": []}}},
                                    {"key": "c", "value": {"bytesValue": "AAE="}},
                                ],
                                "status": {"code": 2, "message": "m"},
                                "flags": 256,
                            }
                        ]
                    }
                ],
            }
        ]
    }
    span = otlp.span(
        "caf\u00e9",
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        kind=3,
        duration_s=1e-9,
        attrs={"a": 0.5, "b": [], "c": b"\0\1"},
        status=2,
        message="m",
        flags=256,
    )
    wanted: dict[str, Any] = {
        "span_keys": ("a", "b"),
        "resource_keys": ("n",),
        "status_message": True,
    }
    proto = decode(otlp.record(otlp.resource_spans([span], resource={"n": -7})), **wanted).batch
    json = decode(orjson.dumps(source), encoding=Encoding.OTLP_JSON, **wanted).batch
    assert list(json.strings.text) == list(proto.strings.text)
    for name in ("name", "kind", "status", "start_ns", "end_ns", "size_bytes", "trace_id"):
        assert getattr(json, name).tolist() == getattr(proto, name).tolist()
    for key in ("a", "b"):
        assert json.attributes[key].tolist() == proto.attributes[key].tolist()
    assert json.resources.attributes["n"].tolist() == proto.resources.attributes["n"].tolist()


def test_batches_of_one_decoder_have_codes_of_their_own_texts(decode: Decode) -> None:
    decoder = open_decoder(Encoding.OTLP_PROTO, Projection(), implementation=decode.implementation)
    names = [["a", "b"], ["c", "a"], [], ["a", "d"]]
    broken = otlp.record(otlp.resource_spans([otlp.span("lost")]))[:-1]
    batches = [
        decoder.decode(
            otlp.raw_records(
                (broken, otlp.record(otlp.resource_spans([otlp.span(n) for n in some])))
            )
        ).batch
        for some in names
    ]
    for batch, some in zip(batches, names, strict=True):
        assert texts(batch, batch.name) == some
        known = len(batch.strings)
        assert known == len(batch.strings.valid)
        assert batch.name.max(initial=0) < known
        assert "lost" not in batch.strings.text[:known]


def test_a_resource_that_comes_again_has_its_attributes_again(decode: Decode) -> None:
    one = otlp.resource_spans([otlp.span("a")], service="one", resource={"k": "v", "n": 1})
    other = otlp.resource_spans([otlp.span("b")], service="two", resource={"k": "w"})
    broken = otlp.record(other, one)[:-1]
    decoded = decode(
        *(otlp.record(one), broken, otlp.record(other, one), otlp.record(other)),
        resource_keys=("k",),
        typed_resource_keys=("n",),
        all_resource_attributes=True,
    )
    assert [failure.record for failure in decoded.failures] == [1]
    batch, table = decoded.batch, decoded.batch.resources
    assert table.record.tolist() == [0, 2, 2, 3]
    assert texts(batch, table.service) == ["one", "two", "one", "two"]
    assert texts(batch, table.attributes["k"]) == ["v", "w", "v", "w"]
    assert texts(batch, table.typed["n"]) == ["i1", None, "i1", None]
    told = list(zip(texts(batch, table.all_keys), texts(batch, table.all_values), strict=True))
    of_rows = [told[start:end] for start, end in pairwise(table.all_offsets.tolist())]
    assert of_rows[0] == of_rows[2] == [("service.name", "one"), ("k", "v"), ("n", "1")]
    assert of_rows[1] == of_rows[3] == [("service.name", "two"), ("k", "w")]


def test_texts_that_become_too_many_are_forgotten_without_harm(decode: Decode) -> None:
    decoder = open_decoder(Encoding.OTLP_PROTO, Projection(), implementation=decode.implementation)
    before = None
    for first in range(0, 60_000, 12_000):
        names = [f"{number}" for number in range(first, first + 12_000)]
        value = otlp.record(otlp.resource_spans([otlp.span(name) for name in names]))
        batch = decoder.decode(otlp.raw_records((value,))).batch
        assert texts(batch, batch.name) == names
        assert len(batch.strings) < 60_000
        if before is not None:
            assert texts(before[0], before[0].name) == before[1]
        before = batch, names


def test_malformed_json_fails_alone_and_names_the_place(decode: Decode) -> None:
    good = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"good"}]}]}]}'
    odd = b'{"resourceSpans":[{"scopeSpans":[{},{"spans":[{},{"traceId":"abc"}]}]}]}'
    decoded = decode(good, odd, b"{", good, encoding=Encoding.OTLP_JSON)
    assert [failure.record for failure in decoded.failures] == [1, 2]
    assert {failure.reason for failure in decoded.failures} == {MALFORMED_JSON}
    place = "resourceSpans[0].scopeSpans[1].spans[1].traceId"
    assert decoded.failures[0].text == f"{place}: odd number of hex digits"
    assert [failure.value for failure in decoded.failures] == [odd, b"{"]
    assert decoded.spans_received.tolist() == [1, 0, 0, 1]
    assert decoded.batch.record.tolist() == [0, 3]
    assert texts(decoded.batch, decoded.batch.name) == ["good", "good"]


def test_bytes_of_many_kinds_are_no_json_and_no_crash(decode: Decode) -> None:
    broken = [b"", b"[]", b"null", b"\xff", b"[" * 5000, base64.b64encode(one_span())]
    decoded = decode(*broken, encoding=Encoding.OTLP_JSON)
    assert [failure.record for failure in decoded.failures] == list(range(len(broken)))
