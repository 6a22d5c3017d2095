"""A clock that is turned by hand."""

from __future__ import annotations


class HandClock:
    """Wall and monotonic time in one; it stands still until told otherwise."""

    def __init__(self, seconds: float = 1_000.0) -> None:
        self.seconds = seconds

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return round(self.seconds * 1_000)

    def monotonic_s(self) -> float:
        """The same in seconds."""
        return self.seconds

    def sleep_s(self, seconds: float) -> None:
        """Let ``seconds`` pass at once."""
        self.seconds += seconds
