"""A shard that tells no ticks does not keep silent about it."""

from consumer.seam.watch import STILL_S, Watch
from tests.support.clock import HandClock
from tests.unit.seam.test_shard import Written, progress, shard

BEGAN_MS = 10_000


def test_a_shard_that_stands_still_tells_which_lanes_it_waits_for() -> None:
    clock, of_two = HandClock(), shard()
    watch = Watch(clock)

    def read(written: Written) -> None:
        of_two.take(written.key, written.value, 0)
        while of_two.tell(0) is not None:
            pass

    read(progress(BEGAN_MS, 0, 1))
    read(progress(BEGAN_MS + 5_000, 0))
    assert watch.look({7: of_two}) == {}
    clock.sleep_s(STILL_S)
    assert watch.look({7: of_two}) == {7: "the progress of span partitions 1"}
    read(progress(BEGAN_MS + 5_000, 1))
    assert watch.look({7: of_two}) == {}


def test_a_shard_whose_ticks_nobody_takes_waits_for_their_delivery() -> None:
    clock, full = HandClock(), shard()
    watch = Watch(clock)
    for clock_ms in (BEGAN_MS, BEGAN_MS + 2_000):
        written = progress(clock_ms, 0, 1)
        full.take(written.key, written.value, 0)
    watch.look({0: full})
    clock.sleep_s(STILL_S)
    assert watch.look({0: full}) == {0: "the delivery of the tick before"}


def test_a_shard_that_went_and_came_again_has_not_stood_still() -> None:
    clock, away = HandClock(), shard()
    watch = Watch(clock)
    watch.look({0: away})
    clock.sleep_s(STILL_S)
    watch.look({})
    assert watch.look({0: away}) == {}


def test_a_shard_that_never_heard_of_a_lane_waits_for_the_first() -> None:
    clock, silent = HandClock(), shard()
    watch = Watch(clock)
    watch.look({0: silent})
    clock.sleep_s(STILL_S)
    assert watch.look({0: silent}) == {0: "the first progress"}
