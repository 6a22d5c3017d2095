"""How record time makes ticks, as the configuration has it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from consumer.config.tenants import SettingsByTenant
from consumer.span_side import SpanTime

LEAST_BASE_MS = 1_000
"""Between two ticks, unless a tenant's interval is shorter: intervals that hardly have a
common divisor do not make a tick of every moment."""

WINDOW_WAITS = 2
"""How many waits of halves are read again: one for halves that still wait, one more for
those that the last ones paired with."""


@dataclass(frozen=True, slots=True)
class RecordTime:
    """``idle_grace_ms``: how far a lane that is read to its end stands behind the wall clock.

    ``max_skew_ms``: see :class:`consumer.span_side.SpanTime`. ``max_ahead``: ticks by which a
    lane may be ahead of the slowest. With ``rebuilds``, what waits is read again after a move.
    """

    idle_grace_ms: int
    max_skew_ms: int
    max_ahead: int
    rebuilds: bool = False

    def of(self, tenants: SettingsByTenant) -> SpanTime:
        """The time of the span side with these settings of ``tenants``."""
        wait_ms = max(each.processing.service_graphs.wait for each in tenants.all())
        return SpanTime(
            base_ms=base_ms_of(tenants),
            wait_ms=wait_ms,
            max_skew_ms=self.max_skew_ms,
            window_ms=WINDOW_WAITS * wait_ms if self.rebuilds else 0,
        )


def base_ms_of(tenants: SettingsByTenant) -> int:
    """The time between two ticks: the greatest common divisor of the tenants' intervals."""
    intervals = {settings.interval_ms for settings in tenants.all()}
    return max(math.gcd(*intervals), min(LEAST_BASE_MS, *intervals))
