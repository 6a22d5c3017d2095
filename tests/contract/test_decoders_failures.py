"""Both decoders on what they refuse: how much of a record fails, why, and what is left of it."""

from __future__ import annotations

import orjson
import pytest

from consumer.decode import MALFORMED_PROTOBUF, TOO_MANY_SPANS, Encoding
from consumer.decode.failures import MOST_TEXTS
from consumer.decode.messages import PUSH_BYTES
from tests.support import otlp
from tests.support.decoding import (
    IMPLEMENTATIONS,
    Decode,
    crowded,
    one_span,
    require,
    texts,
)

BAD = b"\xff\xffbad"


@pytest.fixture(params=IMPLEMENTATIONS)
def decode(request: pytest.FixtureRequest) -> Decode:
    require(request.param)
    return Decode(request.param)


@pytest.mark.parametrize("skip", [False, True])
def test_a_broken_trace_fails_alone(decode: Decode, skip: bool) -> None:
    spoilt = one_span(name="spoilt", attrs={"a": "worse"}) + b"\x0a"
    record = otlp.push_bytes([one_span(name="a"), spoilt, one_span(name="b"), BAD], skip=skip)
    decoded = decode(record, record, encoding=Encoding.TEMPO, span_keys=("a",))
    assert [(f.record, f.reason) for f in decoded.failures] == [
        (0, MALFORMED_PROTOBUF),
        (1, MALFORMED_PROTOBUF),
    ]
    assert decoded.spans_received.tolist() == [2, 2]
    assert decoded.batch.records.skip.tolist() == [skip, skip]
    assert texts(decoded.batch, decoded.batch.name) == ["a", "b", "a", "b"]
    assert decoded.batch.record.tolist() == [0, 0, 1, 1]
    assert decoded.batch.resource.tolist() == [0, 1, 2, 3]
    assert list(decoded.batch.strings.text) == ["", "", "svc", "a", "b"]


@pytest.mark.parametrize("skip", [False, True])
def test_a_failure_holds_the_broken_traces_alone(decode: Decode, skip: bool) -> None:
    record = otlp.push_bytes([BAD, one_span(), b"\x0a", one_span()], skip=skip)
    (failure,) = decode(record, encoding=Encoding.TEMPO).failures
    assert failure.text.startswith("trace 0: ")
    assert "; trace 2: " in failure.text
    left = PUSH_BYTES.FromString(failure.value)
    assert list(left.traces) == [BAD, b"\x0a"]
    assert left.skip_metrics_generation == skip
    again = decode(failure.value, encoding=Encoding.TEMPO)
    assert again.spans_received.tolist() == [0]
    assert again.failures[0].value == failure.value


def test_a_failure_explains_some_traces_and_counts_the_others(decode: Decode) -> None:
    (failure,) = decode(otlp.push_bytes([BAD] * 1_012), encoding=Encoding.TEMPO).failures
    assert failure.text.count("trace ") == MOST_TEXTS
    assert failure.text.endswith(
        f"trace {MOST_TEXTS - 1}: {failure.text.split('; ')[0][9:]}; and 1,002 more traces"
    )


@pytest.mark.parametrize("tail", [b"\x12\x05", b"\x2c", b"\x0b"])
def test_a_tempo_record_that_is_itself_broken_fails_whole(decode: Decode, tail: bytes) -> None:
    broken = otlp.push_bytes([one_span(), BAD], skip=True) + tail
    decoded = decode(otlp.push_bytes([one_span()]), broken, encoding=Encoding.TEMPO)
    assert [(f.record, f.reason) for f in decoded.failures] == [(1, MALFORMED_PROTOBUF)]
    assert decoded.failures[0].value == broken
    assert decoded.spans_received.tolist() == [1, 0]
    assert decoded.batch.records.skip.tolist() == [False, False]
    assert len(decoded.batch) == len(decoded.batch.resources) == 1


def test_a_record_may_hold_a_thousand_spans_and_one_for_each_sixteen_bytes(decode: Decode) -> None:
    decoded = decode(crowded(1_100), crowded(1_143), crowded(1_144), one_span())
    assert [len(crowded(count)) for count in (1_143, 1_144)] == [2_292, 2_294]
    assert [(f.record, f.reason) for f in decoded.failures] == [(2, TOO_MANY_SPANS)]
    assert decoded.failures[0].value == crowded(1_144)
    assert "1,143 spans" in decoded.failures[0].text
    assert decoded.spans_received.tolist() == [1_100, 1_143, 0, 1]


def test_spans_of_all_resources_and_scopes_of_a_record_count(decode: Decode) -> None:
    decoded = decode(crowded(600) * 2)
    assert [failure.reason for failure in decoded.failures] == [TOO_MANY_SPANS]


def test_tempo_s_traces_are_bounded_one_by_one(decode: Decode) -> None:
    record = otlp.push_bytes([crowded(1_000), crowded(5_000), crowded(1_000), BAD])
    decoded = decode(record, encoding=Encoding.TEMPO)
    (failure,) = decoded.failures
    assert failure.reason == TOO_MANY_SPANS
    assert failure.text.startswith("trace 1: more than 1,625 spans")
    assert decoded.spans_received.tolist() == [2_000]
    assert list(PUSH_BYTES.FromString(failure.value).traces) == [crowded(5_000), BAD]


def test_the_number_of_spans_counts_before_what_is_in_them_and_after_what_is_around(
    decode: Decode,
) -> None:
    broken = otlp.field(1, otlp.field(2, otlp.field(2, b"\x0a\x05")))
    decoded = decode(broken + crowded(5_000), crowded(5_000) + broken, crowded(5_000) + b"\x0a")
    reasons = [failure.reason for failure in decoded.failures]
    assert reasons == [TOO_MANY_SPANS, TOO_MANY_SPANS, MALFORMED_PROTOBUF]


def test_json_is_bounded_like_protobuf(decode: Decode) -> None:
    small, large = (
        orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{} for _ in range(count)]}]}]})
        for count in (9, 2_000)
    )
    decoded = decode(large, small, encoding=Encoding.OTLP_JSON)
    assert [(f.record, f.reason) for f in decoded.failures] == [(0, TOO_MANY_SPANS)]
    assert decoded.failures[0].value == large
    assert decoded.spans_received.tolist() == [0, 9]
