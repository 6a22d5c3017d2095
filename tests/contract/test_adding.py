"""Both ways to add rows to a table in place give the same bits."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from consumer.registry.adding import Numbers, add_rows_in_numpy, add_rows_natively
from processors.grouping import IS_BUILT

AddRows: TypeAlias = Callable[[Numbers, NDArray[np.intp], Numbers], None]

needs_extension = pytest.mark.skipif(not IS_BUILT, reason="the native extension is not built")
WAYS = [
    pytest.param(add_rows_in_numpy, id="numpy"),
    pytest.param(add_rows_natively, id="native", marks=needs_extension),
]


@pytest.fixture(params=WAYS)
def add_rows(request: pytest.FixtureRequest) -> AddRows:
    chosen: AddRows = request.param
    return chosen


def table(*rows: Sequence[float]) -> Numbers:
    return np.array(rows, np.float64).reshape(-1, 2)


def at(*places: int) -> NDArray[np.intp]:
    return np.array(places, np.intp)


def test_rows_are_added_at_their_places(add_rows: AddRows) -> None:
    values = table((1, 2), (3, 4), (5, 6))
    add_rows(values, at(2, 0), table((0.5, 0.25), (10, 20)))
    assert values.tolist() == [[11, 22], [3, 4], [5.5, 6.25]]


def test_rows_of_one_place_add_up_in_their_order(add_rows: AddRows) -> None:
    values = table((1e16, 0), (0, 0))
    add_rows(values, at(0, 0, 1, 0), table((1, 1), (-1e16, 1), (7, 7), (1, 1)))
    assert values.tolist() == [[1e16 + 1 - 1e16 + 1, 3], [7, 7]]


def test_rows_without_a_place_are_left_out(add_rows: AddRows) -> None:
    values = table((1, 2), (3, 4))
    add_rows(values, at(-1, 1, -1), table((9, 9), (1, 1), (9, 9)))
    assert values.tolist() == [[1, 2], [4, 5]]


def test_no_rows_change_nothing(add_rows: AddRows) -> None:
    values = table((1, 2))
    add_rows(values, at(), table())
    assert values.tolist() == [[1, 2]]


def test_rows_that_may_not_be_written_to_can_be_added(add_rows: AddRows) -> None:
    values, added = table((1, 2)), np.frombuffer(table((1, 1)).tobytes()).reshape(1, 2)
    add_rows(values, at(0), added)
    assert values.tolist() == [[2, 3]]


def test_rows_and_places_that_are_not_aligned_are_added_too(add_rows: AddRows) -> None:
    values, packed = table((1, 2)), bytes(4) + table((1, 1)).tobytes() + at(0).tobytes()
    added = np.frombuffer(packed, np.float64, 2, 4).reshape(1, 2)
    add_rows(values, np.frombuffer(packed, np.intp, 1, 20), added)
    assert not added.flags.aligned
    assert values.tolist() == [[2, 3]]


def test_columns_of_a_wider_table_can_be_added(add_rows: AddRows) -> None:
    values, wide = table((1, 2), (3, 4)), np.arange(8.0).reshape(2, 4)
    add_rows(values, np.array([1, 9, 0, 9])[::2], wide[:, 1:3])
    assert values.tolist() == [[6, 8], [4, 6]]


def test_a_place_beyond_the_table_is_an_error_and_nothing_is_added(add_rows: AddRows) -> None:
    values = table((1, 2), (3, 4))
    with pytest.raises(IndexError):
        add_rows(values, at(0, 2), table((1, 1), (1, 1)))
    assert values.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("added", [np.ones((1, 3)), np.ones((3, 2)), np.ones(2)])
@needs_extension
def test_rows_that_do_not_fit_are_refused(added: Numbers) -> None:
    with pytest.raises(ValueError, match="rows"):
        add_rows_natively(table((1, 2)), at(0), added)


@needs_extension
def test_a_table_that_may_not_be_written_to_is_refused() -> None:
    values = table((1, 2))
    values.flags.writeable = False
    with pytest.raises(BufferError):
        add_rows_natively(values, at(0), table((1, 1)))
    with pytest.raises(BufferError):
        add_rows_natively(np.ones((2, 4))[:, ::2], at(0), table((1, 1)))


@needs_extension
@given(
    st.lists(
        st.tuples(
            st.integers(-1, 4),
            st.tuples(*[st.floats(allow_nan=False, allow_infinity=False, width=32)] * 2),
        )
    )
)
def test_both_ways_are_equal_bit_for_bit(rows: list[tuple[int, tuple[float, float]]]) -> None:
    places, added = at(*(place for place, _ in rows)), table(*(row for _, row in rows)) / 3
    native, expected = np.full((5, 2), 0.1), np.full((5, 2), 0.1)
    add_rows_natively(native, places, added)
    add_rows_in_numpy(expected, places, added)
    assert native.tobytes() == expected.tobytes()
