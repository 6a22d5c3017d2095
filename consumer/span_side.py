"""The span side: Kafka records in, deltas by tick out. Owns the lanes and their clocks.

Deltas of a record count in the tick of its lane's clock (see ``lane.py``). Before a lane
enters a later tick, what waits in it expires up to each boundary on the way, so that it
counts in the tick of its own time, however late the records are read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from consumer.decode.ahead import DecodeAhead
from consumer.kafka.client import IncomingRecord
from consumer.kafka.intake import IntakeSettings, take_in, tenants_of
from consumer.pipeline import Outcome, Pipeline
from consumer.ticks.lane import Lane, Resumption, Times, tick_of
from processors.batch import Mask

Bury: TypeAlias = Callable[[IncomingRecord, str, str], None]
"""Takes a record that cannot be read, the reason, and what is wrong, for a human."""

Rows: TypeAlias = NDArray[np.intp]
"""Which records of a batch."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """What became of records, or of time, in one tick.

    ``begins``: lane -> offset of the first of the records. An outcome that ``is_replay``
    counted before.
    """

    tick_ms: int
    outcome: Outcome
    begins: Mapping[int, int] = field(default_factory=dict)
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class SpanTime:
    """How record time is read.

    ``base_ms``: between two ticks. ``wait_ms``: the longest that halves wait.
    ``max_skew_ms``: how far past the wall clock a timestamp may be. Lanes remember what
    ``window_ms`` brought.
    """

    base_ms: int
    wait_ms: int
    max_skew_ms: int
    window_ms: int = 0


@dataclass(frozen=True, slots=True)
class _Read:
    """What records say by themselves (int64[n]), and the tenants they are of, if that is known."""

    records: Sequence[IncomingRecord]
    tenants: Sequence[str | None]
    lane: Times
    offset: Times
    time_ms: Times


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records with their effective times, and those that they are shown with (int64[n]).

    ``counted`` (bool[n]): those that are read for the first time. ``rebuilt``: lanes that
    have nothing to read again any more -> their clock then.
    """

    read: _Read
    effective: Times
    shown: Times
    counted: Mask
    rebuilt: Mapping[int, int]


class SpanSide:
    """Reads records into the pipeline, in the time of their lanes.

    With ``ahead``, which the pipeline decodes with then, records can be decoded before they
    are pushed (see :meth:`expect`).
    """

    def __init__(
        self,
        pipeline: Pipeline,
        intake: IntakeSettings,
        time: SpanTime,
        bury: Bury,
        ahead: DecodeAhead | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._intake = intake
        self._bury = bury
        self._decode_ahead = ahead
        self._expected: _Read | None = None
        self._ticks: dict[int, int] = {}
        """Lane -> the tick that its clock is in, as far as the pipeline knows."""
        self.time = time
        self.lanes: dict[int, Lane] = {}
        self._late: list[int] = []

    def open(self, lane: int, resumption: Resumption | None = None) -> None:
        """Records of ``lane`` will come, from ``resumption`` on."""
        self.lanes[lane] = Lane(resumption, window_ms=self.time.window_ms)

    def forget(self, lanes: Collection[int]) -> Iterator[Outcome]:
        """These lanes are not ours any more; what waits in them is dropped."""
        for lane in lanes:
            self.lanes.pop(lane, None)
            self._ticks.pop(lane, None)
            yield self._pipeline.forget(lane)

    def push(
        self,
        records: Sequence[IncomingRecord],
        now_ms: int,
        upcoming: Sequence[IncomingRecord] = (),
    ) -> Iterator[Ticked]:
        """Process records, in order within each lane; meanwhile ``upcoming`` are decoded."""
        batch = self._timed(self._read(records, now_ms), now_ms)
        self.expect(upcoming, now_ms)
        read, counted = batch.read, batch.counted
        if not counted.all():
            yield from self._replay(batch, np.flatnonzero(~counted))
        for lane, clock_ms in batch.rebuilt.items():
            yield self._rebuilt(lane, clock_ms)
        for tick, rows in self._by_tick(batch.effective, counted):
            tick_ms = tick_of(tick * self.time.base_ms, self.time.base_ms)
            lanes, first = np.unique(read.lane[rows], return_index=True)
            for lane in lanes.tolist():
                yield from self._cross(lane, tick_ms)
            begins = dict(zip(lanes.tolist(), read.offset[rows[first]].tolist(), strict=True))
            yield Ticked(tick_ms, self._process(batch, rows), begins=begins)

    def expect(self, records: Sequence[IncomingRecord], now_ms: int) -> None:
        """``records`` are pushed next: begin to decode them, tick by tick as that will be.

        Where their lanes turn out to stand elsewhere by then, they are decoded once more.
        """
        if self._decode_ahead is None:
            return
        self._expected = None
        groups: list[list[bytes]] = []
        if records:
            read = self._expected = self._read(records, now_ms)
            values = [
                None if tenant is None else record.value
                for record, tenant in zip(records, read.tenants, strict=True)
            ]
            for _, rows in self._by_tick(*self._foreseen(read, now_ms)):
                kept = [values[row] for row in rows.tolist()]
                groups.append([value for value in kept if value is not None])
        self._decode_ahead.expect(groups)

    def pass_time(self, lane: int, time_ms: int) -> Iterator[Ticked]:
        """Nothing older than ``time_ms`` will come in ``lane``, which is read to its end."""
        state = self.lanes[lane]
        if state.rebuilds_until is not None:
            yield self._rebuilt(lane, state.rebuilt())
        state.reach(time_ms)
        yield from self.settle(lane)

    def take_late(self) -> Sequence[int]:
        """How late records were, in ms, that came after their tick; since the last call."""
        late, self._late = self._late, []
        return late

    def ahead(self, slowest_ms: int | None, ticks: int) -> frozenset[int]:
        """The lanes more than ``ticks`` ahead of ``slowest_ms``, or of our slowest if unknown."""
        clocks = {n: lane.clock_ms for n, lane in self.lanes.items() if lane.clock_ms is not None}
        if not clocks:
            return frozenset()
        slowest_ms = min(clocks.values()) if slowest_ms is None else slowest_ms
        most_ms = slowest_ms + ticks * self.time.base_ms
        return frozenset(lane for lane, clock_ms in clocks.items() if clock_ms > most_ms)

    def settle(self, lane: int) -> Iterator[Ticked]:
        """Let everything in ``lane`` expire that its clock has passed."""
        clock_ms = self.lanes[lane].clock_ms
        if clock_ms is not None and self.lanes[lane].rebuilds_until is None:
            tick_ms = tick_of(clock_ms, self.time.base_ms)
            yield from self._cross(lane, tick_ms)
            yield Ticked(tick_ms, self._pipeline.advance(lane, clock_ms))

    def _read(self, records: Sequence[IncomingRecord], now_ms: int) -> _Read:
        if self._expected is not None and self._expected.records is records:
            return self._expected
        return _Read(
            records,
            tenants_of(records, self._intake),
            np.array([record.partition for record in records], np.int64),
            np.array([record.offset for record in records], np.int64),
            np.array([record.time_ms or now_ms for record in records], np.int64),
        )

    def _by_tick(self, effective: Times, counted: Mask) -> Iterator[tuple[int, Rows]]:
        """The number of each tick, and the records that count in it."""
        ticks = effective // self.time.base_ms
        for tick in np.unique(ticks[counted]).tolist():
            yield tick, np.flatnonzero(counted & (ticks == tick))

    def _foreseen(self, read: _Read, now_ms: int) -> tuple[Times, Mask]:
        """The effective times that records will have, and those that will count now."""
        effective = np.empty(len(read.records), np.int64)
        counted = np.ones(len(read.records), np.bool_)
        for lane in np.unique(read.lane).tolist():
            state, rows = self.lanes[lane], np.flatnonzero(read.lane == lane)
            if state.rebuilds_until is not None:
                counted[rows] = False
                continue
            latest_ms = now_ms + self.time.max_skew_ms
            effective[rows] = state.foresee(read.offset[rows], read.time_ms[rows], latest_ms)
        return effective, counted

    def _timed(self, read: _Read, now_ms: int) -> _Batch:
        latest_ms = now_ms + self.time.max_skew_ms
        lanes, offsets, times_ms = read.lane, read.offset, read.time_ms
        effective = np.empty(len(read.records), np.int64)
        counted = np.ones(len(read.records), np.bool_)
        rebuilt: dict[int, int] = {}
        for lane in np.unique(lanes).tolist():
            state, rows = self.lanes[lane], np.flatnonzero(lanes == lane)
            if state.rebuilds_until is not None:
                again = rows[offsets[rows] < state.rebuilds_until]
                rows = rows[len(again) :]
                counted[again] = False
                if len(again):
                    effective[again] = state.take(offsets[again], times_ms[again], latest_ms)
                if len(rows):
                    rebuilt[lane] = state.rebuilt()
            if len(rows):
                told_ms = self._ticks.get(lane, 0) - self.time.base_ms
                late = times_ms[rows][times_ms[rows] < told_ms]
                self._late += (told_ms - late).tolist()
                effective[rows] = state.take(offsets[rows], times_ms[rows], latest_ms)
        return _Batch(read, effective, np.minimum(times_ms, effective), counted, rebuilt)

    def _replay(self, batch: _Batch, rows: Rows) -> Iterator[Ticked]:
        """Read again what counted before: the halves of edges wait once more."""
        lanes = batch.read.lane[rows]
        for lane in np.unique(lanes).tolist():
            of_lane = rows[lanes == lane]
            effective = batch.effective[of_lane]
            jumped = np.diff(effective, prepend=effective[0] - 1) > 0
            jumps = np.flatnonzero(jumped & (batch.shown[of_lane] < effective))
            for part in np.split(of_lane, jumps):
                if not len(part):
                    continue
                if batch.shown[part[0]] < batch.effective[part[0]]:
                    outcome = self._pipeline.advance(lane, int(batch.effective[part[0]]))
                    yield Ticked(0, outcome, is_replay=True)
                yield Ticked(0, self._process(batch, part, bury=_leave), is_replay=True)

    def _rebuilt(self, lane: int, clock_ms: int) -> Ticked:
        """Nothing of what counted is left to be read again; the clock stood at ``clock_ms``."""
        self._ticks[lane] = tick_of(clock_ms, self.time.base_ms)
        return Ticked(0, self._pipeline.advance(lane, clock_ms), is_replay=True)

    def _cross(self, lane: int, tick_ms: int) -> Iterator[Ticked]:
        """Let the lane enter ``tick_ms``: what expires on the way counts in its own tick."""
        base_ms = self.time.base_ms
        known = self._ticks.get(lane, tick_ms)
        self._ticks[lane] = max(known, tick_ms)
        if known >= tick_ms or not self._pipeline.pending():
            return
        first = tick_of(known - 1, base_ms)
        last = min(tick_ms - base_ms, first + self.time.wait_ms + base_ms)
        for boundary_ms in range(first, last + 1, base_ms):
            yield Ticked(boundary_ms, self._pipeline.advance(lane, boundary_ms - 1))

    def _process(self, batch: _Batch, rows: Rows, bury: Bury | None = None) -> Outcome:
        bury = self._bury if bury is None else bury
        records, tenants = batch.read.records, batch.read.tenants
        if len(rows) < len(records):
            records = [records[row] for row in rows.tolist()]
            tenants = [tenants[row] for row in rows.tolist()]
        intake = take_in(records, tenants, batch.shown[rows].tolist())
        for record in intake.refused:
            bury(record, "invalid_tenant", "the tenant is not 1 to 256 printable characters")
        outcome = self._pipeline.push(intake.raw)
        for failure in outcome.failures:
            left = replace(intake.records[failure.record], value=failure.value)
            bury(left, failure.reason, failure.text)
        return outcome


def _leave(_record: IncomingRecord, _reason: str, _text: str) -> None:
    """What cannot be read was told of when it was read for the first time."""
