import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.seam.columns import FormatError
from consumer.seam.notes import (
    MOST_NOTE_BYTES,
    Progress,
    read_note,
    read_progress,
    read_told,
    write_note,
    write_progress,
    write_told,
)
from consumer.ticks.lane import Resumption

NOW_MS = 1_790_000_000_000


@given(
    st.integers(0, 1 << 50),
    st.integers(0, 1_000_000),
    st.dictionaries(st.integers(0, 1_000), st.integers(0, 100_000), max_size=20),
)
def test_a_note_comes_back_as_it_was(first: int, records: int, steps: dict[int, int]) -> None:
    resumption = Resumption(
        next_offset=first + records,
        from_offset=first,
        from_ms=NOW_MS,
        clock_ms=NOW_MS + 20_000,
        steps={first + at: NOW_MS + ms for at, ms in steps.items()},
    )
    assert read_note(first + records, write_note(resumption)) == resumption


def test_of_too_many_steps_the_newest_are_kept() -> None:
    steps = {at: NOW_MS + at for at in range(10_000)}
    note = write_note(Resumption(10_000, 0, NOW_MS, NOW_MS + 10_000, steps))
    assert len(note) <= MOST_NOTE_BYTES
    found = read_note(10_000, note)
    assert found is not None
    assert 100 < len(found.steps) < 10_000
    assert max(found.steps) == 9_999


@pytest.mark.parametrize("note", ["", "by hand", "[1]", "{}", '{"v":1}'])
def test_a_note_that_no_worker_wrote_says_nothing(note: str) -> None:
    assert read_note(5, note) is None


def test_a_note_of_another_version_is_refused() -> None:
    with pytest.raises(FormatError, match="version 2"):
        read_note(5, '{"v":2}')


def test_progress_comes_back_as_it_was() -> None:
    progress = Progress(6, {0: NOW_MS, 5: NOW_MS + 1})
    assert read_progress(write_progress(progress)) == progress


@pytest.mark.parametrize("value", [b"", b"[]", b"1", b'{"v":1,"lanes":1}', b'{"v":2}'])
def test_progress_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(FormatError):
        read_progress(value)


@given(st.integers(0, 1 << 50))
def test_the_last_tick_is_read_as_it_was_noted_and_is_no_resumption(told_ms: int) -> None:
    note = write_told(told_ms)
    assert read_told(note) == told_ms
    assert read_note(7, note) is None


@pytest.mark.parametrize("note", ["", "{", "[]", "null", '{"v":1}', '{"told_ms":null}', "someone"])
def test_a_note_of_others_tells_no_tick(note: str) -> None:
    assert read_told(note) == 0
