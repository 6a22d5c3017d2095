"""Native histograms and exemplars as a real Prometheus understands them."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from consumer.registry import Registry, RegistrySettings
from consumer.remote_write.series import Tick
from tests.conftest import NewPrometheus
from tests.support.prometheus import Prometheus
from tests.support.sending import sending
from tests.unit.registry.test_native_histograms import FEW, MANY, frame

INTERVAL_MS = 15_000
TICKS = 8


@pytest.fixture
def server(new_prometheus: NewPrometheus) -> Prometheus:
    return new_prometheus(features=["native-histograms", "exemplar-storage"])


def first_tick_ms() -> int:
    now_ms = int(time.time() * 1000)
    return now_ms - now_ms % INTERVAL_MS - TICKS * INTERVAL_MS


def send(server: Prometheus, *ticks: Tick) -> None:
    with sending(server.remote_write_url) as sender:
        for tick in ticks:
            sender.deliver(tick.time_ms, *tick.tenants["north"])
        assert sender.recorder.counts[("sent", "here", "acme")] > 0
        assert not [key for key in sender.recorder.counts if key[0] in {"failed", "dropped"}]


def test_quantiles_counts_and_the_first_increment_come_out(server: Prometheus) -> None:
    start_ms = first_tick_ms()
    series = Registry(RegistrySettings(), started_ms=start_ms)
    seconds = np.linspace(0.01, 2.0, 400).tolist()
    ticks = []
    for number in range(1, 4):
        tick_ms = start_ms + number * INTERVAL_MS
        series.fold([frame(seconds, shape=MANY)], tick_ms - 1)
        ticks.append(series.collect(tick_ms))
    send(server, *ticks)
    now_s = ticks[-1].time_ms / 1000
    (count,) = server.query("histogram_count(latency)", now_s)
    assert count.value == 1200.0
    (gained,) = server.query("histogram_count(increase(latency[10m]))", now_s)
    assert gained.value >= 1200.0, "the first increment is lost"
    (p90,) = server.query("histogram_quantile(0.9, latency)", now_s)
    assert p90.value == pytest.approx(np.quantile(seconds, 0.9), rel=0.05)
    (total,) = server.query("histogram_sum(latency)", now_s)
    assert total.value == pytest.approx(3 * sum(seconds), rel=1e-9)


def test_fractions_reduced_resolution_and_resets_are_taken(server: Prometheus) -> None:
    start_ms = first_tick_ms()
    series = Registry(RegistrySettings(), started_ms=start_ms)
    seconds = [2.0 ** (at / 8) for at in range(12)]
    series.fold([frame(seconds[:3], shape=FEW)], start_ms)
    ticks = [series.collect(start_ms + INTERVAL_MS)]
    series.fold([frame(seconds, shape=FEW, weights=[0.25] * 12)], ticks[0].time_ms)
    ticks.append(series.collect(start_ms + 2 * INTERVAL_MS))
    send(server, *ticks)
    (count,) = server.query("histogram_count(latency)", ticks[-1].time_ms / 1000)
    assert count.value == 6.0


def test_a_series_that_ends_is_gone_at_once(server: Prometheus) -> None:
    start_ms = first_tick_ms()
    series = Registry(RegistrySettings(stale_ms=INTERVAL_MS), started_ms=start_ms)
    series.fold([frame([0.5])], start_ms)
    ticks = [series.collect(start_ms + number * INTERVAL_MS) for number in (1, 2, 3)]
    send(server, *(tick for tick in ticks if tick.tenants))
    assert server.query("histogram_count(latency)", ticks[0].time_ms / 1000)
    assert server.query("histogram_count(latency)", ticks[-1].time_ms / 1000) == []


def test_exemplars_are_found_by_their_trace(server: Prometheus) -> None:
    start_ms = first_tick_ms()
    series = Registry(RegistrySettings(), started_ms=start_ms)
    series.fold([frame([0.1])], start_ms)
    # Prometheus 2 looks at exemplars before it makes the series of a new native histogram.
    born = series.collect(start_ms + INTERVAL_MS)
    series.fold([frame([0.6, 0.75])], born.time_ms)
    send(server, born, series.collect(start_ms + 2 * INTERVAL_MS))
    fields = {"query": "latency", "start": "0", "end": str(time.time())}
    (found,) = server._get("query_exemplars", fields)
    *_, exemplar = found["exemplars"]
    assert exemplar["labels"] == {"traceID": "0000000000000002" * 2, "span_id": "0" * 15 + "2"}
    assert math.isclose(float(exemplar["value"]), 0.75)
    assert math.isclose(float(exemplar["timestamp"]), 0.002)
