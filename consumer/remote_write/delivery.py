"""The promise that a tick was dealt with."""

from __future__ import annotations

from threading import Event, Lock


class Delivery:
    """Done once each part (an endpoint's share of a tenant) is settled.

    Settled means delivered, rejected for good, or given up with its samples counted as
    dropped. Parts that a shutdown left behind are never settled.
    """

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self._lock = Lock()
        self._event = Event()
        if not parts:
            self._event.set()

    @property
    def done(self) -> bool:
        """Whether nothing of the tick is left to do."""
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until done, but no longer than ``timeout_s``; returns ``done``."""
        return self._event.wait(timeout_s)

    def divide_part(self, pieces: int) -> None:
        """One part, not settled yet, is now ``pieces`` parts."""
        assert pieces > 0
        with self._lock:
            self._parts += pieces - 1

    def settle_part(self) -> None:
        """One part less. Called once for each part."""
        with self._lock:
            self._parts -= 1
            if not self._parts:
                self._event.set()
