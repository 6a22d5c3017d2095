from __future__ import annotations

from consumer.remote_write.log_limit import LogLimit
from tests.support.clock import HandClock


def test_a_key_speaks_once_a_minute_and_says_how_often_it_was_kept_quiet() -> None:
    clock = HandClock()
    limit = LogLimit(clock)
    assert [limit.pass_through("a", "b") for _ in range(4)] == [0, None, None, None]
    assert limit.pass_through("a", "c") == 0
    clock.sleep_s(60)
    assert limit.pass_through("a", "b") == 3


def test_it_remembers_a_bounded_number_of_keys() -> None:
    limit = LogLimit(HandClock())
    for number in range(5000):
        limit.pass_through(str(number))
    assert len(limit._seen) == 1000
