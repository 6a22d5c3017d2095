import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consumer.ticks.lane import Lane, Resumption, tick_of

WINDOW_MS = 2_000
FOREVER_MS = 1 << 60


def take(lane: Lane, first: int, *times_ms: int, latest_ms: int = FOREVER_MS) -> list[int]:
    offsets = np.arange(first, first + len(times_ms), dtype=np.int64)
    times = np.array(times_ms, np.int64)
    effective: list[int] = lane.take(offsets, times, latest_ms).tolist()
    return effective


def test_a_tick_is_the_end_of_the_interval_that_a_time_lies_in() -> None:
    assert [tick_of(time_ms, 10) for time_ms in (0, 9, 10, 11)] == [10, 10, 20, 20]


def test_the_clock_is_the_greatest_timestamp_so_far() -> None:
    lane = Lane()
    assert take(lane, 0, 5, 3, 9) == [5, 5, 9]
    assert take(lane, 3, 7, 12) == [9, 12]
    assert (lane.clock_ms, lane.next_offset, lane.newest_ms) == (12, 5, 12)


def test_an_idle_lane_moves_on_and_never_back() -> None:
    lane = Lane()
    take(lane, 0, 5)
    lane.reach(20)
    lane.reach(10)
    assert take(lane, 1, 7, 25) == [20, 25]


def test_a_timestamp_past_the_latest_counts_as_the_latest() -> None:
    assert take(Lane(), 0, 5, 1_000, 6, 20, latest_ms=10) == [5, 10, 10, 10]


def test_a_lane_goes_on_from_the_first_record_of_its_window() -> None:
    lane = Lane(window_ms=WINDOW_MS)
    for offset in range(100):
        take(lane, offset, offset * 100)
    resumption = lane.resumption()
    assert resumption is not None
    assert resumption.next_offset == 100
    assert resumption.clock_ms == 9_900
    assert 0 <= 79 - resumption.from_offset <= 1
    assert resumption.from_ms == resumption.from_offset * 100


def test_nothing_is_read_again_when_the_window_is_over() -> None:
    lane = Lane(window_ms=WINDOW_MS)
    take(lane, 0, 5)
    lane.reach(10_000)
    assert lane.resumption() == Resumption(1, 1, 10_000, 10_000)


def test_a_lane_that_knows_nothing_goes_on_nowhere() -> None:
    assert Lane(window_ms=WINDOW_MS).resumption() is None


@given(
    st.lists(
        st.tuples(st.integers(0, 3_000), st.sampled_from(["record", "record", "idle", "bogus"])),
        min_size=1,
        max_size=60,
    )
)
def test_whoever_reads_the_window_again_sees_the_same_times(
    steps: list[tuple[int, str]],
) -> None:
    lane = Lane(window_ms=WINDOW_MS)
    now_ms = 0
    stamps: list[int] = []
    effective: list[int] = []
    for step_ms, what in steps:
        now_ms += step_ms // 10
        if what == "idle":
            lane.reach(now_ms)
            continue
        stamp_ms = now_ms + 1_000_000 if what == "bogus" else max(0, now_ms - step_ms)
        effective += take(lane, len(stamps), stamp_ms, latest_ms=now_ms + 50)
        stamps.append(stamp_ms)
    resumption = lane.resumption()
    if resumption is None:
        assert not stamps
        return
    again = Lane(resumption, window_ms=WINDOW_MS)
    first = resumption.from_offset
    if first < len(stamps):
        assert take(again, first, *stamps[first:]) == effective[first:]
    assert again.rebuilds_until == len(stamps)
    assert again.rebuilt() == lane.clock_ms
    assert again.clock_ms == lane.clock_ms
    later = again.resumption()
    assert later is not None
    assert (later.from_offset, later.from_ms) == (first, resumption.from_ms)
    assert later.steps.items() >= {k: v for k, v in resumption.steps.items() if k > first}.items()
    window = [at for at, time_ms in enumerate(effective) if time_ms > resumption.clock_ms - 2_000]
    assert all(at >= first for at in window)
