from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from consumer.demo.receiver import Receiver
from consumer.demo.watch import LOOK_S, Watch
from consumer.demo.worker_process import Progress
from tests.support.clock import HandClock


@dataclass
class FakeLoad:
    spans: int = 0
    failure: str = ""


@dataclass
class FakeWorker:
    answer: Progress | None = None
    exit_code: int | None = None
    page: str = "http://here:8080/"

    def progress(self) -> Progress | None:
        return self.answer


@dataclass
class Stopped(threading.Event):
    """Turns the clock instead of waiting, and makes the load and worker advance."""

    clock: HandClock
    load: FakeLoad
    worker: FakeWorker
    dies_at: float = 1e9
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.clock.sleep_s(timeout)
        self.load.spans += int(400 * timeout)
        self.worker.answer = Progress(self.load.spans - 20, 5)
        if self.clock.seconds >= self.dies_at:
            self.worker.exit_code = 1
        return False


def make() -> tuple[Watch, Stopped]:
    clock, load, worker = HandClock(), FakeLoad(), FakeWorker()
    watch = Watch(load, worker, Receiver(clock), clock=clock, otlp_address="http://here:4318")
    return watch, Stopped(clock, load, worker)


def show(watch: Watch, stopped: Stopped, duration_s: float | None, *, live: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100, height=30, force_terminal=live)
    watch.run(console, stopped, duration_s, live=live)
    return out.getvalue()


def test_without_a_terminal_it_prints_a_line_every_five_seconds() -> None:
    watch, stopped = make()
    lines = show(watch, stopped, 21, live=False).splitlines()
    assert len(lines) == 4
    assert lines[-1].strip().startswith("20 s  wrote 400/s, processed 400/s, lag 5")


def test_on_a_terminal_it_draws_the_view_at_every_look() -> None:
    watch, stopped = make()
    drawn = show(watch, stopped, 3, live=True)
    assert "spanmill demo" in drawn
    assert "http://here:4318" in drawn
    assert len(stopped.waits) == 3 / LOOK_S


def test_it_ends_when_the_duration_is_over() -> None:
    watch, stopped = make()
    show(watch, stopped, 1.7, live=False)
    assert watch.uptime_s == pytest.approx(1.7)


def test_it_ends_when_the_worker_does() -> None:
    watch, stopped = make()
    stopped.dies_at = 1003
    show(watch, stopped, None, live=False)
    assert watch.uptime_s == 3


def test_a_silent_worker_keeps_its_last_numbers() -> None:
    watch, stopped = make()
    stopped.wait(1)
    assert watch.look() == Progress(380, 5)
    stopped.worker.answer = None
    assert watch.look() == Progress(380, 5)


def test_trouble_is_told() -> None:
    watch, stopped = make()
    stopped.load.failure = "timed out"
    assert watch.head().trouble == "Kafka: timed out"
