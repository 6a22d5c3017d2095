"""Watches the running demo: reads the worker's progress, draws the view, knows when to end."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

from rich.console import Console
from rich.live import Live

from consumer.clock import Clock
from consumer.demo.receiver import Receiver
from consumer.demo.view import Head, live_view, summary_line
from consumer.demo.worker_process import Progress

LOOK_S = 0.5
LINE_S = 5.0
RATE_LOOKS = 10
"""Rates are over so many looks: five seconds."""


class LoadState(Protocol):
    """What it reads of :class:`consumer.demo.load.Load`."""

    failure: str

    @property
    def spans(self) -> int:
        """Spans written so far."""
        ...


class WorkerState(Protocol):
    """What it reads of :class:`consumer.demo.worker_process.WorkerProcess`."""

    @property
    def page(self) -> str:
        """The address of its page."""
        ...

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        ...

    def progress(self) -> Progress | None:
        """What it says about itself, if it answers."""
        ...


class Watch:
    """Look now and then; :meth:`head` says what was seen last."""

    def __init__(
        self,
        load: LoadState,
        worker: WorkerState,
        receiver: Receiver,
        *,
        clock: Clock,
        otlp_address: str,
    ) -> None:
        self._load = load
        self._worker = worker
        self._receiver = receiver
        self._clock = clock
        self._otlp_address = otlp_address
        self._started_s = clock.monotonic_s()
        self._looks: deque[tuple[float, int, int]] = deque([(self._started_s, 0, 0)], RATE_LOOKS)
        self._progress = Progress(0, 0)

    @property
    def uptime_s(self) -> float:
        """Time since it was made."""
        return self._clock.monotonic_s() - self._started_s

    def look(self) -> Progress:
        """Read the counters of load and worker; the worker's last known when it is silent."""
        self._progress = self._worker.progress() or self._progress
        now_s = self._clock.monotonic_s()
        self._looks.append((now_s, self._load.spans, self._progress.spans))
        return self._progress

    def head(self) -> Head:
        """Return the state of the chain at the last look."""
        (from_s, from_written, from_processed), (to_s, written, processed) = (
            self._looks[0],
            self._looks[-1],
        )
        seconds = max(to_s - from_s, 0.001)
        refused = self._receiver.refused
        troubles = (
            self._load.failure and f"Kafka: {self._load.failure}",
            f"{refused} samples or requests refused" if refused else "",
        )
        return Head(
            uptime_s=self.uptime_s,
            written_rate=(written - from_written) / seconds,
            processed_rate=(processed - from_processed) / seconds,
            written=written,
            processed=processed,
            lag_records=self._progress.lag_records,
            ticks=self._receiver.ticks,
            page=self._worker.page,
            otlp_address=self._otlp_address,
            trouble="; ".join(filter(None, troubles)),
        )

    def run(
        self, console: Console, stopped: threading.Event, duration_s: float | None, *, live: bool
    ) -> None:
        """Show the demo until it is stopped, the duration is over or the worker ends."""
        if live:
            with Live(console=console, screen=True, auto_refresh=False) as screen:
                while self._goes_on(stopped, duration_s):
                    self.look()
                    view = live_view(
                        self.head(),
                        self._receiver.reports(),
                        height=console.height,
                        width=console.width,
                    )
                    screen.update(view, refresh=True)
        else:
            next_line_s = LINE_S
            while self._goes_on(stopped, duration_s):
                self.look()
                if self.uptime_s >= next_line_s:
                    next_line_s += LINE_S
                    line = summary_line(self.head(), self._receiver.reports())
                    console.print(line, soft_wrap=True, highlight=False, markup=False)

    def _goes_on(self, stopped: threading.Event, duration_s: float | None) -> bool:
        """Wait until the next look; False when it is time to end."""
        left_s = LOOK_S if duration_s is None else min(LOOK_S, duration_s - self.uptime_s)
        if left_s <= 0 or self._worker.exit_code is not None:
            return False
        return not stopped.wait(left_s)
