from consumer.ticks.ready import ClosedTick, ReadyTicks
from tests.unit.registry.frames import gauge

ONE = gauge("north", "one", 1.0)


def queue() -> ReadyTicks:
    """Two ticks without deltas, one with some, three without."""
    made = ReadyTicks()
    made.append_empty(range(10, 30, 10))
    made.append(ClosedTick(30, [ONE]))
    made.append_empty(range(40, 70, 10))
    return made


def times_ms(made: ReadyTicks) -> list[int]:
    return [made.popleft().tick_ms for _ in range(len(made))]


def test_ticks_come_out_in_the_order_in_which_they_went_in() -> None:
    made = queue()
    assert made.oldest_ms == 10
    assert times_ms(made) == [10, 20, 30, 40, 50, 60]
    assert made.oldest_ms is None


def test_deltas_come_out_with_their_tick() -> None:
    made = queue()
    counts = [len(made.popleft().frames) for _ in range(len(made))]
    assert counts == [0, 0, 1, 0, 0, 0]


def test_skipping_ends_before_the_time_that_is_given() -> None:
    made = queue()
    assert made.skip_empty(20) == 1
    assert made.skip_empty(20) == 0
    assert times_ms(made) == [20, 30, 40, 50, 60]


def test_skipping_ends_at_a_tick_with_deltas() -> None:
    made = queue()
    assert made.skip_empty(100) == 2
    assert made.popleft().frames == [ONE]


def test_the_last_tick_is_never_skipped() -> None:
    made = queue()
    made.skip_empty(100)
    made.popleft()
    assert made.skip_empty(100) == 2
    assert times_ms(made) == [60]


def test_no_ticks_can_be_queued() -> None:
    made = ReadyTicks()
    made.append_empty(range(20, 20, 10))
    assert (len(made), made.skip_empty(100)) == (0, 0)
    assert made.oldest_ms is None
