from __future__ import annotations

import pytest

from consumer.remote_write.resharding import LOOK_S, START, Resharding


def ticks(
    of: Resharding, count: int, samples: int, seconds_each: float, *, start_s: float = 0.0
) -> float:
    """So many ticks, ``LOOK_S`` apart, whose samples take so long each; when the last came."""
    now_s = start_s
    for number in range(count):
        now_s = start_s + number * LOOK_S
        of.came(samples, 0, now_s)
        of.sent(samples, samples * seconds_each)
    return now_s


def test_it_begins_with_a_few_within_the_limits() -> None:
    assert Resharding(1, 50).shards == START
    assert Resharding(1, 2).shards == 2
    assert Resharding(10, 50).shards == 10


def test_a_tick_is_to_be_delivered_in_half_the_time_to_the_next() -> None:
    of = Resharding(1, 50)
    # 100,000 samples at 1 ms are 100 s of sending; in 5 s it takes 20 shards.
    ticks(of, 2, 100_000, 0.001)
    assert of.shards == 20
    assert of.desired == pytest.approx(20.0)


def test_nothing_is_decided_before_the_time_or_before_anything_was_sent() -> None:
    of = Resharding(1, 50)
    ticks(of, 1, 100_000, 0.001)
    of.came(100_000, 0, LOOK_S - 0.1)
    assert of.shards == START
    idle = Resharding(1, 50)
    idle.came(100_000, 0, 0.0)
    idle.came(100_000, 0, LOOK_S)
    assert idle.shards == START


def test_a_first_tick_that_takes_long_is_helped_before_the_next() -> None:
    of = Resharding(1, 50)
    of.came(100_000, 0, 0.0)
    of.sent(40_000, 40.0)
    assert not of.is_due(LOOK_S - 0.1)
    assert of.is_due(LOOK_S)
    of.look(0, LOOK_S)
    assert of.shards == 20


def test_between_ticks_the_rate_is_that_of_the_ticks() -> None:
    of = Resharding(1, 50)
    ticks(of, 2, 100_000, 0.001)
    for at_s in (25.0, 40.0):
        of.look(0, at_s)
    assert of.shards == 20


def test_limits_hold_whatever_is_desired() -> None:
    most, least = Resharding(1, 8), Resharding(3, 8)
    ticks(most, 2, 100_000, 0.001)
    ticks(least, 2, 10, 0.001)
    assert (most.shards, least.shards) == (8, 3)
    most.limit(1, 5)
    assert most.shards == 5


@pytest.mark.parametrize(("milliseconds", "shards"), [(0.25, 4), (0.15, 4), (0.3, 6), (0.1, 2)])
def test_a_small_difference_changes_nothing(milliseconds: float, shards: int) -> None:
    of = Resharding(1, 50)
    ticks(of, 2, 100_000, milliseconds / 1_000)
    assert of.shards == shards


def test_a_backlog_is_caught_up_by_a_twentieth_a_second_and_allows_no_shrinking() -> None:
    of = Resharding(1, 50)
    ticks(of, 1, 10_000, 0.001)
    of.came(10_000, 100_000, LOOK_S)
    # 1000 samples/s twice, and 5000 of the backlog.
    assert of.desired == pytest.approx(7.0)
    assert of.shards == 7
    of.sent(10, 0.01)
    of.came(10, 10, 2 * LOOK_S)
    assert of.desired < 4
    assert of.shards == 7


def test_after_a_failure_nothing_changes_for_twice_the_wait() -> None:
    of = Resharding(1, 50)
    ticks(of, 1, 100_000, 0.001)
    of.failed(LOOK_S - 1, 5.0)
    of.came(100_000, 0, LOOK_S)
    assert of.shards == START
    of.came(100_000, 0, 2 * LOOK_S)
    assert of.shards == 20


def test_one_odd_tick_does_not_turn_everything_over() -> None:
    of = Resharding(1, 50)
    last_s = ticks(of, 10, 100_000, 0.001)
    of.came(100_000, 0, last_s + LOOK_S)
    of.sent(100_000, 200.0)
    of.came(100_000, 0, last_s + 2 * LOOK_S)
    assert of.shards == 20
