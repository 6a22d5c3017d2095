from consumer.ticks.closer import TickCloser
from tests.unit.registry.frames import gauge

ONE, TWO, THREE = (gauge("north", name, 1.0) for name in ("one", "two", "three"))


def closer(lanes: int = 2) -> TickCloser:
    made = TickCloser(10)
    made.lanes = lanes
    return made


def ready(made: TickCloser) -> list[tuple[int, int]]:
    made.close()
    found = [(closed.tick_ms, len(closed.frames)) for closed in made.ready]
    made.ready.clear()
    return found


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
    (closed,) = made.ready
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
    (closed,) = made.ready
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
