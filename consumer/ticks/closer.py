"""Which ticks are complete: deltas wait here until every lane has reached the end of theirs.

Pure, and a function of the order of the calls alone: whoever hears the same deltas and the
same progress closes the same ticks with the same frames. Bound: the caller holds back lanes
that are far ahead of the slowest.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from consumer.ticks.lane import tick_of
from consumer.ticks.ready import ClosedTick, ReadyTicks
from processors.delta import DeltaFrame

FRAMES_A_TURN = 32
"""Frames that are folded early in a turn of the loop: more than a batch brings as a rule.

One of 10,000 label sets that are known takes some 2.5 ms.
"""


class TickCloser:
    """Deltas by tick, the clocks of the lanes, and the ticks that are complete.

    A tick closes when the clocks of all lanes have reached it; deltas that come later count
    in the tick that closes next. ``base_ms`` is the time between two ticks.
    """

    def __init__(self, base_ms: int) -> None:
        self.base_ms = base_ms
        self.closed_ms: int | None = None
        """The tick that closed last, or :attr:`began_ms`."""
        self.began_ms: int | None = None
        """The moment since which ticks are counted."""
        self.clocks: dict[int, int] = {}
        self.lanes: int | None = None
        """How many lanes have to report; ``None`` while that is not known."""
        self.ready = ReadyTicks()
        """The ticks that are complete, the oldest first; the reader takes them out."""
        self.waiting: dict[int, list[DeltaFrame]] = {}
        """The deltas of ticks that are not complete."""

    @property
    def watermark_ms(self) -> int | None:
        """The clock of the slowest lane; ``None`` until each has one."""
        if not self.lanes or len(self.clocks) < self.lanes:
            return None
        return min(self.clocks.values())

    @property
    def missing(self) -> Sequence[int]:
        """The lanes that the next tick waits for."""
        next_ms = 0 if self.closed_ms is None else tick_of(self.closed_ms, self.base_ms)
        lanes = range(self.lanes or 0)
        return [lane for lane in lanes if self.clocks.get(lane, -1) < next_ms]

    def add(self, tick_ms: int, frames: Sequence[DeltaFrame]) -> None:
        """Deltas of ``tick_ms``."""
        if self.closed_ms is not None and tick_ms <= self.closed_ms:
            tick_ms = tick_of(self.closed_ms, self.base_ms)
        if frames:
            self.waiting.setdefault(tick_ms, []).extend(frames)

    def report(self, lane: int, clock_ms: int) -> None:
        """All deltas of ``lane`` before ``clock_ms`` were added; a clock never goes back."""
        self.clocks[lane] = max(clock_ms, self.clocks.get(lane, clock_ms))

    def close(self) -> None:
        """Move the ticks that are complete to :attr:`ready`."""
        watermark_ms = self.watermark_ms
        if watermark_ms is None:
            return
        if self.closed_ms is None:
            self.began_ms = self.closed_ms = self._first(watermark_ms)
        next_ms = tick_of(self.closed_ms, self.base_ms)
        end_ms = tick_of(watermark_ms, self.base_ms)
        for tick_ms, waiting in self._complete(next_ms, end_ms).items():
            self._pass_empty(next_ms, tick_ms)
            self._close(tick_ms, waiting)
            next_ms = tick_ms + self.base_ms
        self._pass_empty(next_ms, end_ms)

    def take_early(self, most: int) -> tuple[int, Sequence[DeltaFrame]]:
        """The tick that closes next, and the first deltas that wait for it, ``most`` at most.

        What is taken is the caller's, who folds it before what the tick closes with. Nothing
        while an earlier tick is in :attr:`ready`, or before it is known which closes next.
        """
        if self.ready or self.closed_ms is None:
            return 0, ()
        next_ms = tick_of(self.closed_ms, self.base_ms)
        taken: list[DeltaFrame] = []
        for tick_ms in sorted(tick for tick in self.waiting if tick <= next_ms):
            frames = self.waiting[tick_ms]
            left = most - len(taken)
            taken += frames[:left]
            del frames[:left]
            if not frames:
                del self.waiting[tick_ms]
        return next_ms, taken

    def close_all(self, time_ms: int) -> None:
        """Close everything that waits as of ``time_ms``, complete or not."""
        if self.closed_ms is None:
            self.began_ms = self.closed_ms = self._first(time_ms)
        self._close(max(time_ms, self.closed_ms), sorted(self.waiting))

    def forget(self, lanes: Collection[int]) -> None:
        """These lanes report no more."""
        for lane in lanes:
            self.clocks.pop(lane, None)

    def _first(self, clock_ms: int) -> int:
        """Where to begin: nothing that waits is of an earlier time."""
        return min([clock_ms, *(tick - self.base_ms for tick in self.waiting)])

    def _complete(self, next_ms: int, end_ms: int) -> dict[int, list[int]]:
        """By tick from ``next_ms`` to before ``end_ms``: what waits for it, in its order.

        After ``base_ms`` changed, what waits may be of a time that is no tick any more.
        """
        complete: dict[int, list[int]] = {}
        for waiting_ms in sorted(tick for tick in self.waiting if tick < end_ms):
            tick_ms = max(next_ms, tick_of(waiting_ms - 1, self.base_ms))
            if tick_ms < end_ms:
                complete.setdefault(tick_ms, []).append(waiting_ms)
        return complete

    def _pass_empty(self, first_ms: int, end_ms: int) -> None:
        """Close the ticks from ``first_ms`` to before ``end_ms``, for which nothing waits."""
        if first_ms < end_ms:
            self.ready.append_empty(range(first_ms, end_ms, self.base_ms))
            self.closed_ms = end_ms - self.base_ms

    def _close(self, tick_ms: int, complete: Sequence[int]) -> None:
        frames = [frame for tick in complete for frame in self.waiting.pop(tick)]
        self.ready.append(ClosedTick(tick_ms, frames))
        self.closed_ms = tick_ms
