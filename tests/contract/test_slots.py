"""Both indexes of slots give the same slots."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.registry.slots import NativeSlots, PythonSlots, Rows, SlotIndex, Slots
from processors.grouping import IS_BUILT

needs_extension = pytest.mark.skipif(not IS_BUILT, reason="the native extension is not built")


@pytest.fixture(params=[PythonSlots, pytest.param(NativeSlots, marks=needs_extension)])
def index(request: pytest.FixtureRequest) -> SlotIndex:
    made: SlotIndex = request.param(2)
    return made


def rows(*values: tuple[int, int]) -> Rows:
    return np.array(values, np.uint32).reshape(-1, 2)


def at(*slots: int) -> Slots:
    return np.array(slots, np.intp)


def test_equal_rows_share_a_slot(index: SlotIndex) -> None:
    assert index.make(rows((1, 2), (2, 1), (1, 2))).tolist() == [0, 1, 0]
    assert index.find(rows((2, 1), (2, 2), (1, 2))).tolist() == [1, -1, 0]
    assert (len(index), index.end) == (2, 2)


def test_no_rows_have_no_slots(index: SlotIndex) -> None:
    assert index.find(rows()).tolist() == index.make(rows()).tolist() == []
    assert (len(index), index.end) == (0, 0)


def test_what_is_found_may_be_changed(index: SlotIndex) -> None:
    found = index.find(rows((1, 2)))
    found[0] = 7
    assert index.find(rows((1, 2))).tolist() == [-1]


def test_the_slot_that_became_free_last_is_given_first(index: SlotIndex) -> None:
    index.make(rows((0, 0), (1, 0), (2, 0), (3, 0)))
    index.free(at(1, 3))
    assert index.find(rows((1, 0), (2, 0), (3, 0))).tolist() == [-1, 2, -1]
    assert index.make(rows((9, 9), (8, 8), (7, 7))).tolist() == [3, 1, 4]
    assert (len(index), index.end) == (5, 5)


def test_a_slot_that_is_free_cannot_become_free(index: SlotIndex) -> None:
    index.make(rows((1, 1)))
    index.free(at(0))
    with pytest.raises(KeyError):
        index.free(at(0))


def test_renamed_rows_are_found_by_their_new_names_alone(index: SlotIndex) -> None:
    index.make(rows((1, 1), (2, 2), (3, 3)))
    index.free(at(1))
    table = np.array([[5, 5], [0, 0], [1, 1], [0, 0]], np.uint32)
    index.rename(table)
    assert index.find(rows((5, 5), (1, 1), (3, 3), (0, 0))).tolist() == [0, 2, -1, -1]
    assert index.make(rows((4, 4))).tolist() == [1]


def some_rows(values: Sequence[int]) -> Rows:
    return rows(*((value % 3, value) for value in values))


@needs_extension
@given(st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 40), max_size=20))))
def test_both_indexes_agree_on_whatever_comes_and_goes(
    steps: list[tuple[bool, list[int]]],
) -> None:
    native, python = NativeSlots(2), PythonSlots(2)
    for makes, values in steps:
        given_rows = some_rows(values)
        if makes:
            assert native.make(given_rows).tolist() == python.make(given_rows).tolist()
        else:
            found = python.find(given_rows)
            assert native.find(given_rows).tolist() == found.tolist()
            gone = np.unique(found[found >= 0])
            native.free(gone)
            python.free(gone)
        assert (len(native), native.end) == (len(python), python.end)


@needs_extension
def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="width"):
        NativeSlots(2).find(np.zeros(3, np.uint32))
