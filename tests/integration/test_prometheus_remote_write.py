"""What a real Prometheus makes of what the sender writes: beginnings, ends, restarts, 2.0.

A Prometheus that knows 1.0 only (2.x) is written to by 2.0 as well: it has to end up the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from consumer.registry import Registry, RegistrySettings
from consumer.remote_write.request import Message
from consumer.remote_write.series import Tick
from tests.conftest import NewPrometheus
from tests.support.prometheus import Prometheus
from tests.support.sending import Sending, sending
from tests.unit.registry.frames import Row, frame

INTERVAL_MS = 15_000
TICKS = 12
FEATURES = ["native-histograms", "exemplar-storage", "created-timestamp-zero-ingestion"]
"""The last is what Prometheus needs to see where a series of 2.0 begins; 2.x ignores it."""


@pytest.fixture
def server(new_prometheus: NewPrometheus) -> Prometheus:
    return new_prometheus(features=FEATURES)


@pytest.fixture(params=[Message.V1, Message.V2], ids=["1.0", "2.0"])
def sender(request: pytest.FixtureRequest, server: Prometheus) -> Iterator[Sending]:
    settings = {"message": request.param, "metadata_interval_s": 60.0}
    with sending(server.remote_write_url, **settings) as found:
        yield found
        bad = {"failed", "dropped", "metadata failed"}
        lost = [key for key in found.recorder.counts if key[0] in bad]
        assert lost == []


class Life:
    """One series, told tick after tick; ``stage`` keeps the tests apart."""

    def __init__(self, sender: Sending, stage: str, start_ms: int, stale_ms: int = 900_000) -> None:
        self._sender = sender
        self._stage = stage
        self.registry = Registry(RegistrySettings(stale_ms=stale_ms), started_ms=start_ms)

    def tick(self, time_ms: int, *, calls: float = 0.0) -> Tick:
        if calls:
            self.registry.fold([frame([Row("north", self._stage, calls=calls)])], time_ms - 1)
        tick = self.registry.collect(time_ms)
        if tick.tenants:
            self._sender.deliver(time_ms, *tick.tenants["north"])
        return tick

    def ask(self, server: Prometheus, promql: str, time_ms: int) -> list[float]:
        text = promql.replace("$", f'calls_total{{service="{self._stage}"}}')
        return [each.value for each in server.query(text, time_ms / 1_000)]


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def first_ms() -> int:
    now_ms = int(time.time() * 1_000)
    return now_ms - now_ms % INTERVAL_MS - TICKS * INTERVAL_MS


def test_the_first_increment_counts(sender: Sending, server: Prometheus, stage: str) -> None:
    start_ms = first_ms()
    life = Life(sender, stage, start_ms)
    life.tick(start_ms + INTERVAL_MS)
    life.tick(start_ms + 2 * INTERVAL_MS, calls=7)
    last_ms = start_ms + 3 * INTERVAL_MS
    life.tick(last_ms, calls=3)
    assert life.ask(server, "$", last_ms) == [10.0]
    # Nothing is extrapolated beyond the zero sample, nor beyond the moment of the last one.
    (gained,) = life.ask(server, "increase($[5m])", last_ms)
    assert gained == pytest.approx(10.0, rel=1e-6)


def test_a_series_that_ends_is_gone_at_once_and_may_begin_again(
    sender: Sending, server: Prometheus, stage: str
) -> None:
    start_ms = first_ms()
    life = Life(sender, stage, start_ms, stale_ms=2 * INTERVAL_MS)
    times = [start_ms + number * INTERVAL_MS for number in range(1, 8)]
    for time_ms in times:
        life.tick(time_ms, calls={0: 5.0, 6: 2.0}.get(times.index(time_ms), 0.0))
    assert life.ask(server, "$", times[1]) == [5.0]
    assert life.ask(server, "$", times[2]) == []
    assert life.ask(server, "$", times[6]) == [2.0]
    assert life.ask(server, "sum(increase($[5m]))", times[6]) == pytest.approx([7.0], rel=1e-6)


def test_a_restart_counts_nothing_twice_and_loses_nothing(
    sender: Sending, server: Prometheus, stage: str
) -> None:
    start_ms = first_ms()
    times = [start_ms + number * INTERVAL_MS for number in range(1, 6)]
    before = Life(sender, stage, start_ms)
    for time_ms in times[:2]:
        before.tick(time_ms, calls=100)
    after = Life(sender, stage, times[1] + 2)
    for time_ms in times[2:]:
        after.tick(time_ms, calls=30)
    assert after.ask(server, "$", times[-1]) == [90.0]
    (gained,) = after.ask(server, "increase($[5m])", times[-1])
    assert gained == pytest.approx(290.0, rel=1e-6)
    assert after.ask(server, "resets($[5m])", times[-1]) == [1.0]


def test_what_a_prometheus_already_has_is_taken_again(
    sender: Sending, server: Prometheus, stage: str
) -> None:
    start_ms = first_ms()
    life = Life(sender, stage, start_ms)
    first = life.tick(start_ms + INTERVAL_MS, calls=1)
    life.tick(start_ms + 2 * INTERVAL_MS, calls=1)
    last = life.tick(start_ms + 3 * INTERVAL_MS, calls=1)
    assert first.tenants
    sender.deliver(last.time_ms, *last.tenants["north"])
    assert life.ask(server, "$", last.time_ms) == [3.0]
    assert life.ask(server, "count_over_time($[5m])", last.time_ms) == [4.0]
