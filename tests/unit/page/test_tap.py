import logging

import pytest

from consumer.page.sinks import Sinks
from consumer.page.tap import Tap
from consumer.page.traffic import Traffic
from consumer.remote_write.observer import NullObserver
from consumer.remote_write.routes import Routes
from consumer.remote_write.series import Tick
from tests.support.clock import HandClock
from tests.support.fakes import FakeSender
from tests.unit.remote_write.fakes import block


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender([])


@pytest.fixture
def sinks() -> Sinks:
    return Sinks(NullObserver(), ["here"], HandClock())


@pytest.fixture
def tap(sender: FakeSender, sinks: Sinks) -> Tap:
    return Tap(sender, Traffic(), sinks)


def test_a_fault_of_the_page_holds_up_no_tick(
    tap: Tap, sender: FakeSender, caplog: pytest.LogCaptureFixture
) -> None:
    broken = block([["web"]], name="traces_spanmetrics_calls_total")
    broken.labels[:] = 99
    with caplog.at_level(logging.ERROR):
        delivery = tap.submit(Tick(1_000, {"a": [broken]}))
    assert delivery.done
    assert len(sender.ticks) == 1
    assert "the page could not take a tick" in caplog.text


def test_what_the_worker_waits_for_is_passed_on_and_shown(
    tap: Tap, sender: FakeSender, sinks: Sinks
) -> None:
    assert tap.blocked is None
    sender.blocked = "here"
    assert tap.blocked == "here"
    assert sinks.views()[0].state == "blocking"


def test_other_routes_are_passed_on_and_shown(tap: Tap, sinks: Sinks) -> None:
    tap.apply(Routes())
    assert sinks.views() == []
