"""The seam of ``at_least_once``: deltas go to the one registry of the same process.

A tick closes when every assigned lane has reached it; deltas of the tick that closes next are
folded as they come, so that closing it holds the loop less. An offset is committed when the tick
that covers it is delivered, with the time of the last tick as a note: the successor's series begin
after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from consumer.clock import Clock
from consumer.flusher import Flusher
from consumer.kafka.client import KafkaError
from consumer.kafka.offsets import Offsets
from consumer.kafka.source import Committed, SpanSource
from consumer.overrides import Overrides
from consumer.registry import Registry
from consumer.seam.interface import Lanes
from consumer.seam.notes import read_told, write_told
from consumer.seam.turns import WAIT_S, tell_for_a_turn
from consumer.span_side import Ticked
from consumer.telemetry.reporter import Reporter
from consumer.ticks.closer import FRAMES_A_TURN, TickCloser
from consumer.ticks.lane import Resumption, tick_of
from consumer.ticks.ready import ClosedTick
from processors.delta import DeltaFrame


@dataclass(frozen=True, slots=True)
class DirectParts:
    """What the seam is made of. ``is_safe`` says whether every dead letter is written.

    Ticks older than ``max_age_ms`` are not written; what they hold counts in the first that is.
    With ``ends_series`` the series end with the seam.
    """

    registry: Registry
    flusher: Flusher
    reporter: Reporter
    clock: Clock
    is_safe: Callable[[], bool]
    max_age_ms: int
    ends_series: bool = False


class DirectSeam:
    """Folds deltas into the registry of this process."""

    def __init__(self, parts: DirectParts, base_ms: int) -> None:
        self.registry = parts.registry
        self._flusher = parts.flusher
        self._reporter = parts.reporter
        self._clock = parts.clock
        self._is_safe = parts.is_safe
        self._max_age_ms = parts.max_age_ms
        self._ends_series = parts.ends_series
        self._closer = TickCloser(base_ms)
        self._offsets = Offsets()
        self._coverage = Coverage()
        self._has_begun = False
        self._told_ms = 0
        """The last tick of those who had our partitions before, as far as they noted it."""

    def join(self, source: SpanSource) -> None:
        """Commit through ``source``."""
        self._source = source

    @property
    def blocked(self) -> bool:
        """Whether a sink cannot follow."""
        return self._flusher.blocked is not None

    @property
    def is_due(self) -> bool:
        """Never: nothing depends on when this commits."""
        return False

    @property
    def must_begin_again(self) -> bool:
        """Never: what was not committed is told and counts."""
        return False

    @property
    def slowest_ms(self) -> int | None:
        """The clock of the slowest lane."""
        return self._closer.watermark_ms

    def apply(self, overrides: Overrides, base_ms: int) -> None:
        """Let these settings count from now on."""
        self.registry.limit(*overrides.tenants.limits())
        self._flusher.apply(overrides.tenants)
        self._flusher.route(overrides.routes)
        self._closer.base_ms = base_ms

    def open(self, committed: Mapping[int, Committed]) -> Mapping[int, Resumption]:
        """Partitions came: their lanes have to report, and begin at the committed offsets."""
        self._told_ms = max([self._told_ms, *(read_told(each.note) for each in committed.values())])
        self.registry.follow(self._told_ms)
        self._closer.lanes = (self._closer.lanes or 0) + len(committed)
        return {}

    def add(self, ticked: Ticked) -> None:
        """Keep deltas until their tick closes."""
        self._closer.add(ticked.tick_ms, ticked.outcome.frames)
        for lane, offset in ticked.begins.items():
            self._coverage.begin(lane, ticked.tick_ms, offset)

    def turn(self, lanes: Lanes) -> None:
        """Close the ticks that every lane has reached, write them, commit what is delivered."""
        self._report(lanes)
        self._closer.close()
        self._begin()
        if not tell_for_a_turn(partial(self._tell, lanes), self._clock):
            self._fold(*self._closer.take_early(FRAMES_A_TURN))
        self._commit()

    def finish(self, lanes: Lanes, deadline_s: float) -> bool:
        """Write a last tick with everything, and commit; whether that worked in time."""
        self._report(lanes)
        self._wait(lambda: not self.blocked, deadline_s)
        if not self.blocked and lanes:
            self._last_tick(lanes)
        is_delivered = self._wait(lambda: self._flusher.is_settled, deadline_s)
        self._commit(again=True)
        return is_delivered

    def forget(self, partitions: Collection[int]) -> None:
        """These partitions are not ours any more."""
        self._closer.lanes = max(0, (self._closer.lanes or 0) - len(partitions))
        self._closer.forget(partitions)
        self._coverage.forget(partitions)
        self._offsets.forget(partitions)
        self._flusher.forget(partitions)

    def begin_again(self) -> None:
        """Nothing was given up."""

    def committed(self, partition: int) -> int | None:
        """The offset that this worker committed last, if any."""
        return self._offsets.committed(partition)

    def close(self, deadline_s: float) -> None:
        """Mark the end of the series, if asked to and no sink is behind."""
        if self._ends_series and not self.blocked:
            self._flusher.end()
            self._wait(lambda: self._flusher.is_settled, deadline_s)

    def _report(self, lanes: Lanes) -> None:
        for partition, lane in lanes.items():
            if lane.clock_ms is not None:
                self._closer.report(partition, lane.clock_ms)
            if lane.next_offset is not None and lane.newest_ms is not None:
                self._offsets.advance(partition, lane.next_offset)

    def _begin(self) -> None:
        """Count from the first moment of any lane on."""
        if not self._has_begun and self._closer.began_ms is not None:
            self._has_begun = True
            self._flusher.begin(self._closer.began_ms)

    def _tell(self, lanes: Lanes) -> bool:
        """Tell the oldest tick that is complete, if there is one and the sink can follow."""
        if not self._closer.ready or self.blocked:
            return False
        self._reporter.skipped_ticks(self._closer.ready.skip_empty(self._oldest_ms()))
        self._tick(self._closer.ready.popleft(), lanes)
        return True

    def _oldest_ms(self) -> int:
        """Ticks before that are too old to be written, unless none is newer."""
        return self._clock.now_ms() - self._max_age_ms

    def _fold(self, tick_ms: int, frames: Sequence[DeltaFrame]) -> None:
        self.registry.fold(frames, tick_ms)
        self._flusher.folded(frames)

    def _tick(self, closed: ClosedTick, lanes: Lanes) -> None:
        self._fold(closed.tick_ms, closed.frames)
        is_last = not self._closer.ready
        if closed.tick_ms < self._oldest_ms() and not is_last:
            self._reporter.skipped_ticks(1)
            return
        began_s = self._clock.monotonic_s()
        covered = self._coverage.before(closed.tick_ms, lanes) if self._is_safe() else {}
        self._flusher.tick(closed.tick_ms, covered)
        self._reporter.ticked(self._clock.monotonic_s() - began_s)
        self._reporter.series([self.registry])
        self._reporter.label_values(self.registry.take_label_values())

    def _last_tick(self, lanes: Lanes) -> None:
        """As of the clock of the lane that is furthest ahead, but within the tick that is open.

        So no tick that follows is older, however far a lane is behind.
        """
        clocks = [lane.clock_ms for lane in lanes.values() if lane.clock_ms is not None]
        if not clocks:
            return
        last_ms = max(clocks)
        if self._closer.closed_ms is not None:
            last_ms = min(last_ms, tick_of(self._closer.closed_ms, self._closer.base_ms) - 1)
        self._closer.close_all(last_ms)
        self._begin()
        while self._closer.ready:
            self._closer.ready.skip_empty(last_ms)
            closed = self._closer.ready.popleft()
            self._fold(closed.tick_ms, closed.frames)
        covered = self._offsets.working() if self._is_safe() else {}
        self._flusher.tick_all(last_ms, covered)

    def _commit(self, *, again: bool = False) -> None:
        """Commit what delivered ticks cover; what fails is tried again at the next turn.

        ``again``: with the time of the last tick, also where no offset is new.
        """
        offsets = self._offsets.uncommitted(self._flusher.delivered(), again=again)
        if not offsets:
            return
        try:
            self._source.commit(offsets, write_told(max(self._told_ms, self._flusher.told_ms)))
        except KafkaError as error:
            self._reporter.commit_failed(error)
        else:
            self._offsets.commit(offsets)

    def _wait(self, condition: Callable[[], bool], deadline_s: float) -> bool:
        while not condition():
            if self._clock.monotonic_s() >= deadline_s:
                return False
            self._clock.sleep_s(WAIT_S)
        return True


class Coverage:
    """By lane, the offsets at which ticks began. Bound: ticks that are not closed."""

    def __init__(self) -> None:
        self._begins: dict[int, deque[tuple[int, int]]] = {}

    def begin(self, lane: int, tick_ms: int, offset: int) -> None:
        """The records of ``lane`` from ``offset`` on are of ``tick_ms``, until a later tick."""
        begins = self._begins.setdefault(lane, deque())
        if not begins or begins[-1][0] < tick_ms:
            begins.append((tick_ms, offset))

    def before(self, tick_ms: int, lanes: Lanes) -> Mapping[int, int]:
        """By lane, the offset before which every record is of ``tick_ms`` or an earlier tick."""
        covered: dict[int, int] = {}
        for lane, state in lanes.items():
            begins = self._begins.get(lane, deque())
            while begins and begins[0][0] <= tick_ms:
                begins.popleft()
            offset = begins[0][1] if begins else state.next_offset
            if offset is not None and state.newest_ms is not None:
                covered[lane] = offset
        return covered

    def forget(self, lanes: Collection[int]) -> None:
        """These lanes are not ours any more."""
        for lane in lanes:
            self._begins.pop(lane, None)
