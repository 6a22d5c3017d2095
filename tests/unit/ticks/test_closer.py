from hypothesis import given
from hypothesis import strategies as st

from consumer.ticks.closer import TickCloser
from consumer.ticks.lane import tick_of
from consumer.ticks.ready import ClosedTick
from tests.unit.registry.frames import gauge

ONE, TWO, THREE = (gauge("north", name, 1.0) for name in ("one", "two", "three"))


def closer(lanes: int = 2) -> TickCloser:
    made = TickCloser(10)
    made.lanes = lanes
    return made


def ready(made: TickCloser) -> list[tuple[int, int]]:
    made.close()
    return [(closed.tick_ms, len(closed.frames)) for closed in taken(made)]


def taken(made: TickCloser) -> list[ClosedTick]:
    return [made.ready.popleft() for _ in range(len(made.ready))]


def test_a_tick_closes_when_every_lane_has_reached_it() -> None:
    made = closer()
    made.add(10, [ONE])
    made.report(0, 12)
    assert ready(made) == []
    made.report(1, 9)
    assert ready(made) == []
    made.report(1, 10)
    assert ready(made) == [(10, 1)]


def test_nothing_closes_before_it_is_known_how_many_lanes_there_are() -> None:
    made = TickCloser(10)
    made.report(0, 100)
    assert ready(made) == []


def test_ticks_without_deltas_close_as_well() -> None:
    made = closer(1)
    made.report(0, 5)
    assert ready(made) == []
    made.report(0, 31)
    assert ready(made) == [(10, 0), (20, 0), (30, 0)]


def test_the_first_tick_is_that_of_the_first_delta() -> None:
    made = closer(1)
    made.add(20, [ONE])
    made.report(0, 43)
    assert ready(made) == [(20, 1), (30, 0), (40, 0)]
    assert made.began_ms == 10


def test_deltas_of_a_tick_that_is_closed_count_in_the_next() -> None:
    made = closer(1)
    made.report(0, 5)
    made.report(0, 20)
    ready(made)
    made.add(10, [ONE])
    made.report(0, 30)
    assert ready(made) == [(30, 1)]


def test_deltas_are_folded_in_the_order_of_ticks_then_as_they_came() -> None:
    made = closer(1)
    made.add(20, [ONE])
    made.add(10, [TWO])
    made.add(20, [THREE])
    made.close_all(15)
    (closed,) = taken(made)
    assert [frame is each for frame, each in zip(closed.frames, (TWO, ONE, THREE), strict=True)]
    assert closed.tick_ms == 15


def test_a_clock_that_is_told_late_does_not_go_back() -> None:
    made = closer(1)
    made.report(0, 30)
    made.report(0, 20)
    assert made.watermark_ms == 30


def test_deltas_of_the_tick_that_closes_next_can_be_taken_early_in_their_order() -> None:
    made = closer(1)
    made.add(10, [ONE, TWO])
    made.add(10, [THREE])
    assert made.take_early(9) == (0, ())
    made.report(0, 5)
    assert ready(made) == []
    tick_ms, frames = made.take_early(2)
    assert tick_ms == 10
    assert [frame is each for frame, each in zip(frames, (ONE, TWO), strict=True)] == [True] * 2
    made.report(0, 10)
    made.close()
    assert made.take_early(9) == (0, ())
    (closed,) = taken(made)
    assert [frame is THREE for frame in closed.frames] == [True]


def test_nothing_of_a_later_tick_is_taken_early() -> None:
    made = closer(1)
    made.report(0, 5)
    ready(made)
    made.add(20, [ONE])
    made.add(10, [TWO])
    _, (frame,) = made.take_early(9)
    assert frame is TWO
    assert made.take_early(9) == (10, [])


def test_after_the_time_between_ticks_changed_what_waits_counts_in_the_next_that_is_one() -> None:
    made = closer(1)
    made.report(0, 5)
    made.close()
    made.add(30, [ONE])
    made.add(40, [TWO])
    made.base_ms = 25
    made.report(0, 49)
    assert ready(made) == [(25, 0)]
    made.report(0, 99)
    assert ready(made) == [(50, 2), (75, 0)]


def test_years_without_deltas_are_closed_at_once() -> None:
    made = closer(1)
    made.report(0, 5)
    made.close()
    made.add(10**12, [ONE])
    made.report(0, 2 * 10**12)
    made.close()
    assert len(made.ready) == 2 * 10**11
    assert made.ready.skip_empty(3 * 10**12) == 10**11 - 1
    assert made.ready.popleft() == ClosedTick(10**12, [ONE])
    assert made.closed_ms == 2 * 10**12


@given(
    st.lists(st.tuples(st.sampled_from("arb"), st.integers(0, 90)), max_size=12),
    st.integers(1, 20),
)
def test_ticks_close_as_if_one_looked_at_each_of_them(
    steps: list[tuple[str, int]], other_base_ms: int
) -> None:
    made, seen, expected = closer(1), [], []
    waiting: dict[int, int] = {}
    for step, number in steps:
        if step == "a":
            tick_ms = max(number, 0 if made.closed_ms is None else made.closed_ms + 1)
            waiting[tick_ms] = waiting.get(tick_ms, 0) + 1
            made.add(tick_ms, [ONE])
        elif step == "b":
            made.base_ms = other_base_ms
        else:
            made.report(0, number)
            closed_ms = made.closed_ms
            seen += ready(made)
            if closed_ms is None:
                closed_ms = made.began_ms
            tick_ms = tick_of(closed_ms or 0, made.base_ms)
            while tick_ms <= made.clocks[0]:
                count = sum(waiting.pop(each) for each in list(waiting) if each <= tick_ms)
                expected.append((tick_ms, count))
                tick_ms += made.base_ms
    assert seen == expected
