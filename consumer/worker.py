"""The worker: one process, one loop.

Poll, decode, process, fold; at each tick flush; commit what was delivered. Everything
happens in this thread but sending (``remote_write``) and answering HTTP (``server``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Event

from consumer.clock import Clock
from consumer.flusher import Flusher
from consumer.kafka.client import IncomingRecord, KafkaError, SpanSource
from consumer.kafka.dead_letters import DeadLetters
from consumer.kafka.intake import IntakeSettings, origin_of, take_in
from consumer.kafka.offsets import Offsets
from consumer.overrides import Overrides
from consumer.pipeline import Outcome, Pipeline
from consumer.registry import Registry
from consumer.telemetry.metrics import Rebalance
from consumer.telemetry.reporter import Reporter
from consumer.telemetry.server import PartitionStatus

SINK, DEAD_LETTERS = "sink", "dead_letters"
"""Why consumption is paused."""

LOOK_AROUND_MS = 1_000
"""How often idle lanes and the lag are looked at."""

DEAD_LETTER_TIMEOUT_S = 1.0
"""At each tick while the dead-letter topic takes nothing; a broker that works needs far less."""

WAIT_S = 0.02
"""Between two looks at whether something was delivered."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """``shutdown_s`` bounds the last tick, its delivery and the commit, also on a revocation."""

    topic: str
    intake: IntakeSettings
    poll_s: float
    shutdown_s: float


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of; ``consumer/assembly.py`` puts them together."""

    pipeline: Pipeline
    registry: Registry
    flusher: Flusher
    dead_letters: DeadLetters
    overrides: Overrides
    reporter: Reporter
    clock: Clock


class Worker:
    """Reads one topic as a member of a group, and writes the metrics of its spans.

    It is the listener of its :class:`SpanSource`: the group's decisions arrive within
    ``poll``.
    """

    def __init__(self, settings: WorkerSettings, parts: Parts) -> None:
        self._settings = settings
        self._pipeline = parts.pipeline
        self._registry = parts.registry
        self._flusher = parts.flusher
        self._dead_letters = parts.dead_letters
        self._overrides = parts.overrides
        self._reporter = parts.reporter
        self._clock = parts.clock
        self._offsets = Offsets()
        self._looked_around_ms = 0
        self._newest_ms: dict[int, int] = {}
        self._paused: frozenset[str] = frozenset()
        self._is_over = False

    def run(self, source: SpanSource, stop: Event) -> None:
        """Turn until ``stop`` is set, then deliver and commit what there is."""
        self._source = source
        try:
            while not stop.is_set():
                self._turn()
        finally:
            self._is_over = True
        self._reporter.stopping()
        self._finish(self._clock.monotonic_s() + self._settings.shutdown_s)

    def _turn(self) -> None:
        self._reload()
        records = self._source.poll(self._settings.poll_s)
        if records:
            self._process(records)
        self._look_around()
        self._tick()
        self._commit()
        self._hold_back()
        self._reporter.turned()

    def _process(self, records: Sequence[IncomingRecord]) -> None:
        now_ms = self._clock.now_ms()
        intake = take_in(records, self._settings.intake, now_ms)
        for record in intake.refused:
            self._bury(record, "invalid_tenant", "the tenant is not 1 to 256 printable characters")
        outcome = self._pipeline.push(intake.raw)
        for failure in outcome.failures:
            left = replace(intake.records[failure.record], value=failure.value)
            self._bury(left, failure.reason, failure.text)
        self._fold(outcome, now_ms)
        for record in records:
            self._offsets.advance(record.partition, record.offset + 1)
            self._newest_ms[record.partition] = record.time_ms or now_ms

    def _bury(self, record: IncomingRecord, reason: str, text: str) -> None:
        origin = origin_of(record, self._settings.topic)
        self._dead_letters.add(record.value, origin, reason, text)
        self._reporter.undecodable(origin, reason, text)

    def _fold(self, outcome: Outcome, now_ms: int) -> None:
        self._registry.fold(outcome.frames, now_ms)
        self._flusher.folded(outcome.frames)
        self._reporter.processed(outcome, pending=self._pipeline.pending())

    def _look_around(self) -> None:
        """Let the time of idle lanes pass, and measure how far behind the others are.

        A lane whose records are all read stands at wall-clock time: nothing older than now
        will come, so halves whose wait is over can be given up.
        """
        now_ms = self._clock.now_ms()
        if now_ms - self._looked_around_ms < LOOK_AROUND_MS:
            return
        self._looked_around_ms = now_ms
        for partition in self._source.assigned:
            ends = self._source.end_offsets(partition)
            if ends is None:
                continue
            first, end = ends
            next_offset = self._offsets.position(partition, first)
            if next_offset >= end and not self._paused:
                self._fold(self._pipeline.advance(partition, now_ms), now_ms)
            newest_ms = self._newest_ms.get(partition)
            is_behind = next_offset < end
            position = PartitionStatus(
                partition=partition,
                next_offset=next_offset,
                committed_offset=self._offsets.committed(partition),
                lag_records=max(0, end - next_offset),
                lag_seconds=_behind_s(newest_ms, now_ms) if is_behind else 0.0,
            )
            self._reporter.lag(position)

    def _reload(self) -> None:
        """Take what tenants may do from the file, if it is another one."""
        reload = self._overrides.look(self._clock.now_ms())
        if reload is None:
            return
        self._reporter.reloaded(reload)
        if reload.outcome == "changed":
            tenants = self._overrides.tenants
            self._pipeline.apply(tenants)
            self._registry.limit(*tenants.limits())
            self._flusher.apply(tenants)
            self._flusher.route(self._overrides.routes)

    def _tick(self) -> None:
        now_ms = self._clock.now_ms()
        due = self._flusher.due(now_ms)
        if not due:
            return
        if self._flusher.blocked:
            return
        covered = self._covered()
        began_s = self._clock.monotonic_s()
        self._flusher.tick(now_ms, covered)
        self._reporter.ticked(self._clock.monotonic_s() - began_s, missed=due - 1)
        self._reporter.series(self._registry)

    def _covered(self) -> Mapping[int, int]:
        """The offsets that a tick covers: none while a dead letter before them is not safe."""
        return self._offsets.working() if self._are_letters_safe() else {}

    def _are_letters_safe(self) -> bool:
        is_safe = self._dead_letters.confirm(DEAD_LETTER_TIMEOUT_S)
        self._reporter.dead_lettered(self._dead_letters.answers())
        return is_safe

    def _commit(self) -> None:
        """Commit what delivered ticks cover; what fails is tried again at the next turn."""
        offsets = self._offsets.uncommitted(self._flusher.delivered())
        if not offsets:
            return
        try:
            self._source.commit(offsets)
        except KafkaError as error:
            self._reporter.commit_failed(error)
        else:
            self._offsets.commit(offsets)

    def _hold_back(self) -> None:
        """Pause while a sink or the dead-letter topic cannot follow; the loop goes on turning."""
        reasons = set()
        if self._flusher.blocked:
            reasons.add(SINK)
        if self._dead_letters.is_full and not self._are_letters_safe():
            reasons.add(DEAD_LETTERS)
        if reasons and not self._paused:
            self._source.pause()
        elif self._paused and not reasons:
            self._source.resume()
        self._reporter.paused(added=reasons - self._paused, ended=self._paused - reasons)
        self._paused = frozenset(reasons)

    def _finish(self, deadline_s: float) -> bool:
        """Deliver and commit everything there is; whether that worked in time."""
        self._wait(lambda: not self._flusher.blocked, deadline_s)
        if not self._flusher.blocked:
            covered = self._covered()
            self._flusher.tick_now(self._clock.now_ms(), covered)
        is_delivered = self._wait(lambda: self._flusher.is_settled, deadline_s)
        self._commit()
        if not is_delivered:
            _log.warning("not everything was delivered in time; what was not will be read again")
        return is_delivered

    def _wait(self, condition: Callable[[], bool], deadline_s: float) -> bool:
        while not condition():
            if self._clock.monotonic_s() >= deadline_s:
                return False
            self._clock.sleep_s(WAIT_S)
        return True

    def assigned(self, partitions: Sequence[int]) -> None:
        """Begin with the committed offsets (called from ``poll``)."""
        self._reporter.rebalanced("assigned", partitions, self._source.assigned)

    def revoked(self, partitions: Sequence[int]) -> None:
        """Deliver and commit before the partitions go (called from ``poll`` and ``close``)."""
        if not self._is_over:
            self._finish(self._clock.monotonic_s() + self._settings.shutdown_s)
        self._let_go("revoked", partitions)

    def lost(self, partitions: Sequence[int]) -> None:
        """Commit nothing: others own them already (called from ``poll``)."""
        self._let_go("lost", partitions)

    def _let_go(self, how: Rebalance, partitions: Sequence[int]) -> None:
        now_ms = self._clock.now_ms()
        for partition in partitions:
            self._fold(self._pipeline.forget(partition), now_ms)
            self._newest_ms.pop(partition, None)
        self._offsets.forget(partitions)
        self._flusher.forget(partitions)
        self._reporter.rebalanced(how, partitions, self._source.assigned - set(partitions))


def _behind_s(newest_ms: int | None, now_ms: int) -> float:
    """Seconds from the newest record that was read to now."""
    return 0.0 if newest_ms is None else max(0.0, (now_ms - newest_ms) / 1_000)
