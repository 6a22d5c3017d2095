"""The clock of a lane (a partition), and where to go on with it.

Time is record time, in ms since the epoch; the wall clock comes from the caller. A clock
never goes back: the effective time of a record is the greatest timestamp so far. A record's
tick is the end of the interval of ``base_ms`` that its effective time lies in,
``[tick - base_ms, tick)``.

Bounds, per lane: :data:`MARKS` marks in the window that is read again, and a step for each
time that an idle lane was left behind by the wall clock in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MARKS = 64
"""How finely it is known from where to read again."""

Times = NDArray[np.int64]


def tick_of(time_ms: int, base_ms: int) -> int:
    """The tick that ``time_ms`` counts in."""
    return time_ms // base_ms * base_ms + base_ms


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a lane goes on, as it is kept with its committed offset.

    Records before ``next_offset`` counted. Those from ``from_offset`` on are read again to
    rebuild what waits; the clock stood at ``from_ms`` with the first of them, and at
    ``clock_ms`` in the end. ``steps`` (offset -> ms) are the effective times of those records
    that are not the greatest timestamp so far.
    """

    next_offset: int
    from_offset: int
    from_ms: int
    clock_ms: int
    steps: Mapping[int, int] = field(default_factory=dict)


class Lane:
    """The clock of one partition. Records within ``window_ms`` are read again after a move.

    While :attr:`rebuilds_until` is an offset, the records before it counted already.
    """

    def __init__(self, resumption: Resumption | None = None, *, window_ms: int = 0) -> None:
        self.clock_ms = None if resumption is None else resumption.from_ms
        self.next_offset: int | None = None
        self.newest_ms: int | None = None
        """The timestamp of the last record."""
        self._resumption = resumption
        self._window_ms = window_ms
        self._plain_ms = self.clock_ms
        """The effective time of the last record."""
        self._marks: deque[tuple[int, int]] = deque()
        self._steps: deque[tuple[int, int]] = deque()

    @property
    def rebuilds_until(self) -> int | None:
        """The first offset that counts, while records before it are read again."""
        return None if self._resumption is None else self._resumption.next_offset

    def take(self, offsets: Times, times_ms: Times, latest_ms: int) -> Times:
        """The effective times of the next records, which have these timestamps (int64[n]).

        A timestamp past ``latest_ms`` counts as that: a sender whose clock is wrong shall
        not drag the lane along.
        """
        effective = self.foresee(offsets, times_ms, latest_ms)
        if self._window_ms:
            self._remember(offsets, times_ms, effective)
        self.clock_ms = int(effective[-1])
        self.next_offset = int(offsets[-1]) + 1
        self.newest_ms = int(times_ms[-1])
        return effective

    def foresee(self, offsets: Times, times_ms: Times, latest_ms: int) -> Times:
        """What :meth:`take` would return, as things are now; the lane stays as it is."""
        resumption = self._resumption
        if resumption is not None:
            latest_ms = min(latest_ms, resumption.clock_ms)
        capped = np.minimum(times_ms, latest_ms)
        if resumption is not None and resumption.steps:
            stepped = np.isin(offsets, np.fromiter(resumption.steps, np.int64))
            for row in np.flatnonzero(stepped).tolist():
                capped[row] = resumption.steps[int(offsets[row])]
        if self.clock_ms is not None:
            capped[0] = max(int(capped[0]), self.clock_ms)
        return np.maximum.accumulate(capped)

    def reach(self, time_ms: int) -> None:
        """Nothing older than ``time_ms`` will come; the clock never goes back."""
        self.clock_ms = time_ms if self.clock_ms is None else max(self.clock_ms, time_ms)

    def would_tick(self, time_ms: int, base_ms: int) -> bool:
        """Whether the clock is in an earlier tick than ``time_ms``, or cannot be told."""
        return self.clock_ms is None or time_ms // base_ms > self.clock_ms // base_ms

    def rebuilt(self) -> int:
        """All that counted has been read again; returns the clock as it was in the end."""
        assert self._resumption is not None
        resumption, self._resumption = self._resumption, None
        self.reach(resumption.clock_ms)
        self.next_offset = max(resumption.next_offset, self.next_offset or 0)
        return resumption.clock_ms

    def resumption(self) -> Resumption | None:
        """Where another would go on from here; ``None`` before anything is known."""
        if self.clock_ms is None or self.next_offset is None:
            return None
        self._forget(self.clock_ms - self._window_ms)
        if not self._marks or self._plain_ms is None:
            return Resumption(self.next_offset, self.next_offset, self.clock_ms, self.clock_ms)
        from_offset, from_ms = self._marks[0]
        return Resumption(self.next_offset, from_offset, from_ms, self.clock_ms, dict(self._steps))

    def _remember(self, offsets: Times, times_ms: Times, effective: Times) -> None:
        """Note what a replay has to know of these records."""
        before = effective[0] if self._plain_ms is None else self._plain_ms
        expected = np.maximum(times_ms, np.append(before, effective[:-1]))
        for row in np.flatnonzero(expected != effective).tolist():
            self._steps.append((int(offsets[row]), int(effective[row])))
        self._plain_ms = int(effective[-1])
        slots = effective // max(1, self._window_ms // MARKS)
        last = slots[0] - 1
        if self._marks:
            last = self._marks[-1][1] // max(1, self._window_ms // MARKS)
        begins = np.flatnonzero(np.diff(slots, prepend=last))
        marks = zip(offsets[begins].tolist(), effective[begins].tolist(), strict=True)
        self._marks.extend(marks)
        self._forget(self._plain_ms - self._window_ms)

    def _forget(self, before_ms: int) -> None:
        """Drop the marks that only records older than ``before_ms`` need, and their steps."""
        while len(self._marks) > 1 and self._marks[1][1] <= before_ms:
            self._marks.popleft()
        if self._plain_ms is not None and self._plain_ms < before_ms:
            self._marks.clear()
            self._steps.clear()
        while self._steps and self._marks and self._steps[0][0] < self._marks[0][0]:
            self._steps.popleft()
