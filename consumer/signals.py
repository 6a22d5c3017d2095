"""Being told to stop, or to read something again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT, SIGTERM or SIGHUP sets. For the main thread only."""
    stopped = threading.Event()
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, lambda *_: stopped.set()) for name in names}
    try:
        yield stopped
    finally:
        for name, action in before.items():
            signal.signal(name, action)


@contextmanager
def hang_up_sets(event: threading.Event) -> Iterator[None]:
    """Let SIGHUP set ``event`` instead of what it did before. For the main thread only."""
    before = signal.signal(signal.SIGHUP, lambda *_: event.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
