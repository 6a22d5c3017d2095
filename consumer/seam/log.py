"""The seam of ``exactly_once``: deltas and the offsets they cover are one transaction.

The span side of it collects deltas and commits them; ``owner.py`` is the other side. After a
transaction that was given up, the lanes go on from what is committed: see
:attr:`LogSeam.must_begin_again`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from consumer.clock import Clock
from consumer.kafka.client import StoppedError
from consumer.kafka.source import Committed, SpanSource
from consumer.kafka.transactions import AbortedError, GroupOffsets, PlacedRecord, Transactions
from consumer.overrides import Overrides
from consumer.seam.columns import FormatError
from consumer.seam.interface import Lanes
from consumer.seam.notes import Progress, read_note, write_note, write_progress
from consumer.seam.outgoing import Outgoing
from consumer.seam.owner import Owner
from consumer.seam.shard import DELTAS, PROGRESS
from consumer.span_side import Ticked
from consumer.telemetry.reporter import Reporter
from consumer.ticks.lane import Resumption

MOST_WAITING_BYTES = 64 << 20
"""Of deltas before they are merged; then they are committed before their time."""

LEEWAY_MS = 10_000
"""How far clocks may have moved on since the log told of them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The topics, the partitions of the second, and the longest time between two commits."""

    span_topic: str
    deltas_topic: str
    shards: int
    commit_ms: int


@dataclass(frozen=True, slots=True)
class LogParts:
    """What the seam is made of. ``is_safe`` says whether every dead letter is written."""

    outgoing: Outgoing
    owner: Owner
    transactions: Transactions
    reporter: Reporter
    clock: Clock
    is_safe: Callable[[], bool]


class LogSeam:
    """Sends deltas to the owners of their series, by the repartition topic."""

    def __init__(self, settings: LogSettings, parts: LogParts, base_ms: int) -> None:
        self._settings = settings
        self._outgoing = parts.outgoing
        self._owner = parts.owner
        self._transactions = parts.transactions
        self._reporter = parts.reporter
        self._clock = parts.clock
        self._is_safe = parts.is_safe
        self._base_ms = base_ms
        self._committed_ms = 0
        self._lanes = 0
        self._told: dict[int, Resumption] = {}
        """By lane, what the group keeps."""
        self.must_begin_again = False
        """Whether what was read since the last commit has to be read again."""

    def join(self, source: SpanSource) -> None:
        """The spans come from ``source``, and offsets go to its group."""
        self._source = source

    @property
    def blocked(self) -> bool:
        """Never: what endpoints do not take waits in the repartition topic."""
        return False

    @property
    def slowest_ms(self) -> int | None:
        """The clock of the slowest lane of all workers."""
        slowest_ms = self._owner.slowest_ms
        return None if slowest_ms is None else slowest_ms + LEEWAY_MS

    @property
    def is_due(self) -> bool:
        """Whether the next :meth:`turn` commits, so that all has to be told before."""
        since_ms = self._clock.now_ms() - self._committed_ms
        is_large = self._outgoing.size_bytes > MOST_WAITING_BYTES
        return since_ms >= self._settings.commit_ms or is_large

    def apply(self, overrides: Overrides, base_ms: int) -> None:
        """Let these settings count from now on."""
        self._outgoing.apply(overrides.tenants)
        self._owner.apply(overrides, base_ms)
        self._base_ms = base_ms

    def open(self, committed: Mapping[int, Committed]) -> Mapping[int, Resumption]:
        """Where lanes go on, as it was noted with their offsets. Raises StoppedError."""
        self._lanes = self._transactions.partitions(self._settings.span_topic)
        found: dict[int, Resumption] = {}
        for lane, each in committed.items():
            try:
                resumption = read_note(each.offset, each.note)
            except FormatError as error:
                place = f"{self._settings.span_topic}/{lane}"
                raise StoppedError(f"committed offset of {place}: {error}") from error
            if each.offset >= 0 and resumption is not None:
                self._told[lane] = found[lane] = resumption
        return found

    def add(self, ticked: Ticked) -> None:
        """Keep deltas until their transaction."""
        self._outgoing.add(ticked.tick_ms, ticked.outcome.frames)

    def turn(self, lanes: Lanes) -> None:
        """Commit if it is time, then let the owner side turn."""
        if self.is_due:
            self._commit(lanes)
        self._owner.turn()

    def finish(self, lanes: Lanes, deadline_s: float) -> bool:
        """Commit what there is."""
        del deadline_s
        return self._commit(lanes)

    def forget(self, partitions: Collection[int]) -> None:
        """These partitions are not ours any more; what was not committed is void."""
        if self._outgoing:
            self.must_begin_again = True
            self._outgoing.clear()
        for lane in partitions:
            self._told.pop(lane, None)

    def begin_again(self) -> None:
        """All that was not committed is read again."""
        self.must_begin_again = False
        self._outgoing.clear()
        self._told.clear()

    def committed(self, partition: int) -> int | None:
        """The offset that this worker committed last, if any."""
        told = self._told.get(partition)
        return None if told is None else told.next_offset

    def close(self, deadline_s: float) -> None:
        """Deliver what is complete, leave snapshots, leave the group of the owners."""
        self._owner.finish(deadline_s)
        self._owner.close()

    def _commit(self, lanes: Lanes) -> bool:
        """Deltas, progress and offsets as one; whether that worked.

        Not while lanes are to be read again: they stand behind deltas that are void.
        """
        self._committed_ms = self._clock.now_ms()
        if self.must_begin_again or not self._is_safe():
            return False
        moved = dict(self._moved(lanes))
        records = self._records(moved)
        notes = {lane: Committed(at.next_offset, write_note(at)) for lane, at in moved.items()}
        topic = self._settings.span_topic
        first = next(records, None)
        if first is None and not notes:
            return True
        began_s = self._clock.monotonic_s()
        try:
            size_bytes = self._transactions.commit(
                chain([] if first is None else [first], records),
                GroupOffsets(topic, self._source.membership(), notes),
            )
        except AbortedError as error:
            _log.warning("nothing of the last transaction counts: %s", error)
            self._reporter.aborted()
            self._outgoing.clear()
            self.must_begin_again = True
            return False
        self._told.update(moved)
        self._reporter.committed(self._clock.monotonic_s() - began_s, size_bytes)
        self._reporter.label_values(self._outgoing.take_label_values())
        return True

    def _moved(self, lanes: Lanes) -> Iterator[tuple[int, Resumption]]:
        """The lanes whose time has passed since the last commit, or that are new.

        What expired in that time is among the deltas, so it must not expire again.
        """
        for lane, state in lanes.items():
            now, told = state.resumption(), self._told.get(lane)
            if state.rebuilds_until is None and now is not None:
                is_same = told is not None and told.next_offset == now.next_offset
                if not is_same or told is None or told.clock_ms != now.clock_ms:
                    yield lane, now

    def _records(self, moved: Mapping[int, Resumption]) -> Iterator[PlacedRecord]:
        topic = self._settings.deltas_topic
        for record in self._outgoing.records():
            yield PlacedRecord(topic, record.shard, DELTAS, record.value)
        if moved:
            clocks = {lane: at.clock_ms for lane, at in moved.items()}
            value = write_progress(Progress(self._lanes, clocks))
            for shard in range(self._settings.shards):
                yield PlacedRecord(topic, shard, PROGRESS, value)
