"""Both ways to group rows give the same groups."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from processors.grouping import (
    IS_BUILT,
    Columns,
    Greatest,
    Groups,
    distinct,
    greatest_by_cell,
    greatest_by_sorting,
    group_by_hashing,
    group_by_sorting,
    observe_in_numpy,
    observe_natively,
)

IMPLEMENTATIONS = [
    pytest.param(group_by_sorting, id="sorting"),
    pytest.param(
        group_by_hashing,
        id="hashing",
        marks=pytest.mark.skipif(not IS_BUILT, reason="the native extension is not built"),
    ),
]
TYPES = (np.bool_, np.uint8, np.uint32, np.uint64)


@pytest.fixture(params=IMPLEMENTATIONS)
def group(request: pytest.FixtureRequest) -> Callable[[Columns], Groups]:
    chosen: Callable[[Columns], Groups] = request.param
    return chosen


def columns(*values: Sequence[int], of: type[np.generic] = np.uint32) -> list[NDArray[Any]]:
    return [np.array(column, of) for column in values]


def test_groups_are_numbered_in_the_order_in_which_they_appear(
    group: Callable[[Columns], Groups],
) -> None:
    groups = group(columns([7, 3, 7, 7], [1, 1, 1, 0]))
    assert groups.of_row.tolist() == [0, 1, 0, 2]
    assert groups.first.tolist() == [0, 1, 3]
    assert groups.count().tolist() == [2, 1, 1]
    assert groups.sum(np.array([1, 10, 100, 1000])).tolist() == [101, 10, 1000]


def test_columns_with_many_values_are_not_mixed_up(group: Callable[[Columns], Groups]) -> None:
    most = 2**32 - 1
    wide = [most, 0, most, 2**31]
    assert group(columns(wide, wide, [0, 0, 1, 0], wide)).of_row.tolist() == [0, 1, 2, 3]
    assert group(columns(wide, wide, wide, wide, wide)).of_row.tolist() == [0, 1, 0, 2]
    assert group(columns([2**63, 1, 2**63, 1 + 2**32], of=np.uint64)).of_row.tolist() == [
        0,
        1,
        0,
        2,
    ]


def test_a_column_may_be_a_view_with_gaps(group: Callable[[Columns], Groups]) -> None:
    table = np.array([[1, 9], [2, 9], [1, 8]], np.uint32)
    assert group([table[:, 0]]).of_row.tolist() == [0, 1, 0]


def test_no_rows_are_no_groups(group: Callable[[Columns], Groups]) -> None:
    groups = group(columns([], []))
    assert (len(groups), len(groups.of_row)) == (0, 0)


@pytest.mark.skipif(not IS_BUILT, reason="the native extension is not built")
@given(st.data())
def test_both_ways_agree_on_random_columns(data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 40))
    given_columns: list[NDArray[Any]] = []
    for kind in data.draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=6)):
        greatest = 1 if kind is np.bool_ else int(np.iinfo(kind).max)
        value = st.integers(0, min(2, greatest) if data.draw(st.booleans()) else greatest)
        given_columns.append(
            np.array(data.draw(st.lists(value, min_size=rows, max_size=rows)), kind)
        )
    sorted_groups, hashed = group_by_sorting(given_columns), group_by_hashing(given_columns)
    assert hashed.of_row.tolist() == sorted_groups.of_row.tolist()
    assert hashed.first.tolist() == sorted_groups.first.tolist()
    assert hashed.of_row.dtype == hashed.first.dtype == np.dtype(np.intp)


@pytest.mark.skipif(not IS_BUILT, reason="the native extension is not built")
def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        group_by_hashing(columns([1, 2], [1]))


WAYS_TO_THE_GREATEST = [
    pytest.param(greatest_by_sorting, id="sorting"),
    pytest.param(
        greatest_by_cell,
        id="by-cell",
        marks=pytest.mark.skipif(not IS_BUILT, reason="the native extension is not built"),
    ),
]


@pytest.mark.parametrize("greatest", WAYS_TO_THE_GREATEST)
def test_all_rows_with_the_greatest_value_of_a_cell_are_found(
    greatest: Callable[[NDArray[np.intp], NDArray[np.float64]], Greatest],
) -> None:
    values = np.array([1.0, 5.0, np.nan, 5.0, 2.0, np.nan])
    found = greatest(np.array([3, 1, 1, 1, 3, 0]), values)
    assert (found.rows.tolist(), found.tied.tolist()) == ([1, 4], [1, 3])
    nothing = greatest(np.array([], np.intp), np.array([]))
    assert (nothing.rows.tolist(), nothing.tied.tolist()) == ([], [])


@pytest.mark.skipif(not IS_BUILT, reason="the native extension is not built")
@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0.0, 0.5, 2.0, np.nan, np.inf]))))
def test_both_ways_find_the_same_greatest_rows(rows: list[tuple[int, float]]) -> None:
    cell = np.array([each for each, _ in rows], np.intp)
    values = np.array([value for _, value in rows])
    found, expected = greatest_by_cell(cell, values), greatest_by_sorting(cell, values)
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.tied.tolist() == expected.tied.tolist()
    assert found.rows.dtype == found.tied.dtype == np.dtype(np.intp)


VALUES = st.one_of(st.floats(0, 20), st.sampled_from([0.0, 1.0, 2.5, np.inf, np.nan]))


@pytest.mark.skipif(not IS_BUILT, reason="the native extension is not built")
@given(
    st.lists(st.tuples(st.integers(0, 4), VALUES, st.floats(0.5, 9))),
    st.sampled_from([(), (1.0,), (0.5, 1.0, 2.5)]),
    st.booleans(),
)
def test_both_histograms_are_equal_bit_for_bit(
    rows: list[tuple[int, float, float]], bounds: tuple[float, ...], is_weighted: bool
) -> None:
    groups = group_by_sorting([np.array([each for each, _, _ in rows], np.uint32)])
    values = np.array([value for _, value, _ in rows])
    weights = np.array([weight for _, _, weight in rows]) if is_weighted else None
    expected, expected_bucket = observe_in_numpy(groups, values, bounds, weights)
    histogram, bucket = observe_natively(groups, values, bounds, weights)
    assert histogram.tobytes() == expected.tobytes()
    assert histogram.shape == expected.shape
    assert bucket.tolist() == expected_bucket.tolist()


@given(st.lists(st.integers(0, 5)))
def test_distinct_values_are_ascending(values: list[int]) -> None:
    assert distinct(np.array(values, np.int64)).tolist() == sorted(set(values))
