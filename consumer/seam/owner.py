"""The owner side: the shards of this worker, from the repartition topic to the sender.

Bound: while an endpoint is behind, the topic is not read. A snapshot is written every
``snapshot_ms``, one shard at a time, and when a shard goes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from consumer.clock import Clock
from consumer.config.tenants import SettingsByTenant
from consumer.flusher import TickSink
from consumer.kafka.client import StoppedError
from consumer.kafka.compacted import CompactedReader
from consumer.kafka.source import Committed, SpanSource
from consumer.kafka.transactions import AbortedError, GroupOffsets, PlacedRecord, Transactions
from consumer.overrides import Overrides
from consumer.registry import Registry
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.series import Tick
from consumer.seam.columns import FormatError
from consumer.seam.joining import Joiner
from consumer.seam.shard import Shard
from consumer.seam.shares import shares_of
from consumer.seam.snapshots import Kept, entries_of, kept_of, written_entry
from consumer.seam.turns import TICKS_A_TURN, WAIT_S, tell_for_a_turn
from consumer.seam.watch import Watch
from consumer.telemetry.reporter import Reporter

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OwnerSettings:
    """Ticks older than ``max_age_ms`` are not told."""

    deltas_topic: str
    snapshot_topic: str
    shards: int
    snapshot_ms: int
    max_age_ms: int


@dataclass(frozen=True, slots=True)
class OwnerParts:
    """``open_registry`` makes the registry of a shard."""

    sink: TickSink
    transactions: Transactions
    snapshots: CompactedReader
    reporter: Reporter
    clock: Clock
    open_registry: Callable[[int], Registry]


@dataclass(slots=True)
class _Owned:
    """A shard, and how far others could go on from it."""

    shard: Shard
    snapshot_due_ms: int
    chunks: int
    covered: int
    """The offset of the last snapshot, or where reading began."""
    told_ms: int = 0
    """The last tick with samples that was given to the sender."""
    recorded_ms: int = 0
    """The last tick that successors know to be delivered."""

    @property
    def is_recorded(self) -> bool:
        """Whether successors know of everything that was told.

        Only then is the next tick told. So no more than the last one is ever told twice,
        which receivers take: they refuse what is older than what they have.
        """
        return self.recorded_ms >= self.told_ms

    def can_be_kept(self) -> bool:
        """Whether a snapshot holds nothing that a successor would have to tell again."""
        return self.shard.is_complete and self.shard.written_ms >= self.told_ms


@dataclass(slots=True)
class _UnderWay:
    tick_ms: int
    deliveries: Sequence[Delivery]
    shards: Sequence[int]


class Owner:
    """The shards that the group gave this worker; the listener of the repartition topic."""

    def __init__(
        self, settings: OwnerSettings, parts: OwnerParts, tenants: SettingsByTenant, base_ms: int
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._tenants = tenants
        self._base_ms = base_ms
        self._shards: dict[int, _Owned] = {}
        self._under_way: deque[_UnderWay] = deque()
        self._joiner = Joiner()
        self._is_paused = False
        self._watch = Watch(parts.clock)

    def join(self, source: SpanSource) -> None:
        """The deltas come from ``source``."""
        self._source = source

    def apply(self, overrides: Overrides, base_ms: int) -> None:
        """Let these settings count from now on."""
        tenants = overrides.tenants
        self._tenants, self._base_ms = tenants, base_ms
        self._parts.sink.apply(overrides.routes)
        for owned in self._shards.values():
            owned.shard.apply(tenants, base_ms)
            owned.shard.registry.limit(*shares_of(tenants, self._settings.shards))

    def registries(self) -> Mapping[int, Registry]:
        """Those of the shards that are ours."""
        return {number: owned.shard.registry for number, owned in self._shards.items()}

    @property
    def slowest_ms(self) -> int | None:
        """The clock of the slowest lane of all workers, as far as the log tells.

        ``None`` while the log is not read.
        """
        if self._is_paused:
            return None
        clocks = [owned.shard.watermark_ms for owned in self._shards.values()]
        known = [clock for clock in clocks if clock is not None]
        return max(known, default=None)

    def turn(self) -> None:
        """Read what there is, tell the ticks that are complete."""
        self._read()
        if not tell_for_a_turn(self._tell, self._parts.clock):
            for owned in self._shards.values():
                owned.shard.fold_early()
        self._settle()
        self._record()
        self._hold_back()
        self._take_due_snapshot()
        shards = {number: owned.shard for number, owned in self._shards.items()}
        self._parts.reporter.stalled(self._watch.look(shards))

    def finish(self, deadline_s: float) -> None:
        """Tell and deliver what is complete, within the time that is given."""
        while self._tell():
            pass
        self._settle()
        while self._under_way and self._parts.clock.monotonic_s() < deadline_s:
            self._parts.clock.sleep_s(WAIT_S)
            self._settle()
        self._record()

    def close(self) -> None:
        """Leave the group: shards that go write their snapshots."""
        self._source.close()

    def assigned(self, committed: Mapping[int, Committed]) -> Mapping[int, int]:
        """Go on with these shards from their snapshots (called from ``poll``)."""
        starts = {number: self._open(number) for number in committed}
        _log.info("shards assigned", extra={"shards": sorted(starts)})
        self._parts.reporter.shards(len(self._shards))
        return starts

    def revoked(self, partitions: Sequence[int]) -> None:
        """Leave snapshots to those who come next (called from ``poll`` and ``close``)."""
        self._settle()
        for number in partitions:
            if number in self._shards:
                self._snapshot(number)
        self.lost(partitions)

    def lost(self, partitions: Sequence[int]) -> None:
        """Drop the shards: others own them already (called from ``poll``)."""
        for number in partitions:
            self._shards.pop(number, None)
            self._joiner.forget(number)
        _log.info("shards gone", extra={"shards": sorted(partitions)})
        self._parts.reporter.shards(len(self._shards))

    def _open(self, number: int) -> int:
        kept = self._kept(number)
        registry = self._parts.open_registry(number)
        registry.limit(*shares_of(self._tenants, self._settings.shards))
        shard = Shard(registry, self._tenants, self._base_ms)
        shard.written_ms = kept.written_ms
        low = self._parts.snapshots.low_offset(self._settings.deltas_topic, number)
        place = f"{self._settings.snapshot_topic}/{number}"
        try:
            if kept.snapshot is not None:
                shard.load(kept.snapshot)
        except FormatError as error:
            raise StoppedError(f"{place}: {error}") from error
        start = 0 if shard.next_offset is None else shard.next_offset
        if start < low:
            text = f"{place} tells of {self._settings.deltas_topic}/{number} up to offset {start},"
            more = "to count from zero, delete both topics while no worker runs"
            raise StoppedError(f"{text} which begins at {low}: deltas between are gone; {more}")
        shard.next_offset = start
        due_ms = self._parts.clock.now_ms()
        due_ms += self._settings.snapshot_ms * (number + 2) // (number + 1)
        owned = _Owned(shard, due_ms, kept.chunks, start, recorded_ms=kept.written_ms)
        self._shards[number] = owned
        return start

    def _kept(self, number: int) -> Kept:
        try:
            return kept_of(self._parts.snapshots.read(number))
        except FormatError as error:
            place = f"{self._settings.snapshot_topic}/{number}"
            if self._parts.snapshots.low_offset(self._settings.deltas_topic, number) == 0:
                _log.warning(
                    "%s: %s; all deltas are still there, they are read again", place, error
                )
                return Kept(None, 0, 0)
            raise StoppedError(f"{place}: {error}") from error

    def _read(self) -> None:
        for record in self._source.poll(0.0):
            owned = self._shards.get(record.partition)
            if owned is None:
                continue
            try:
                owned.shard.take(record.key, record.value, record.offset)
            except FormatError as error:
                place = f"{self._settings.deltas_topic}/{record.partition}/{record.offset}"
                raise StoppedError(f"{place}: {error}") from error

    def _tell(self) -> bool:
        """Tell the oldest tick that any shard has complete, of all shards that have it.

        Nothing while a sink cannot follow.
        """
        if self._parts.sink.blocked is not None:
            return False
        clock = self._parts.clock
        not_before_ms = clock.now_ms() - self._settings.max_age_ms
        able = {n: owned for n, owned in self._shards.items() if owned.is_recorded}
        for owned in able.values():
            owned.shard.skip_empty(not_before_ms)
        oldest = [o.shard.oldest_ms for o in able.values() if o.shard.oldest_ms is not None]
        if not oldest:
            return False
        tick_ms = min(oldest)
        began_s = clock.monotonic_s()
        told: dict[int, Sequence[Tick]] = {}
        for number, owned in able.items():
            if owned.shard.oldest_ms == tick_ms:
                of_shard = owned.shard.tell(not_before_ms)
                if of_shard is not None and of_shard.ticks:
                    owned.told_ms = tick_ms
                    told[number] = of_shard.ticks
        deliveries = [self._parts.sink.submit(tick) for tick in self._joiner.join(told)]
        self._under_way.append(_UnderWay(tick_ms, deliveries, list(told)))
        self._parts.reporter.ticked(clock.monotonic_s() - began_s)
        self._parts.reporter.series(self.registries().values())
        return True

    def _settle(self) -> None:
        """Note what was delivered."""
        left: deque[_UnderWay] = deque()
        for each in self._under_way:
            if not all(delivery.done for delivery in each.deliveries):
                left.append(each)
                continue
            for number in each.shards:
                if number in self._shards:
                    shard = self._shards[number].shard
                    shard.written_ms = max(shard.written_ms, each.tick_ms)
        self._under_way = left

    def _record(self) -> None:
        """Let successors know what was delivered, if these shards are still ours."""
        behind = {n: o for n, o in self._shards.items() if o.shard.written_ms > o.recorded_ms}
        if not behind:
            return
        written = {number: owned.shard.written_ms for number, owned in behind.items()}
        entries = {number: written_entry(tick_ms) for number, tick_ms in written.items()}
        offsets = {number: Committed(owned.covered) for number, owned in behind.items()}
        topic = self._settings.snapshot_topic
        try:
            self._parts.transactions.commit(
                [PlacedRecord(topic, n, each.key, each.value) for n, each in entries.items()],
                GroupOffsets(self._settings.deltas_topic, self._source.membership(), offsets),
            )
        except AbortedError as error:
            _log.warning("not recorded what was delivered: %s", error)
            return
        for number, owned in behind.items():
            owned.recorded_ms = written[number]

    def _hold_back(self) -> None:
        """Read nothing while complete ticks cannot be told."""
        is_full = any(o.shard.waiting > TICKS_A_TURN for o in self._shards.values())
        if is_full and not self._is_paused:
            self._source.pause()
        elif self._is_paused and not is_full:
            self._source.resume()
        self._is_paused = is_full

    def _take_due_snapshot(self) -> None:
        now_ms = self._parts.clock.now_ms()
        for number, owned in self._shards.items():
            if now_ms >= owned.snapshot_due_ms and owned.can_be_kept():
                owned.snapshot_due_ms = now_ms + self._settings.snapshot_ms
                self._snapshot(number)
                return

    def _snapshot(self, number: int) -> None:
        """Write the state of a shard, unless it is the one that is written already."""
        owned = self._shards[number]
        if not owned.can_be_kept() or owned.covered == owned.shard.next_offset:
            return
        began_s = self._parts.clock.monotonic_s()
        entries = list(entries_of(owned.shard.dump(), owned.chunks))
        if owned.shard.written_ms > 0:
            entries.append(written_entry(owned.shard.written_ms))
        topic = self._settings.snapshot_topic
        offsets = {number: Committed(owned.shard.next_offset or 0)}
        try:
            size_bytes = self._parts.transactions.commit(
                (PlacedRecord(topic, number, each.key, each.value) for each in entries),
                GroupOffsets(self._settings.deltas_topic, self._source.membership(), offsets),
            )
        except AbortedError as error:
            _log.warning("snapshot of shard %d not written: %s", number, error)
            return
        owned.covered = owned.shard.next_offset or 0
        owned.recorded_ms = owned.shard.written_ms
        owned.chunks = sum(each.value is not None for each in entries) - 1
        self._parts.reporter.snapshot(self._parts.clock.monotonic_s() - began_s, size_bytes)
