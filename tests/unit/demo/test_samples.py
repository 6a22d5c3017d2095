from __future__ import annotations

import math

import pytest

from consumer.demo.samples import MAX_SAMPLES, SampleStore, Window, increase, quantile

CALLS = (("__name__", "calls"), ("service", "cart"))


def test_growth_is_counted_from_the_last_sample_before_the_window() -> None:
    samples = [(0, 0.0), (2000, 10.0), (4000, 25.0), (6000, 45.0)]
    assert increase(samples, Window(2000, 6000)) == 35
    assert increase(samples, Window(3000, 6000)) == 35
    assert increase(samples, Window(0, 4000)) == 25


def test_a_series_born_within_the_window_counts_from_its_zero_sample() -> None:
    assert increase([(5000, 0.0), (6000, 7.0)], Window(2000, 6000)) == 7


def test_a_lone_sample_is_no_growth() -> None:
    assert increase([(5000, 100.0)], Window(2000, 6000)) == 0
    assert increase([], Window(2000, 6000)) == 0


def test_after_a_reset_it_counts_from_zero() -> None:
    samples = [(0, 100.0), (2000, 110.0), (4000, 5.0), (6000, 9.0)]
    assert increase(samples, Window(0, 6000)) == 10 + 5 + 4


def test_windows_begin_and_end_at_ticks() -> None:
    store = SampleStore(since_ms=500)
    for tick_ms in (2000, 4000, 6000, 8000):
        store.add([(CALLS, [(tick_ms, tick_ms / 100)])])
    assert store.latest_window(3000) == Window(4000, 8000)
    assert store.latest_window(4000) == Window(4000, 8000)
    assert store.latest_window(60_000) == Window(500, 8000), "since the start when it is younger"


def test_without_samples_the_window_is_empty_but_not_zero_long() -> None:
    window = SampleStore(since_ms=500).latest_window(1000)
    assert (window.from_ms, window.to_ms) == (500, 500)
    assert window.seconds > 0


def test_zero_samples_are_no_ticks() -> None:
    store = SampleStore(since_ms=0)
    store.add([(CALLS, [(59_999, 0.0), (62_000, 3.0)])])
    assert list(store.ticks) == [62_000]
    assert [growth.amount for growth in store.growth("calls", Window(60_000, 62_000))] == [3]


def test_a_tick_in_two_requests_is_one_tick() -> None:
    store = SampleStore(since_ms=0)
    store.add([(CALLS, [(2000, 1.0)])])
    store.add([((*CALLS, ("more", "x")), [(2000, 1.0)])])
    assert list(store.ticks) == [2000]
    assert store.series == 2


def test_samples_out_of_order_are_refused_and_exact_repeats_are_not_counted() -> None:
    store = SampleStore(since_ms=0)
    store.add([(CALLS, [(4000, 4.0), (4000, 4.0), (2000, 2.0), (4000, 5.0)])])
    assert (store.samples, store.refused) == (1, 2)


def test_stale_markers_are_not_values() -> None:
    store = SampleStore(since_ms=0)
    store.add([(CALLS, [(1000, 0.0), (2000, 4.0), (4000, math.nan), (6000, 1.0)])])
    assert [growth.amount for growth in store.growth("calls", Window(0, 6000))] == [5]


def test_a_series_keeps_a_bounded_number_of_samples() -> None:
    store = SampleStore(since_ms=0)
    store.add([(CALLS, [(tick * 2000, float(tick)) for tick in range(10 * MAX_SAMPLES)])])
    (growth,) = store.growth("calls", Window(0, 10**9))
    assert growth.amount == MAX_SAMPLES - 1


def test_further_series_are_refused_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.demo.samples.MAX_SERIES", 1)
    store = SampleStore(since_ms=0)
    store.add([(CALLS, [(1, 1.0)]), ((("__name__", "other"),), [(1, 1.0)]), (CALLS, [(2, 2.0)])])
    assert (store.series, store.samples, store.refused) == (1, 2, 1)


def test_quantiles_lie_within_their_bucket_in_proportion() -> None:
    buckets = {0.1: 50.0, 0.2: 90.0, 0.4: 100.0, math.inf: 100.0}
    assert quantile(0.5, buckets) == pytest.approx(0.1)
    assert quantile(0.25, buckets) == pytest.approx(0.05)
    assert quantile(0.7, buckets) == pytest.approx(0.15)
    assert quantile(0.95, buckets) == pytest.approx(0.3)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert quantile(0.95, {0.1: 1.0, 0.2: 1.0, math.inf: 10.0}) == 0.2


def test_a_quantile_skips_empty_buckets() -> None:
    assert 0.2 < quantile(0.5, {0.1: 0.0, 0.2: 0.0, 0.4: 10.0, math.inf: 10.0}) <= 0.4


@pytest.mark.parametrize("buckets", [{}, {0.1: 0.0, math.inf: 0.0}])
def test_there_is_no_quantile_of_nothing(buckets: dict[float, float]) -> None:
    assert math.isnan(quantile(0.5, buckets))
