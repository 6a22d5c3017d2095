"""Native histograms and exemplars on the wire, read back with protobuf's own parser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.remote_write.encode import encode
from consumer.remote_write.encode_v2 import Encoding, encode_v2
from consumer.remote_write.request import EncodedRequest, Limits
from consumer.remote_write.series import Exemplars, MetricType, NativeHistograms, SeriesBlock
from tests.support.remote_write_messages import (
    Histogram,
    details_of_v2,
    exemplars_of,
    histograms_of,
    parse,
)
from tests.support.remote_write_receiver import is_stale
from tests.unit.remote_write.fakes import block

TIME_MS = 1_790_000_000_000
WIDE = Limits(samples=2000, size_bytes=1 << 20)
LABELS = (("__name__", "latency"), ("service", "web"))
BUCKETS = st.dictionaries(
    st.integers(-9000, 9000), st.integers(1, 10**6) | st.floats(0.001, 1e6), max_size=60
)


def native(buckets: dict[int, float], *, zero_count: float = 0.0) -> NativeHistograms:
    """One histogram with ``buckets``."""
    ordered = sorted(buckets.items())
    return NativeHistograms(
        schema=np.array([3], np.int8),
        zero_threshold=2.0**-128,
        count=np.array([sum(buckets.values()) + zero_count]),
        zero_count=np.array([zero_count]),
        sum=np.array([12.5]),
        offsets=np.array([0, len(ordered)]),
        bucket=np.array([number for number, _ in ordered], np.int32),
        bucket_count=np.array([count for _, count in ordered], np.float64),
    )


def series(
    histograms: NativeHistograms, *, newborn: bool = False, ended: bool = False
) -> SeriesBlock:
    plain = block(
        [["web"]],
        histograms.count.tolist(),
        name="latency",
        kind=MetricType.HISTOGRAM,
        newborn=[0] if newborn else [],
        ended=[0] if ended else [],
        start_ms=TIME_MS - 1000,
    )
    return replace(plain, histograms=histograms)


def told(given: SeriesBlock) -> list[Histogram]:
    (request,) = encode([given], TIME_MS, WIDE, dropped)
    return histograms_of(request.body)[LABELS]


def dropped(reason: str, samples: int) -> None:
    raise AssertionError((reason, samples))


def v2(given: SeriesBlock) -> EncodedRequest:
    (request,) = encode_v2([given], Encoding(TIME_MS, WIDE, created_timestamp=False), dropped)
    return request


@given(BUCKETS)
def test_buckets_arrive_as_they_were(buckets: dict[int, float]) -> None:
    (found,) = told(series(native(buckets, zero_count=2.0)))
    assert found.buckets == pytest.approx(buckets)
    assert (found.time_ms, found.schema, found.sum, found.zero_count) == (TIME_MS, 3, 12.5, 2.0)
    assert found.is_whole == all(float(count).is_integer() for count in buckets.values())
    histograms, _ = details_of_v2(v2(series(native(buckets, zero_count=2.0))).body)
    assert histograms == {LABELS: [replace(found, start_ms=TIME_MS - 1000)]}


def test_a_newborn_begins_with_an_empty_histogram_or_says_since_when_it_counts() -> None:
    given = series(native({1: 2.0}), newborn=True)
    empty, found = told(given)
    assert (empty.time_ms, empty.count, empty.buckets) == (TIME_MS - 1000, 0.0, {})
    assert (empty.schema, found.count) == (3, 2.0)
    histograms, _ = details_of_v2(v2(given).body)
    (one,) = histograms[LABELS]
    assert (one.start_ms, one.count) == (TIME_MS - 1000, 2.0)


def test_an_ended_histogram_is_marked_as_stale() -> None:
    given = series(native({1: 2.0}), ended=True)
    (found,) = told(given)
    assert is_stale(found.sum)
    assert found.buckets == {}


def exemplars(row: list[int]) -> Exemplars:
    count = len(row)
    return Exemplars(
        row=np.array(row),
        value=np.full(count, 0.25),
        trace_id=np.array([[1, 0xABC]] * count, np.uint64),
        span_id=np.full(count, 0xF, np.uint64),
        time_ms=np.full(count, TIME_MS - 5),
        trace_id_label="trace_id",
    )


def test_exemplars_go_with_their_series_under_the_label_asked_for() -> None:
    rows = [["a"], ["b"], ["c"]]
    given = replace(block(rows), exemplars=exemplars([2]))
    (request,) = encode([given], TIME_MS, WIDE, dropped)
    ((labels, [found]),) = exemplars_of(request.body).items()
    assert dict(labels)["service"] == "c"
    assert (found.time_ms, found.value) == (TIME_MS - 5, 0.25)
    ids = (("span_id", "000000000000000f"), ("trace_id", "00000000000000010000000000000abc"))
    assert found.labels == ids
    assert (request.samples, request.histograms, request.exemplars) == (3, 0, 1)
    _, of_v2 = details_of_v2(v2(given).body)
    assert {labels: told for labels, told in of_v2.items() if told} == {labels: [found]}
    assert v2(given).exemplars == 1


@pytest.mark.parametrize("rows", [slice(1, 3), np.array([1, 2])])
def test_what_is_cut_keeps_its_exemplars_and_histograms(rows: slice) -> None:
    whole = replace(block([["a"], ["b"], ["c"]]), exemplars=exemplars([0, 1, 2]))
    part = whole.cut(rows)
    assert part.exemplars is not None
    assert part.exemplars.row.tolist() == [0, 1]


def test_a_refused_request_is_split_with_zeros_apart_and_exemplars_beside_the_values() -> None:
    given = series(native({1: 2.0}), newborn=True)
    (request,) = encode([replace(given, exemplars=exemplars([0]))], TIME_MS, WIDE, dropped)
    zeros, values = request.split()
    assert parse(zeros.body) == [(LABELS, [(TIME_MS - 1000, 0.0)])]
    assert parse(values.body) == [(LABELS, [(TIME_MS, 2.0)])]
    assert exemplars_of(zeros.body) == {}
    assert list(exemplars_of(values.body)) == [LABELS]
    assert (request.histograms, request.exemplars) == (2, 1)
