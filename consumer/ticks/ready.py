"""The ticks that are complete, in their order, until each is taken out.

Those without deltas are kept as runs, so that a lane which wakes after years of silence makes
a run and not a tick for every interval in it. Bound: a run for each tick that has deltas, and
one more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from processors.delta import DeltaFrame


@dataclass(frozen=True, slots=True)
class ClosedTick:
    """A tick that is complete, and its deltas in the order in which they came.

    Those that :meth:`TickCloser.take_early` gave are left out.
    """

    tick_ms: int
    frames: Sequence[DeltaFrame]


@dataclass(slots=True)
class _Run:
    """``count`` ticks from ``first_ms`` on, ``base_ms`` apart; with ``frames`` it is one tick."""

    first_ms: int
    base_ms: int
    count: int
    frames: Sequence[DeltaFrame] = ()


class ReadyTicks:
    """A queue of ticks. Pure: what is too old is said by the caller."""

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def oldest_ms(self) -> int | None:
        """The tick that is taken out next."""
        return self._runs[0].first_ms if self._runs else None

    def append(self, closed: ClosedTick) -> None:
        """Queue a tick behind the others."""
        self._runs.append(_Run(closed.tick_ms, 0, 1, closed.frames))
        self._count += 1

    def append_empty(self, ticks_ms: range) -> None:
        """Queue ticks without deltas behind the others."""
        if ticks_ms:
            self._runs.append(_Run(ticks_ms.start, ticks_ms.step, len(ticks_ms)))
            self._count += len(ticks_ms)

    def popleft(self) -> ClosedTick:
        """Take out the oldest tick."""
        run = self._runs[0]
        closed = ClosedTick(run.first_ms, run.frames)
        self._shorten(run, 1)
        return closed

    def skip_empty(self, before_ms: int) -> int:
        """Take out the oldest ticks as long as they have no deltas and are before ``before_ms``.

        The last of all stays. Returns how many were taken out.
        """
        count = self._count
        while self._count > 1 and not self._runs[0].frames:
            run = self._runs[0]
            older = len(range(run.first_ms, before_ms, run.base_ms or 1))
            skipped = min(older, run.count, self._count - 1)
            if not skipped:
                break
            self._shorten(run, skipped)
        return count - self._count

    def _shorten(self, run: _Run, count: int) -> None:
        """Take the first ``count`` ticks off the oldest run."""
        run.first_ms += count * run.base_ms
        run.count -= count
        self._count -= count
        if not run.count:
            self._runs.popleft()
