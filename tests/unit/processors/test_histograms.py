import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.delta import Family, Instrument, NativeShape
from processors.grouping import group
from processors.histograms import bucket_of, coarser, measure, schema_of
from processors.sparse import Exemplars, Spans, choose

SECONDS = st.integers(1, 10**12).map(lambda nanos: nanos / 1e9)
SHAPE = NativeShape(schema=3, max_buckets=100, min_reset_ms=1)
NATIVE = Family("latency", Instrument.NATIVE_HISTOGRAM, "", "seconds", shape=SHAPE)


@pytest.mark.parametrize(
    ("factor", "schema"),
    [(1.1, 3), (2, 0), (1.5, 1), (1.0001, 8), (1e9, -4), (1.2, 2)],
)
def test_a_factor_gives_the_coarsest_schema_that_does_not_exceed_it(
    factor: float, schema: int
) -> None:
    assert schema_of(factor) == schema


@given(SECONDS, st.integers(-4, 8))
def test_a_value_is_in_the_bucket_whose_bounds_are_around_it(value: float, schema: int) -> None:
    (bucket,) = bucket_of(np.array([value]), schema).tolist()
    nearly = 1 + 1e-12
    assert 2 ** ((bucket - 1) * 2.0**-schema) < value * nearly
    assert value <= 2 ** (bucket * 2.0**-schema) * nearly


@pytest.mark.parametrize("schema", range(-4, 9))
def test_a_bound_belongs_to_the_bucket_that_it_ends(schema: int) -> None:
    per_power = 2.0**schema
    exact = [2.0**power for power in range(-16, 17, 16)]
    expected = [math.ceil(power * per_power) for power in range(-16, 17, 16)]
    assert bucket_of(np.array(exact), schema).tolist() == expected


@given(st.lists(SECONDS, min_size=1), st.integers(-3, 8), st.integers(0, 3))
def test_halving_a_bucket_gives_that_of_the_coarser_schema(
    values: list[float], schema: int, halvings: int
) -> None:
    coarse = max(-4, schema - halvings)
    fine = bucket_of(np.array(values), schema)
    assert coarser(fine, schema - coarse).tolist() == bucket_of(np.array(values), coarse).tolist()


def test_a_native_histogram_counts_fractions_zeros_and_leaves_out_what_was_not_measured() -> None:
    seconds = np.array([0.5, 0.5, 0.0, 4.0, np.nan])
    weights = np.array([1.0, 1.5, 0.25, 2.0, 8.0])
    groups = group([np.array([0, 0, 0, 1, 1], np.uint32)])
    measured = measure(NATIVE, groups, seconds, weights)
    assert measured.values.tolist() == [[2.75, 0.25, 1.25], [2.0, 0.0, 8.0]]
    cells = measured.cells
    assert cells is not None
    assert cells.row.tolist() == [0, 1]
    assert cells.bucket.tolist() == [-8, 16]
    assert cells.count.tolist() == [2.5, 2.0]


def spans(count: int) -> Spans:
    numbers = np.arange(1, count + 1, dtype=np.uint64)
    return Spans(np.column_stack([numbers, numbers]), numbers, numbers * np.uint64(1_000_000))


def test_the_slowest_span_of_each_bucket_is_told_with_the_time_it_ended() -> None:
    seconds = np.array([0.1, 0.3, 0.2, 9.0, np.nan])
    bucket = np.array([0, 0, 0, 1, 1], np.int32)
    found = choose(spans(5), np.array([7, 7, 7, 7, 7]), seconds, bucket)
    assert found.row.tolist() == [7, 7]
    assert found.seconds.tolist() == [0.3, 9.0]
    assert found.span_id.tolist() == [2, 4]
    assert found.time_ms.tolist() == [2, 4]


def test_a_trace_without_an_id_is_no_exemplar() -> None:
    nameless = Spans(np.zeros((1, 2), np.uint64), np.ones(1, np.uint64), np.ones(1, np.uint64))
    assert len(choose(nameless, np.zeros(1, np.intp), np.ones(1))) == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1), st.data())
def test_it_does_not_matter_how_spans_were_split_into_batches(
    placed: list[tuple[int, int]], data: st.DataObject
) -> None:
    row, seconds = (np.array(column) for column in zip(*placed, strict=True))
    cut = data.draw(st.integers(0, len(placed)))
    every = spans(len(placed))
    halves = []
    for part in (slice(cut), slice(cut, None)):
        of_part = Spans(every.trace_id[part], every.span_id[part], every.end_ns[part])
        halves.append(choose(of_part, row[part], seconds[part].astype(np.float64)))
    together = Exemplars.concatenate(halves).slowest().ordered()
    whole = choose(every, row, seconds.astype(np.float64))
    assert together.span_id.tolist() == whole.span_id.tolist()
