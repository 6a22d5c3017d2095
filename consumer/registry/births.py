"""From when a newborn series counts: after all that an earlier life of it may have told.

Else a receiver refuses its zero sample as out of order, and its first count is lost to
``increase()``.
"""

from __future__ import annotations


class Births:
    """Where the zero samples of newborn series stand. Times are ms since the epoch.

    ``started_ms``: no series of this process is older; 0 where another process may have
    begun them, and the same ticks have to come out.
    """

    def __init__(self, started_ms: int) -> None:
        self._started_ms = started_ms
        self._told_ms = 0

    def follow(self, told_ms: int) -> None:
        """Earlier processes told the same series until ``told_ms``."""
        self._told_ms = max(self._told_ms, told_ms)

    def start_ms(self, time_ms: int, collected_ms: int, interval_ms: int) -> int:
        """From when a series counts that is told for the first time at ``time_ms``.

        Just after the collection before, at most an interval ago, and after the ends of
        earlier processes, as far as these lie before ``time_ms``.
        """
        ends_ms = [ms for ms in (self._started_ms, self._told_ms + 1) if ms < time_ms]
        return max(collected_ms + 1, time_ms - interval_ms, *ends_ms)
