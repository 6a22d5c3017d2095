"""Notices that a shard tells no ticks, and what it waits for. Time is monotonic.

Ticks go on by the wall clock even when no span comes, so a shard that stands still is a fault
somewhere: a lane that nobody reads, or an endpoint that takes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from consumer.clock import Clock
from consumer.seam.shard import Shard

STILL_S = 60.0
"""Longer than a broker takes to restart, a session to end and a transaction to time out."""

STILL_TICKS = 5
"""Where ticks are far apart."""

_State: TypeAlias = tuple[int | None, int | None, int]


class Watch:
    """Looks at the shards of a worker, at every turn."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[int, tuple[_State, float]] = {}
        """By shard: its state, and since when it is in that."""

    def look(self, shards: Mapping[int, Shard]) -> Mapping[int, str]:
        """What the shards wait for that have told no tick for long."""
        now_s = self._clock.monotonic_s()
        stalled: dict[int, str] = {}
        since: dict[int, tuple[_State, float]] = {}
        for number, shard in shards.items():
            state = shard.closed_ms, shard.oldest_ms, shard.written_ms
            before, since_s = self._since.get(number, (state, now_s))
            since[number] = state, since_s if before == state else now_s
            still_s = max(STILL_S, STILL_TICKS * shard.base_ms / 1_000)
            if now_s - since[number][1] >= still_s:
                stalled[number] = _reason(shard)
        self._since = since
        return stalled


def _reason(shard: Shard) -> str:
    if not shard.is_complete:
        return "the delivery of the tick before"
    missing = ", ".join(map(str, shard.missing))
    return f"the progress of span partitions {missing}" if missing else "the first progress"
