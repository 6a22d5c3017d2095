"""Keeps repeating complaints out of the log."""

from __future__ import annotations

from threading import Lock

from consumer.clock import Clock

_INTERVAL_S = 60.0
_MAX_KEYS = 1000


class LogLimit:
    """Lets one line per key and minute through and counts the others.

    Remembers at most 1000 keys; the oldest goes first, and may then speak early.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._seen: dict[tuple[str, ...], tuple[float, int]] = {}

    def pass_through(self, *key: str) -> int | None:
        """None to keep quiet, else how many lines of this key were kept back so far."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            logged_s, suppressed = self._seen.get(key, (-_INTERVAL_S, 0))
            if key in self._seen and now_s - logged_s < _INTERVAL_S:
                self._seen[key] = (logged_s, suppressed + 1)
                return None
            self._seen.pop(key, None)
            if len(self._seen) >= _MAX_KEYS:
                del self._seen[next(iter(self._seen))]
            self._seen[key] = (now_s, 0)
            return suppressed
