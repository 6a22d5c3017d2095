"""The native decoder and its Python twin agree on every byte string, code by code."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from random import Random

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from consumer.decode import (
    TOO_MANY_SPANS,
    Decoded,
    Encoding,
    Failure,
    open_decoder,
)
from consumer.decode.messages import PUSH_BYTES, TRACES
from consumer.decode.value_text import double_text
from processors.batch import Projection
from tests.support import otlp
from tests.support.decoding import crowded, one_span, require
from tests.support.wild import TEXTS, mutate, wild_message

KEYS = tuple(text.decode() for text in TEXTS[:5])

EVERYTHING = Projection(
    resource_keys=KEYS,
    span_keys=KEYS,
    typed_resource_keys=(*KEYS[2:], "k"),
    typed_span_keys=("k", *KEYS[:3]),
    all_resource_attributes=True,
    status_message=True,
    trace_state=True,
    links=True,
)

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True, scope="module")
def native() -> None:
    require("native")


def source(seed: int) -> Random:
    return Random(seed)  # noqa: S311  nothing secret


def columns(decoded: Decoded) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Every column of a batch, with a name."""
    batch, resources = decoded.batch, decoded.batch.resources
    yield "spans_received", decoded.spans_received
    yield "skip", batch.records.skip
    yield "valid", batch.strings.valid
    for table in (batch, resources, batch.links):
        if table is None:
            continue
        for name in table.__slots__:
            column = getattr(table, name)
            if isinstance(column, np.ndarray):
                yield name, column
    for by_key in (batch.attributes, batch.typed, resources.attributes, resources.typed):
        yield from sorted(by_key.items())


def assert_same(values: Sequence[bytes], encoding: Encoding, projection: Projection) -> Decoded:
    """Decode with both, compare everything, and return what the twin made of it."""
    records = otlp.raw_records(values)
    twin = open_decoder(encoding, projection, implementation="python").decode(records)
    native = open_decoder(encoding, projection, implementation="native").decode(records)
    assert outcomes(native.failures) == outcomes(twin.failures)
    assert list(native.batch.strings.text) == list(twin.batch.strings.text)
    for (name, expected), (_, column) in zip(columns(twin), columns(native), strict=True):
        assert column.dtype == expected.dtype, name
        np.testing.assert_array_equal(column, expected, err_msg=name)
    return twin


def outcomes(failures: Sequence[Failure]) -> list[tuple[int, str, bytes]]:
    return [(failure.record, failure.reason, failure.value) for failure in failures]


def corpus() -> list[bytes]:
    """Records that use every field there is."""
    value = {"a": [1, "x", {"b": 2.5}], "b": True, "service.name": "", "k" * 70: -1}
    rich = otlp.span(
        "GET /users/{id}",
        attrs=value,
        status=2,
        message="timeout",
        trace_state="ot=th:8",
        parent_span_id=b"parent_8",
        flags=257,
        dropped_attributes_count=300,
        events=[Span.Event(time_unix_nano=5, name="e", attributes=otlp.attributes(value))],
        links=[Span.Link(trace_id=b"t" * 16, attributes=otlp.attributes({"a": b"x"}), flags=1)],
    )
    parts = [
        otlp.resource_spans([rich, otlp.span()], resource=value),
        otlp.resource_spans([otlp.span(attrs={"a": 1e300})], service=None),
    ]
    return [otlp.record(*parts), otlp.record(parts[0]), one_span(attrs=value)]


@settings(deadline=None, max_examples=150, derandomize=True)
@given(SEEDS)
def test_wild_messages_decode_alike(seed: int) -> None:
    rng = source(seed)
    values = [wild_message(rng, TracesData.DESCRIPTOR) for _ in range(20)]
    decoded = assert_same(values, Encoding.OTLP_PROTO, EVERYTHING)
    assert not decoded.failures


@settings(deadline=None, max_examples=150, derandomize=True)
@given(SEEDS)
def test_wild_spans_decode_alike(seed: int) -> None:
    rng = source(seed)
    spans = [wild_message(rng, Span.DESCRIPTOR) for _ in range(30)]
    record = otlp.field(1, otlp.field(2, b"".join(otlp.field(2, span) for span in spans)))
    decoded = assert_same([record], Encoding.OTLP_PROTO, EVERYTHING)
    assert len(decoded.batch) == len(spans)
    assert decoded.batch.size_bytes.tolist() == [_canonical_size(span) for span in spans]


def _canonical_size(span: bytes) -> int:
    record = TRACES.FromString(otlp.field(1, otlp.field(2, otlp.field(2, span))))
    parsed = record.resource_spans[0].scope_spans[0].spans[0]
    parsed.DiscardUnknownFields()
    size: int = parsed.ByteSize()
    return size


@settings(deadline=None, max_examples=150, derandomize=True)
@given(SEEDS)
def test_broken_bytes_fail_alike_and_when_upb_refuses_them(seed: int) -> None:
    rng = source(seed)
    seeds = [*corpus(), wild_message(rng, TracesData.DESCRIPTOR)]
    values = [mutate(rng, rng.choice(seeds), rng.choice(seeds)) for _ in range(100)]
    decoded = assert_same(values, Encoding.OTLP_PROTO, EVERYTHING)
    failed = [failure.record for failure in decoded.failures]
    assert failed == [index for index, value in enumerate(values) if not _parses(value)]


def _parses(value: bytes) -> bool:
    try:
        TRACES.FromString(value)
    except DecodeError:
        return False
    return True


@settings(deadline=None, max_examples=60, derandomize=True)
@given(SEEDS)
def test_broken_tempo_records_fail_alike(seed: int) -> None:
    rng = source(seed)
    seeds = [otlp.push_bytes(corpus(), skip=True), otlp.push_bytes(corpus()[:1])]
    values = [mutate(rng, rng.choice(seeds), rng.choice(seeds)) for _ in range(50)]
    assert_same([*seeds, *values], Encoding.TEMPO, EVERYTHING)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(SEEDS)
def test_broken_traces_fail_alike_and_alone(seed: int) -> None:
    rng = source(seed)
    seeds = [*corpus(), crowded(1_500), wild_message(rng, TracesData.DESCRIPTOR)]
    traces = [mutate(rng, rng.choice(seeds), rng.choice(seeds)) for _ in range(50)]
    decoded = assert_same([otlp.push_bytes(traces)], Encoding.TEMPO, EVERYTHING)
    alone = assert_same(traces, Encoding.OTLP_PROTO, EVERYTHING)
    left = [PUSH_BYTES.FromString(failure.value) for failure in decoded.failures]
    broken = [failure.value for failure in alone.failures]
    assert [trace for request in left for trace in request.traces] == broken
    assert decoded.spans_received.tolist() == [alone.spans_received.sum()]
    assert list(decoded.batch.strings.text) == list(alone.batch.strings.text)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(SEEDS)
def test_crowded_records_fail_alike(seed: int) -> None:
    rng = source(seed)
    scopes = []
    for _ in range(30):
        spans = otlp.field(2, b"") * rng.choice((1_130, 1_143, 1_150, 1_200))
        spans += otlp.field(2, mutate(rng, otlp.span().SerializeToString(), spans))
        scopes.append(mutate(rng, spans, spans) if rng.random() < 0.5 else spans)
    values = [otlp.field(1, otlp.field(2, scope)) for scope in scopes]
    decoded = assert_same([crowded(1_144), *values], Encoding.OTLP_PROTO, Projection())
    assert TOO_MANY_SPANS in {failure.reason for failure in decoded.failures}


def _double(bits: int) -> float:
    number: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
    return number


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.lists(st.floats() | st.integers(0, 2**64 - 1).map(_double)))
def test_doubles_have_the_same_text_and_it_round_trips(numbers: list[float]) -> None:
    values = [one_span(attrs={"a": number}) for number in numbers]
    assert_same(values, Encoding.OTLP_PROTO, Projection(span_keys=("a",)))
    for number in numbers:
        text = double_text(number).decode()
        assert "e" not in text.removesuffix("Inf")
        assert struct.pack("<d", float(text)) == struct.pack("<d", number) or math.isnan(number)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.lists(SEEDS, min_size=1, max_size=8), st.integers(0, 2))
def test_a_batch_is_the_sum_of_its_records(seeds: list[int], split: int) -> None:
    values = [wild_message(source(seed), TracesData.DESCRIPTOR) for seed in seeds]
    values.insert(split, b"\xff")
    whole = assert_same(values, Encoding.OTLP_PROTO, EVERYTHING)
    alone = [assert_same([value], Encoding.OTLP_PROTO, EVERYTHING) for value in values]
    received = [int(decoded.spans_received[0]) for decoded in alone]
    assert whole.spans_received.tolist() == received
    sizes = [size for decoded in alone for size in decoded.batch.size_bytes.tolist()]
    assert whole.batch.size_bytes.tolist() == sizes
    names = [decoded.batch.strings.text[code] for decoded in alone for code in decoded.batch.name]
    assert [whole.batch.strings.text[code] for code in whole.batch.name] == names


def _at_every_place(value: bytes) -> list[bytes]:
    """Records with this `AnyValue` in an attribute of all that has attributes."""
    pair = otlp.field(1, b"a") + otlp.field(2, value)
    inside_span = [otlp.field(9, pair), otlp.field(11, otlp.field(3, pair))]
    inside_span.append(otlp.field(13, otlp.field(4, pair)))
    records = [otlp.field(1, otlp.field(2, otlp.field(2, span))) for span in inside_span]
    records.append(otlp.field(1, otlp.field(2, otlp.field(1, otlp.field(3, pair)))))
    records.append(otlp.field(1, otlp.field(1, otlp.field(1, pair))))
    return records


def test_depth_is_bounded_alike_wherever_messages_and_groups_nest() -> None:
    values = []
    for levels in (0, 30, *range(44, 50)):
        for groups in (0, 1, 2, 3, 4, 5, 6, 7, 96):
            value = b"\xa3\x06" * groups + b"\xa4\x06" * groups + otlp.field(1, b"x")
            for level in range(levels):
                pair = otlp.field(1, b"k") + otlp.field(2, value)
                array, pairs = otlp.field(1, value), otlp.field(1, pair)
                value = otlp.field(6, pairs) if level % 20 == 7 else otlp.field(5, array)
            values += _at_every_place(value)
    decoded = assert_same(values, Encoding.OTLP_PROTO, EVERYTHING)
    failed = [failure.record for failure in decoded.failures]
    assert failed == [index for index, value in enumerate(values) if not _parses(value)]
    assert 0 < len(failed) < len(values)
