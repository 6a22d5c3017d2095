"""The pairing of halves in Python: numbers in flat lists and dictionaries, no object a half.

About 0.7 us a half while what is remembered fits the processor's caches, 1 us beyond.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from processors.pairing import MAX_REMEMBERED, Halves, Numbers, Pairs, Side

# Plain numbers: comparing with an IntEnum costs more than all else that is done with a side.
_CLIENT, _SERVER, _CLOSED, _ALONE = map(int, Side)
_SERVER_SIDES = (_SERVER, _ALONE)

_UNKNOWN = -(2**63)
"""In place of the number of a client, or of ~number of a server that waits."""


@dataclass(slots=True, eq=False)
class _Found:
    """The columns of :class:`Pairs` while they grow; edges and absorbed ones flat."""

    edges: list[int] = field(default_factory=list)
    absorbed: list[int] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    expired: list[int] = field(default_factory=list)
    evicted: list[int] = field(default_factory=list)

    def pairs(self) -> Pairs:
        return Pairs(
            edges=np.array(self.edges, np.int64).reshape(-1, 2),
            absorbed=np.array(self.absorbed, np.int64).reshape(-1, 2),
            settled=np.array(self.settled, np.int64),
            closed=np.array(self.closed, np.int64),
            repeated=np.array(self.repeated, np.int64),
            expired=np.array(self.expired, np.int64),
            evicted=np.array(self.evicted, np.int64),
        )


@dataclass(slots=True, eq=False)
class _Lane:
    now_ms: int
    records: deque[tuple[int, int, int]] = field(default_factory=deque)
    """Deadline, first number and the number after the last, of each record with halves."""


class PythonPairing:
    """A :class:`processors.pairing.Pairing` without an extension."""

    implementation = "python"

    def __init__(
        self, wait_ms: int, max_pending: int, max_remembered: int = MAX_REMEMBERED
    ) -> None:
        self._wait_ms = wait_ms
        self._max_pending = max_pending
        self._max_remembered = max_remembered
        self._found = _Found()
        self._lanes: dict[int, _Lane] = {}
        self._remembered = 0
        self._base = 0
        """The number of the half that is first in the next four: one entry a half."""
        self._own: list[int] = []
        self._parent: list[int] = []
        self._side: list[int] = []
        self._tenant: list[int] = []
        self._spans: dict[int, int] = {}
        """Own key of a client -> its number; parent key of a waiting server -> ~number."""
        self._siblings: dict[int, dict[int, None]] = {}
        """Parent key -> waiting servers, in order, where there was more than one."""
        self._servers: dict[int, int] = {}
        """Own key of a server -> its number."""
        self._pending: dict[int, OrderedDict[int, None]] = {}
        """Tenant -> pending halves, in order."""

    def pending(self) -> int:
        """Halves without a partner."""
        return sum(map(len, self._pending.values()))

    def remembered(self) -> int:
        """Halves of records that are not forgotten."""
        return self._remembered

    def oldest(self) -> int | None:
        """The lowest number of a half that is still remembered."""
        firsts = (lane.records[0][1] for lane in self._lanes.values() if lane.records)
        return min(firsts, default=None)

    def push(self, halves: Halves) -> Pairs:
        """Take the halves of records, in order (see :class:`processors.pairing.Pairing`)."""
        rows = self._append(halves)
        starts = halves.starts.tolist()
        ends = [*starts, len(halves)][1:]
        lanes, times_ms = halves.lane.tolist(), halves.time_ms.tolist()
        for start, end, lane, time_ms in zip(starts, ends, lanes, times_ms, strict=True):
            self._reach(lane, time_ms)
            self._pair(islice(rows, end - start))
            if end > start:
                self._remember(lane, halves.first + start, halves.first + end)
        return self._give()

    def advance(self, lane: int, time_ms: int) -> Pairs:
        """Let the time of ``lane`` reach ``time_ms``; it never goes back."""
        self._reach(lane, time_ms)
        return self._give()

    def close(self, lane: int) -> Numbers:
        """Forget all halves of ``lane``, and its time; returns those that were pending."""
        unpaired: list[int] = []
        closed = self._lanes.pop(lane, None)
        for record in closed.records if closed else ():
            self._forget_record(record, unpaired)
        self._release()
        return np.array(unpaired, np.int64)

    def _append(self, halves: Halves) -> Iterator[tuple[int, int, int, int, int]]:
        """Make room for new halves; returns them as number, own, parent, side, tenant."""
        if not self._own:
            self._base = halves.first
        if halves.first != self._base + len(self._own):
            raise ValueError(f"half {halves.first} comes after {self._base + len(self._own) - 1}")
        own, parent = halves.own.tolist(), halves.parent.tolist()
        side, tenant = halves.side.tolist(), halves.tenant.tolist()
        self._own += own
        self._parent += parent
        self._side += side
        self._tenant += tenant
        numbers = range(halves.first, halves.first + len(halves))
        return zip(numbers, own, parent, side, tenant, strict=True)

    def _give(self) -> Pairs:
        """What was found since the last time."""
        self._release()
        found, self._found = self._found, _Found()
        return found.pairs()

    def _reach(self, lane: int, time_ms: int) -> None:
        state = self._lanes.get(lane)
        if state is None:
            state = self._lanes[lane] = _Lane(time_ms)
        state.now_ms = max(state.now_ms, time_ms)
        records = state.records
        while records and records[0][0] <= state.now_ms:
            self._forget_record(records.popleft(), self._found.expired)

    def _pair(self, rows: Iterable[tuple[int, int, int, int, int]]) -> None:
        spans, servers, found = self._spans, self._servers, self._found
        for number, own, parent, side, tenant in rows:
            if side in _SERVER_SIDES:
                if own in servers:
                    found.repeated.append(number)
                    continue
                servers[own] = number
                if side == _SERVER:
                    self._server(number, parent, tenant)
                else:
                    self._wait(number, tenant)
                continue
            waiting = spans.get(own, _UNKNOWN)
            if waiting >= 0:
                found.repeated.append(number)
                continue
            spans[own] = number
            if side == _CLOSED:
                found.closed.append(number)
            elif waiting == _UNKNOWN:
                self._wait(number, tenant)
            else:
                found.settled.append(number)
            if waiting != _UNKNOWN:
                self._meet(number, own, ~waiting, is_closed=side == _CLOSED)

    def _meet(self, number: int, own: int, waiting: int, *, is_closed: bool) -> None:
        """Pair the client ``number`` with ``waiting`` and the other servers of its key."""
        found = self._found
        couples = found.absorbed if is_closed else found.edges
        for server in self._siblings.pop(own, (waiting,)):
            couples += (number, server)
            del self._pending[self._tenant[server - self._base]][server]
            if not is_closed:
                found.settled.append(server)

    def _server(self, number: int, parent: int, tenant: int) -> None:
        found = self._found
        client = self._spans.get(parent)
        if client is None:
            self._spans[parent] = ~number
            self._wait(number, tenant)
        elif client < 0:
            self._siblings.setdefault(parent, {~client: None})[number] = None
            self._wait(number, tenant)
        elif self._side[client - self._base] == _CLOSED:
            found.absorbed += (client, number)
        else:
            found.edges += (client, number)
            found.settled.append(number)
            pending = self._pending[self._tenant[client - self._base]]
            if client in pending:
                del pending[client]
                found.settled.append(client)

    def _wait(self, number: int, tenant: int) -> None:
        """Count a half as pending; when its tenant has too many, the oldest goes."""
        pending = self._pending.get(tenant)
        if pending is None:
            pending = self._pending[tenant] = OrderedDict()
        pending[number] = None
        if len(pending) > self._max_pending:
            oldest = next(iter(pending))
            self._forget(oldest, oldest + 1, self._found.evicted)

    def _remember(self, lane: int, first: int, end: int) -> None:
        """Take note of a record of halves; when there is no room, the oldest goes."""
        state = self._lanes[lane]
        state.records.append((state.now_ms + self._wait_ms, first, end))
        self._remembered += end - first
        if end - self._base <= self._max_remembered:
            return
        while (oldest := self.oldest()) is not None and end - oldest > self._max_remembered:
            records = (lane.records for lane in self._lanes.values() if lane.records)
            self._forget_record(min(records, key=_first).popleft(), self._found.evicted)

    def _forget_record(self, record: tuple[int, int, int], unpaired: list[int]) -> None:
        _, first, end = record
        self._remembered -= end - first
        self._forget(first, end, unpaired)

    def _forget(self, first: int, end: int, unpaired: list[int]) -> None:
        """Forget halves as if they had never come; the pending ones go to ``unpaired``."""
        rows = slice(first - self._base, end - self._base)
        columns = (self._own[rows], self._side[rows], self._tenant[rows])
        for number, own, side, tenant in zip(range(first, end), *columns, strict=True):
            keys = self._servers if side in _SERVER_SIDES else self._spans
            if keys.get(own) != number:
                continue  # it was repeated, or evicted
            del keys[own]
            pending = self._pending.get(tenant)
            if pending and number in pending:
                del pending[number]
                unpaired.append(number)
                if side == _SERVER:
                    self._leave(self._parent[number - self._base], number)

    def _leave(self, parent: int, number: int) -> None:
        """Let the server ``number`` wait no longer for the span of key ``parent``."""
        siblings = self._siblings.get(parent)
        if siblings is None:
            del self._spans[parent]
            return
        del siblings[number]
        if siblings:
            self._spans[parent] = ~next(iter(siblings))
        else:
            del self._siblings[parent], self._spans[parent]

    def _release(self) -> None:
        """Free the entries of forgotten halves, once they are half of all."""
        oldest = self.oldest()
        gone = len(self._own) if oldest is None else oldest - self._base
        if gone * 2 >= len(self._own):
            del self._own[:gone], self._parent[:gone], self._side[:gone], self._tenant[:gone]
            self._base += gone


def _first(records: deque[tuple[int, int, int]]) -> int:
    return records[0][1]
