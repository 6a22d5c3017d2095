"""What the worker tells about itself: its metrics, its status, its log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from consumer.clock import Clock
from consumer.kafka.client import Fate
from consumer.kafka.dead_letters import Origin
from consumer.overrides import Reload
from consumer.pipeline import Outcome
from consumer.registry import LabelValues, Registry, Usage
from consumer.telemetry.logs import LimitedLog
from consumer.telemetry.metrics import Metrics, Rebalance
from consumer.telemetry.server import KEPT_PAUSES, PartitionStatus, Pause, Status

_UNPAIRED = "unpaired_"

_log = logging.getLogger(__name__)


class Reporter:
    """The loop says what happened; this tells it to operators."""

    def __init__(self, metrics: Metrics, status: Status, clock: Clock) -> None:
        self._metrics = metrics
        self._status = status
        self._clock = clock
        self._limited = LimitedLog(_log, clock)
        self._partitions: dict[int, PartitionStatus] = {}

    def turned(self) -> None:
        """The loop has turned."""
        self._status.turned_s = self._clock.monotonic_s()
        self._metrics.partitions.turned(self._clock.now_ms() / 1_000)

    def stopping(self) -> None:
        """The loop turns no more."""
        self._status.phase = "stopping"
        _log.info("stopping: deliver and commit what there is")

    def undecodable(self, origin: Origin, reason: str, text: str) -> None:
        """A record was left out."""
        self._metrics.intake.undecodable(reason)
        self._limited.warning(
            reason,
            f"record left out: {text}",
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            reason=reason,
        )

    def dead_lettered(self, answers: Mapping[Fate, int]) -> None:
        """What became of records on their way to the dead-letter topic."""
        failed = answers.get(Fate.FAILED, 0) + answers.get(Fate.REFUSED, 0)
        self._metrics.intake.dead_lettered(written=answers.get(Fate.WRITTEN, 0), failed=failed)

    def processed(self, outcome: Outcome, *, pending: int) -> None:
        """Records went through the pipeline, or time did."""
        for tenant, records in outcome.records.items():
            self._metrics.intake.received(
                tenant,
                records=records,
                spans=outcome.spans[tenant],
                size_bytes=outcome.bytes[tenant],
            )
        for processor, spans in outcome.used.items():
            self._metrics.processing.used(processor, spans)
        self._metrics.processing.sanitized(outcome.sanitized)
        expired: Counter[str] = Counter()
        for (tenant, processor, reason), count in outcome.discarded.items():
            self._metrics.processing.discarded(processor, {(tenant, reason): count})
            if reason.startswith(_UNPAIRED):
                expired[reason.removeprefix(_UNPAIRED)] += count
        self._metrics.processing.edges(paired=outcome.edges, expired=expired, pending=pending)

    def reloaded(self, reload: Reload) -> None:
        """The file of overrides was looked at."""
        self._metrics.overrides.reloaded(reload.outcome, self._clock.now_ms() / 1_000)
        if reload.outcome == "changed":
            _log.info("overrides changed")
        if reload.problems:
            text = "overrides are wrong, the last good ones go on: " + "; ".join(reload.problems)
            self._limited.warning("overrides", text)

    def lag(self, position: PartitionStatus) -> None:
        """How far one partition is."""
        self._metrics.partitions.lags(
            position.partition, records=position.lag_records, seconds=position.lag_seconds
        )
        self._partitions[position.partition] = position
        self._show_partitions()

    def ticked(self, seconds: float) -> None:
        """The series that were due were collected in ``seconds``."""
        self._metrics.ticks.ticked(seconds)

    def skipped_ticks(self, count: int) -> None:
        """So many ticks were too old to be written."""
        self._metrics.ticks.skipped(count)

    def committed(self, seconds: float, size_bytes: int) -> None:
        """A transaction of deltas and offsets took so long."""
        self._metrics.exactly_once.committed(seconds, size_bytes)

    def aborted(self) -> None:
        """A transaction was given up; what led to it is read again."""
        self._metrics.exactly_once.aborted()

    def snapshot(self, seconds: float, size_bytes: int) -> None:
        """The state of a shard was written."""
        self._metrics.exactly_once.snapshot(seconds, size_bytes)

    def shards(self, owned: int) -> None:
        """So many shards of the series are this worker's."""
        self._metrics.exactly_once.shards(owned)

    def stalled(self, waits: Mapping[int, str]) -> None:
        """These shards have told no tick for long: what each waits for."""
        self._metrics.exactly_once.stalled(len(waits))
        for reason in sorted(set(waits.values())):
            shards = [number for number in sorted(waits) if waits[number] == reason]
            self._limited.warning("stalled", f"no tick for long: waits for {reason}", shards=shards)

    def late(self, late_ms: Sequence[int]) -> None:
        """Records came so long after their tick."""
        self._metrics.partitions.late(late_ms)

    def held(self, partitions: int) -> None:
        """So many partitions wait for the slowest."""
        self._metrics.partitions.held(partitions)

    def series(self, registries: Collection[Registry]) -> None:
        """How many series there are in all ``registries``, and what came and went lately."""
        used: dict[str, Usage] = {}
        for registry in registries:
            self._metrics.series.changed(registry.changes())
            for tenant, usage in registry.usage().items():
                used[tenant] = used[tenant] + usage if tenant in used else usage
        for tenant, usage in used.items():
            self._metrics.series.uses(tenant, usage)

    def label_values(self, values: LabelValues) -> None:
        """How many values limited labels have, and what was replaced lately."""
        self._metrics.series.label_values(values)

    def read_again(self, records: int) -> None:
        """So many records were read once more, to rebuild what waits."""
        self._metrics.partitions.read_again(records)

    def commit_failed(self, error: Exception) -> None:
        """The group did not take the offsets; they are committed later."""
        self._metrics.partitions.commit_failed()
        self._limited.warning("commit", f"commit failed: {error}")

    def paused(self, *, added: Collection[str], ended: Collection[str]) -> None:
        """Consumption pauses for what is in ``added``, and no more for what is in ``ended``."""
        for reason in added:
            self._metrics.partitions.paused(reason)
            _log.warning("consumption paused", extra={"reason": reason})
        for reason in ended:
            self._metrics.partitions.resumed(reason)
            _log.info("consumption resumed", extra={"reason": reason})
        if added or ended:
            left = (set(self._status.paused) | set(added)) - set(ended)
            self._status.paused = tuple(sorted(left))
            self._note_pauses(added, ended)

    def rebalanced(self, kind: Rebalance, moved: Sequence[int], assigned: Collection[int]) -> None:
        """The group moved partitions; ``assigned`` are ours now."""
        _log.info("partitions %s", kind, extra={"partitions": sorted(moved)})
        self._metrics.partitions.rebalanced(kind, len(assigned))
        if kind != "assigned":
            self._metrics.partitions.forget(moved)
            for partition in moved:
                self._partitions.pop(partition, None)
            self._show_partitions()
        if self._status.phase != "stopping":
            self._status.phase = "assigned" if assigned else "standing_by"

    def _note_pauses(self, added: Collection[str], ended: Collection[str]) -> None:
        now_ms = self._clock.now_ms()
        pauses = [
            replace(pause, until_ms=now_ms)
            if pause.until_ms is None and pause.reason in ended
            else pause
            for pause in self._status.pauses
        ]
        pauses += [Pause(reason, now_ms) for reason in sorted(added)]
        self._status.pauses = tuple(pauses[-KEPT_PAUSES:])

    def _show_partitions(self) -> None:
        self._status.partitions = tuple(self._partitions[p] for p in sorted(self._partitions))
