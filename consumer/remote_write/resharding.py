"""How many requests to one endpoint may be under way: as many as its answers take.

Prometheus' rules: the shards that keep up are the samples that come in a second times the
seconds that one takes; a difference of less than 30 % changes nothing; a backlog is to be
caught up by 5 % a second, and nothing shrinks while there is one; after a failure nothing
changes for twice the wait, since what is measured then is the outage.

Samples come in ticks and are wanted soon, so the aim is a tick that is delivered in half
the time to the next. Pure: time is passed in, in seconds of the monotonic clock.
"""

from __future__ import annotations

from math import ceil

LOOK_S = 10.0
"""Least time between two decisions."""

START = 4
"""Shards before anything is known, within the limits."""

_TOLERANCE = 0.3
_WEIGHT = 0.2
_CATCH_UP_PER_S = 0.05
_HEADROOM = 2.0


class Average:
    """An exponentially weighted mean; the first value counts in full."""

    def __init__(self) -> None:
        self.value: float | None = None

    def add(self, value: float) -> float:
        """Take ``value`` in; the mean so far."""
        known = self.value
        self.value = value if known is None else known + _WEIGHT * (value - known)
        return self.value


class Resharding:
    """Decides on ``shards``, from ``least`` to ``most``. Not safe for threads."""

    def __init__(self, least: int, most: int) -> None:
        self._came = 0
        self._sent = 0
        self._busy_s = 0.0
        self._since_s: float | None = None
        self._looked_s = 0.0
        self._frozen_until_s = float("-inf")
        self._rate = Average()
        self._cost = Average()
        self.shards = START
        self.desired = float(START)
        self.limit(least, most)

    def limit(self, least: int, most: int) -> None:
        """Stay within other limits from now on."""
        assert 0 < least <= most
        self.least = least
        self.most = most
        self.shards = min(most, max(least, self.shards))

    def sent(self, samples: int, seconds: float) -> None:
        """A request with ``samples`` was taken ``seconds`` after it was made."""
        self._sent += samples
        self._busy_s += seconds

    def failed(self, now_s: float, wait_s: float) -> None:
        """A request has to be tried again in ``wait_s``."""
        self._frozen_until_s = max(self._frozen_until_s, now_s + 2 * wait_s)

    def came(self, samples: int, backlog: int, now_s: float) -> None:
        """A tick of ``samples`` comes while ``backlog`` samples of earlier ones wait."""
        if self._since_s is None:
            self._since_s = self._looked_s = now_s
        elapsed_s = now_s - self._since_s
        if elapsed_s >= LOOK_S:
            self._rate.add(self._came / elapsed_s)
            self._came = 0
            self._since_s = now_s
            self.look(backlog, now_s)
        self._came += samples

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for :meth:`look`."""
        return self._since_s is not None and now_s - self._looked_s >= LOOK_S

    def look(self, backlog: int, now_s: float) -> None:
        """Decide between two ticks, by what the last one shows so far."""
        assert self._since_s is not None
        self._looked_s = now_s
        if self._sent:
            self._cost.add(self._busy_s / self._sent)
            self._sent, self._busy_s = 0, 0.0
        rate, cost = self._rate.value, self._cost.value
        if rate is None:
            rate = self._came / max(LOOK_S, now_s - self._since_s)
        if cost is None:
            return
        self.desired = cost * (rate * _HEADROOM + backlog * _CATCH_UP_PER_S)
        if is_near(self.desired, self.shards) or now_s < self._frozen_until_s:
            return
        if self.desired < self.shards and backlog:
            return
        self.shards = min(self.most, max(self.least, ceil(self.desired)))


def is_near(wanted: float, present: int) -> bool:
    """Whether the difference is not worth a change."""
    return abs(wanted - present) <= _TOLERANCE * present
