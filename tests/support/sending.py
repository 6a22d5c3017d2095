"""A started sender and its observer, for tests against a receiver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

from consumer.clock import SystemClock
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.routes import Routes
from consumer.remote_write.sender import Sender
from consumer.remote_write.series import SeriesBlock, Tick
from tests.unit.remote_write.fakes import Recorder

WAIT_S = 10.0
"""Longer than anything takes, so that a failure shows as one."""


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether ``condition`` comes true within ``WAIT_S``."""
    pause = Event()
    for _ in range(int(WAIT_S / 0.01)):
        if condition():
            return True
        pause.wait(0.01)
    return False


class Sending:
    """A sender to one endpoint, ``here``, and what it tells."""

    def __init__(self, url: str, **settings: Any) -> None:
        short: dict[str, Any] = {
            "name": "here",
            "min_backoff_s": 0.002,
            "max_backoff_s": 0.02,
            "max_shards": 2,
            "timeout_s": 5.0,
            "max_pending_ticks": 20,
            "metadata_interval_s": 0.0,
        }
        self.recorder = Recorder()
        self.sender = Sender(
            Routes([Endpoint(**{"url": url} | short | settings)]),
            clock=SystemClock(),
            observer=self.recorder,
        )
        self.sender.start()

    def deliver(self, time_ms: int, *blocks: SeriesBlock, tenant: str = "acme") -> None:
        """Submit a tick and wait until it is settled."""
        assert self.sender.submit(Tick(time_ms, {tenant: blocks})).wait(WAIT_S)

    def count(self, *key: str) -> int:
        """What the observer counted: ``count("failed", "acme", "http_400")``."""
        what, tenant, *reason = key
        return self.recorder.counts[(what, "here", tenant, *reason)]


@contextmanager
def sending(url: str, **settings: Any) -> Iterator[Sending]:
    """A started sender to ``url``; closed in the end."""
    made = Sending(url, **settings)
    try:
        yield made
    finally:
        made.sender.close(0)
