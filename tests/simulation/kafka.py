"""A Kafka in memory for simulated workers: logs, groups, transactions; and the crash of a worker.

What a member does takes effect at once or not at all; a crash may come before or after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from consumer.kafka.client import IncomingRecord
from consumer.kafka.source import AssignmentListener, Committed
from consumer.kafka.transactions import AbortedError, GroupOffsets, PlacedRecord

MOST_READ = 7


class Crash(BaseException):
    """``kill -9``: nothing the worker does after this happens."""


@dataclass(slots=True)
class Group:
    """A consumer group: who owns what, and who is to own it once its owner lets go."""

    members: dict[str, int] = field(default_factory=dict)
    """Member -> the generation it joined with."""
    owners: dict[int, str] = field(default_factory=dict)
    targets: dict[int, str] = field(default_factory=dict)
    committed: dict[int, Committed] = field(default_factory=dict)
    generation: int = 0

    def expire(self, member: str) -> None:
        """The group has not heard of ``member`` for too long."""
        self.members.pop(member, None)
        self.owners = {p: owner for p, owner in self.owners.items() if owner != member}
        self.generation += 1

    def balance(self, partitions: int, random: Random) -> None:
        """Decide anew who is to own what."""
        names = sorted(self.members)
        if names:
            self.targets = {p: random.choice(names) for p in range(partitions)}


class Cluster:
    """The topics, as lists of records, and the groups. ``may_crash`` decides at each effect."""

    def __init__(self, spans: int, shards: int, may_crash: Callable[[], bool]) -> None:
        self.topics: dict[str, list[list[IncomingRecord]]] = {
            "spans": [[] for _ in range(spans)],
            "deltas": [[] for _ in range(shards)],
        }
        self.snapshots: list[dict[bytes, bytes]] = [{} for _ in range(shards)]
        self.groups = {"spans": Group(), "deltas": Group()}
        self.may_crash = may_crash
        self.transactions = 0

    def append(self, topic: str, partition: int, record: IncomingRecord) -> None:
        """Write a record."""
        self.topics[topic][partition].append(record)

    def crash_point(self) -> None:
        """A moment at which the worker may end."""
        if self.may_crash():
            raise Crash


@dataclass(slots=True)
class Membership:
    """What proves that a member is one still."""

    group: Group
    member: str
    joined: int


class SimSource:
    """One member of a group; speaks as :class:`consumer.kafka.source.SpanSource` does."""

    def __init__(
        self, cluster: Cluster, topic: str, member: str, listener: AssignmentListener
    ) -> None:
        self._cluster = cluster
        self._topic = topic
        self._logs = cluster.topics[topic]
        self._group = cluster.groups[topic]
        self._member = member
        self._listener = listener
        self._positions: dict[int, int] = {}
        self._began: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._held: frozenset[int] = frozenset()
        self._is_paused = False
        self._join()

    @property
    def assigned(self) -> frozenset[int]:
        return frozenset(self._positions)

    def poll(self, _timeout_s: float) -> Sequence[IncomingRecord]:
        self._cluster.crash_point()
        self._hear()
        read: list[IncomingRecord] = []
        for partition, position in sorted(self._positions.items()):
            if not self._is_paused and partition not in self._held:
                came = self._logs[partition][position : position + MOST_READ]
                self._positions[partition] = position + len(came)
                read += came
        return read

    def ask_ends(self) -> bool:
        self._ends = {p: len(self._logs[p]) for p in self._positions}
        return True

    def end_offsets(self, partition: int) -> tuple[int, int] | None:
        """As they were when the brokers were asked last, or when something was read."""
        if partition in self._held:
            return None
        known = max(self._ends.get(partition, 0), self._positions[partition])
        return self._began[partition], known

    def unread(self) -> int:
        """Always promises a whole poll, so that records wait wherever they can."""
        return MOST_READ * len(self._positions)

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False

    def hold(self, partitions: Collection[int]) -> None:
        self._held = frozenset(partitions)

    def membership(self) -> Membership:
        return Membership(self._group, self._member, self._joined)

    def begin_again(self) -> None:
        self._held = frozenset()
        self._begin(sorted(self._positions))

    def close(self) -> None:
        if self._is_member():
            self._listener.revoked(sorted(self._positions))
            self._group.expire(self._member)
        else:
            self._listener.lost(sorted(self._positions))
        self._positions.clear()

    def _join(self) -> None:
        self._group.generation += 1
        self._joined = self._group.members[self._member] = self._group.generation

    def _is_member(self) -> bool:
        return self._group.members.get(self._member) == self._joined

    def _hear(self) -> None:
        """Take the decisions of the group."""
        if not self._is_member():
            gone = sorted(self._positions)
            self._positions.clear()
            self._held = frozenset()
            self._listener.lost(gone)
            self._join()
            return
        owners, targets = self._group.owners, self._group.targets
        going = [p for p in sorted(self._positions) if targets.get(p) != self._member]
        if going:
            self._listener.revoked(going)
            self._held -= set(going)
            for partition in going:
                del self._positions[partition]
                if self._is_member():
                    owners.pop(partition, None)
            self._cluster.crash_point()
        coming = [
            p for p, target in sorted(targets.items()) if target == self._member and p not in owners
        ]
        if coming:
            owners.update(dict.fromkeys(coming, self._member))
            self._positions.update(dict.fromkeys(coming, 0))
            self._begin(coming)
            self._cluster.crash_point()

    def _begin(self, partitions: Sequence[int]) -> None:
        nothing = Committed(-1)
        committed = {p: self._group.committed.get(p, nothing) for p in partitions}
        starts = {p: max(0, each.offset) for p, each in committed.items()}
        starts.update(self._listener.assigned(committed))
        self._positions.update(starts)
        self._began.update(starts)


class SimTransactions:
    """Speaks as :class:`consumer.kafka.transactions.Transactions` does."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def commit(self, records: Iterable[PlacedRecord], offsets: GroupOffsets | None = None) -> int:
        written = list(records)
        self._cluster.crash_point()
        if offsets is not None and offsets.offsets:
            membership: Membership = offsets.membership
            if membership.group.members.get(membership.member) != membership.joined:
                raise AbortedError("illegal generation")
            membership.group.committed.update(offsets.offsets)
        for record in written:
            self._write(record)
        self._cluster.transactions += 1
        self._cluster.crash_point()
        return sum(len(record.value or b"") for record in written)

    def partitions(self, topic: str) -> int:
        return len(self._cluster.topics[topic])

    def _write(self, record: PlacedRecord) -> None:
        if record.topic == "deltas":
            log = self._cluster.topics["deltas"][record.partition]
            value = record.value or b""
            log.append(IncomingRecord(record.partition, len(log), 0, record.key, value, ()))
        elif record.value is None:
            self._cluster.snapshots[record.partition].pop(record.key, None)
        else:
            self._cluster.snapshots[record.partition][record.key] = record.value


class SimSnapshots:
    """Speaks as :class:`consumer.kafka.compacted.CompactedReader` does."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def read(self, partition: int) -> Mapping[bytes, bytes]:
        return dict(self._cluster.snapshots[partition])

    def low_offset(self, _topic: str, _partition: int) -> int:
        return 0
