"""The worker: one process, one loop.

Poll, decode, process, hand the deltas to the seam; let the time of idle lanes pass; close
ticks, write them, commit. Everything happens in this thread but sending (``remote_write``),
answering HTTP (``server``) and, while the worker lags, decoding: it reads one poll ahead then,
and what it read last is decoded while what it read before is processed. Nothing but memory
knows of records that wait for their turn so, a poll of them at most.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event

from consumer.clock import Clock
from consumer.decode.ahead import DecodeAhead
from consumer.kafka.client import IncomingRecord
from consumer.kafka.dead_letters import DeadLetters
from consumer.kafka.intake import IntakeSettings, origin_of
from consumer.kafka.source import Committed, SpanSource
from consumer.overrides import Overrides
from consumer.pipeline import Pipeline
from consumer.seam.interface import Seam
from consumer.seam.letters import are_safe
from consumer.span_side import SpanSide, Ticked
from consumer.telemetry.metrics import Rebalance
from consumer.telemetry.reporter import Reporter
from consumer.telemetry.server import PartitionStatus
from consumer.ticks.record_time import RecordTime

SINK, DEAD_LETTERS = "sink", "dead_letters"
"""Why consumption is paused."""

LOOK_AROUND_MS = 1_000
"""How often the lag is looked at."""

AHEAD_POLL_S = 0.05
"""The longest that records wait for others to be read while they are decoded."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """``shutdown_s`` bounds what is made durable at the end, also on a revocation."""

    topic: str
    intake: IntakeSettings
    time: RecordTime
    poll_s: float
    shutdown_s: float


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of; ``consumer/assembly.py`` puts them together."""

    pipeline: Pipeline
    seam: Seam
    dead_letters: DeadLetters
    overrides: Overrides
    reporter: Reporter
    clock: Clock
    ahead: DecodeAhead | None = None
    """What the pipeline decodes with, if it can do that ahead."""


class Worker:
    """Reads one topic as a member of a group, and writes the metrics of its spans.

    It is the listener of its :class:`SpanSource`: the group's decisions arrive within
    ``poll``.
    """

    def __init__(self, settings: WorkerSettings, parts: Parts) -> None:
        self._settings = settings
        self._pipeline = parts.pipeline
        self._seam = parts.seam
        self._dead_letters = parts.dead_letters
        self._overrides = parts.overrides
        self._reporter = parts.reporter
        self._clock = parts.clock
        time = settings.time.of(parts.overrides.tenants)
        self._spans = SpanSide(parts.pipeline, settings.intake, time, self._bury, parts.ahead)
        self._decode_ahead = parts.ahead
        self._waiting: Sequence[IncomingRecord] = ()
        """Read, and being decoded, but not yet processed."""
        self._looked_around_ms = 0
        self._paused: frozenset[str] = frozenset()
        self._ahead: frozenset[int] = frozenset()
        self._is_over = False

    def run(self, source: SpanSource, stop: Event) -> None:
        """Turn until ``stop`` is set, then make durable what there is."""
        self._source = source
        self._seam.join(source)
        try:
            while not stop.is_set():
                self._turn()
        finally:
            self._is_over = True
        self._reporter.stopping()
        self._finish()

    def _turn(self) -> None:
        self._reload()
        most_s = AHEAD_POLL_S if self._waiting else math.inf
        records = self._source.poll(min(self._settings.poll_s, most_s))
        if self._seam.must_begin_again:
            self._begin_again()
            return
        self._process(records)
        self._look_around()
        if self._seam.is_due:
            self._settle()
        self._seam.turn(self._spans.lanes)
        self._hold_back()
        self._reporter.turned()

    def _begin_again(self) -> None:
        """Read on from what is committed: nothing since then counts."""
        self._waiting = ()
        for outcome in self._spans.forget(list(self._spans.lanes)):
            self._reporter.processed(outcome, pending=self._pipeline.pending())
        self._note_ahead(frozenset())
        self._seam.begin_again()
        self._source.begin_again()

    def _settle(self) -> None:
        for lane in self._spans.lanes:
            self._take(self._spans.settle(lane))

    def _process(self, records: Sequence[IncomingRecord]) -> None:
        """Process what waits, then ``records``, unless they had better wait in their turn."""
        waiting, self._waiting = self._waiting, ()
        now_ms = self._clock.now_ms()
        if waiting:
            self._push(waiting, now_ms, records)
        if self._is_worth_waiting(records):
            self._waiting = records
            if not waiting:
                self._spans.expect(records, now_ms)
        elif records:
            self._push(records, now_ms)

    def _push(
        self,
        records: Sequence[IncomingRecord],
        now_ms: int,
        upcoming: Sequence[IncomingRecord] = (),
    ) -> None:
        self._take(self._spans.push(records, now_ms, upcoming))
        self._reporter.late(self._spans.take_late())

    def _is_worth_waiting(self, records: Sequence[IncomingRecord]) -> bool:
        """Whether as many records as these can be read while these are decoded."""
        ahead = self._decode_ahead
        return (
            ahead is not None
            and sum(len(record.value) for record in records) >= ahead.least_bytes
            and self._source.unread() >= len(records)
        )

    def _drop_waiting(self, partitions: Collection[int]) -> None:
        """These partitions are not ours any more, or begin elsewhere."""
        self._waiting = [each for each in self._waiting if each.partition not in partitions]

    def _take(self, made: Iterable[Ticked]) -> None:
        for ticked in made:
            if ticked.is_replay:
                self._reporter.read_again(ticked.outcome.records.total())
                continue
            self._seam.add(ticked)
            self._reporter.processed(ticked.outcome, pending=self._pipeline.pending())

    def _bury(self, record: IncomingRecord, reason: str, text: str) -> None:
        origin = origin_of(record, self._settings.topic)
        self._dead_letters.add(record.value, origin, reason, text)
        self._reporter.undecodable(origin, reason, text)

    def _look_around(self, *, at_once: bool = False) -> None:
        """Let the time of idle lanes pass, and measure how far behind the others are.

        A lane whose records are all read stands at wall-clock time, but for a grace:
        nothing older will come, so ticks can close and halves can be given up.
        """
        now_ms = self._clock.now_ms()
        idle_ms = now_ms - self._settings.time.idle_grace_ms
        idle = [] if self._paused else [p for p in self._ours() if self._is_read_to_end(p)]
        base_ms = self._spans.time.base_ms
        is_worth = at_once or any(self._spans.lanes[p].would_tick(idle_ms, base_ms) for p in idle)
        # The brokers are asked since what the last fetch told of the ends may be old.
        if idle and is_worth and self._source.ask_ends():
            for partition in idle:
                if self._is_read_to_end(partition):
                    self._take(self._spans.pass_time(partition, idle_ms))
        if at_once or now_ms - self._looked_around_ms >= LOOK_AROUND_MS:
            self._looked_around_ms = now_ms
            for partition in self._ours():
                self._measure(partition)

    def _ours(self) -> list[int]:
        return sorted(self._source.assigned & self._spans.lanes.keys())

    def _is_read_to_end(self, partition: int) -> bool:
        """Whether every record that is known of was processed."""
        ends, lane = self._source.end_offsets(partition), self._spans.lanes[partition]
        if ends is None:
            return False
        if lane.next_offset is None:
            lane.next_offset = ends[0]
        return lane.next_offset >= ends[1]

    def _measure(self, partition: int) -> None:
        lane, ends = self._spans.lanes[partition], self._source.end_offsets(partition)
        if ends is None or lane.next_offset is None:
            return
        behind_ms = 0 if lane.newest_ms is None else max(0, self._clock.now_ms() - lane.newest_ms)
        position = PartitionStatus(
            partition=partition,
            next_offset=lane.next_offset,
            committed_offset=self._seam.committed(partition),
            lag_records=max(0, ends[1] - lane.next_offset),
            lag_seconds=behind_ms / 1_000 if lane.next_offset < ends[1] else 0.0,
        )
        self._reporter.lag(position)

    def _reload(self) -> None:
        """Take what tenants may do from the file, if it is another one."""
        reload = self._overrides.look(self._clock.now_ms())
        if reload is None:
            return
        self._reporter.reloaded(reload)
        if reload.outcome == "changed":
            self._pipeline.apply(self._overrides.tenants)
            self._spans.time = self._settings.time.of(self._overrides.tenants)
            self._seam.apply(self._overrides, self._spans.time.base_ms)

    def _hold_back(self) -> None:
        """Pause while somebody cannot follow, and lanes that are far ahead of the slowest."""
        reasons = set()
        if self._seam.blocked:
            reasons.add(SINK)
        if self._dead_letters.is_full and not are_safe(self._dead_letters, self._reporter):
            reasons.add(DEAD_LETTERS)
        if reasons and not self._paused:
            self._source.pause()
        elif self._paused and not reasons:
            self._source.resume()
        self._reporter.paused(added=reasons - self._paused, ended=self._paused - reasons)
        self._paused = frozenset(reasons)
        ahead = self._spans.ahead(self._seam.slowest_ms, self._settings.time.max_ahead)
        if ahead != self._ahead:
            self._source.hold(ahead)
            self._note_ahead(ahead)

    def _note_ahead(self, ahead: frozenset[int]) -> None:
        self._ahead = ahead
        self._reporter.held(len(ahead))

    def _finish(self) -> None:
        """Make durable everything there is, within the time that is given."""
        self._look_around(at_once=True)
        self._settle()
        deadline_s = self._clock.monotonic_s() + self._settings.shutdown_s
        if not self._seam.finish(self._spans.lanes, deadline_s):
            _log.warning("not everything was delivered in time; what was not will be read again")

    def assigned(self, committed: Mapping[int, Committed]) -> Mapping[int, int]:
        """Begin with the committed offsets (called from ``poll``)."""
        self._drop_waiting(committed)
        resumptions = self._seam.open(committed)
        for partition in committed:
            self._spans.open(partition, resumptions.get(partition))
        self._reporter.rebalanced("assigned", list(committed), self._source.assigned)
        return {partition: each.from_offset for partition, each in resumptions.items()}

    def revoked(self, partitions: Sequence[int]) -> None:
        """Make all durable before the partitions go (called from ``poll`` and ``close``)."""
        if not self._is_over:
            self._finish()
        self._let_go("revoked", partitions)

    def lost(self, partitions: Sequence[int]) -> None:
        """Commit nothing: others own them already (called from ``poll``)."""
        self._let_go("lost", partitions)

    def _let_go(self, how: Rebalance, partitions: Sequence[int]) -> None:
        self._drop_waiting(partitions)
        for outcome in self._spans.forget(partitions):
            self._reporter.processed(outcome, pending=self._pipeline.pending())
        self._seam.forget(partitions)
        self._note_ahead(self._ahead - set(partitions))
        self._reporter.rebalanced(how, partitions, self._source.assigned - set(partitions))
