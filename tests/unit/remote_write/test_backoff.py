from __future__ import annotations

from random import Random

from consumer.remote_write.backoff import Backoff


def backoff(seed: int = 1) -> Backoff:
    return Backoff(0.03, 5.0, Random(seed))  # noqa: S311


def test_the_limit_doubles_from_the_smallest_to_the_largest_wait() -> None:
    limits = [backoff().limit_s(attempt) for attempt in range(1, 12)]
    assert limits == [0.03, 0.06, 0.12, 0.24, 0.48, 0.96, 1.92, 3.84, 5.0, 5.0, 5.0]


def test_the_limit_holds_after_any_number_of_attempts() -> None:
    assert backoff().limit_s(10**9) == 5.0


def test_waits_are_spread_over_the_whole_limit() -> None:
    waits = [backoff(seed).wait_s(4) for seed in range(200)]
    assert 0 <= min(waits) < 0.03
    assert 0.21 < max(waits) <= 0.24


def test_the_same_seed_gives_the_same_waits() -> None:
    one, other = backoff(7), backoff(7)
    assert [one.wait_s(n) for n in range(1, 9)] == [other.wait_s(n) for n in range(1, 9)]


def test_what_the_endpoint_asks_for_goes_before() -> None:
    assert backoff().wait_s(1, 60.0) == 60.0
    assert backoff().wait_s(20, 0.0) == 0.0
