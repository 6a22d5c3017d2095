"""The pairing of halves in Python: numbers in flat lists and dictionaries, no object a half.

About 0.7 us a half while what is remembered fits the processor's caches, 1 us beyond.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from processors.service_graphs.pairing import MAX_REMEMBERED, Halves, Numbers, Pairs, Side

# Plain numbers: comparing with an IntEnum costs more than all else that is done with a side.
_CLIENT, _SERVER, _CLOSED, _ALONE, _PRODUCER, _LINK, *_OTHERS = map(int, Side)
_FILTERED_CLIENT, _FILTERED_SERVER, _NAMELESS = _OTHERS

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
    excused: list[int] = field(default_factory=list)
    unmarked: list[int] = field(default_factory=list)
    hints: list[int] = field(default_factory=list)

    def pairs(self) -> Pairs:
        return Pairs(
            edges=np.array(self.edges, np.int64).reshape(-1, 2),
            absorbed=np.array(self.absorbed, np.int64).reshape(-1, 2),
            settled=np.array(self.settled, np.int64),
            closed=np.array(self.closed, np.int64),
            repeated=np.array(self.repeated, np.int64),
            expired=np.array(self.expired, np.int64),
            evicted=np.array(self.evicted, np.int64),
            excused=np.array(self.excused, np.int64),
            unmarked=np.array(self.unmarked, np.int64),
            hints=np.array(self.hints, np.int64).reshape(-1, 2),
        )


@dataclass(slots=True, eq=False)
class _Lane:
    now_ms: int
    records: deque[tuple[int, int, int]] = field(default_factory=deque)
    """Deadline, first number and the number after the last, of each record with halves."""


class PythonPairing:
    """A :class:`processors.service_graphs.pairing.Pairing` without an extension."""

    implementation = "python"

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        self._max_pending = 0
        """Of the batch that is taken."""
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
        self._markers: dict[int, dict[tuple[int, int], int]] = {}
        """Tenant -> (side, key) of a half that was left out -> number."""

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

    def push(self, halves: Halves, wait_ms: int, max_pending: int) -> Pairs:
        """Take the halves of records, in order (see :class:`~.pairing.Pairing`)."""
        rows = self._append(halves)
        self._max_pending = max_pending
        starts = halves.starts.tolist()
        ends = [*starts, len(halves)][1:]
        lanes, times_ms = halves.lane.tolist(), halves.time_ms.tolist()
        for start, end, lane, time_ms in zip(starts, ends, lanes, times_ms, strict=True):
            self._reach(lane, time_ms)
            self._pair(islice(rows, end - start))
            if end > start:
                deadline_ms = self._lanes[lane].now_ms + wait_ms
                self._remember(lane, (deadline_ms, halves.first + start, halves.first + end))
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
            if side in (_SERVER, _ALONE):
                if own in servers:
                    found.repeated.append(number)
                    continue
                servers[own] = number
                if side == _SERVER:
                    self._server(number, parent, tenant)
                else:
                    self._wait(number, tenant)
            elif side == _LINK:
                self._link(number, parent, tenant)
            elif side in (_CLIENT, _CLOSED, _PRODUCER):
                if spans.get(own, _UNKNOWN) >= 0:
                    found.repeated.append(number)
                else:
                    self._client(number, own, side, tenant)
            elif side == _NAMELESS:
                self._hint(number, parent, tenant)
            else:
                key = own if side == _FILTERED_CLIENT else parent
                self._mark(number, side, key, tenant)

    def _client(self, number: int, own: int, side: int, tenant: int) -> None:
        spans, found = self._spans, self._found
        waiting = spans.get(own)
        spans[own] = number
        hints = len(found.hints)
        if waiting is not None and self._meet(number, own, ~waiting, side):
            (found.closed if side == _CLOSED else found.settled).append(number)
            return
        if len(found.hints) == hints and self._is_marked(_FILTERED_SERVER, own, tenant):
            found.excused.append(number)
        elif side == _CLOSED:
            found.closed.append(number)
        else:
            self._wait(number, tenant)

    def _meet(self, number: int, own: int, waiting: int, side: int) -> bool:
        """Pair the client ``number`` with the servers that wait for it; whether there are any."""
        found, met = self._found, False
        pending = self._pending.get(self._tenant[number - self._base], OrderedDict())
        for server in self._siblings.pop(own, (waiting,)):
            waits_as = self._side[server - self._base]
            if waits_as == _NAMELESS:
                found.hints += (number, server)
                continue
            if waits_as == _LINK:
                if side == _PRODUCER:
                    found.edges += (number, server)
                    self._settle(self._speaker(server), found.settled)
                    met = True
                continue
            met = True
            is_pending = server in pending
            if is_pending:
                del pending[server]
            if side != _CLOSED:
                found.edges += (number, server)
                if is_pending:
                    found.settled.append(server)
            elif is_pending:
                found.absorbed += (number, server)
        return met

    def _server(self, number: int, parent: int, tenant: int) -> None:
        found = self._found
        client = self._spans.get(parent)
        if client is not None and client >= 0:
            if self._side[client - self._base] == _CLOSED:
                found.absorbed += (client, number)
            else:
                found.edges += (client, number)
                found.settled.append(number)
                self._settle(client, found.settled)
        elif client is None and self._is_marked(_FILTERED_CLIENT, parent, tenant):
            found.excused.append(number)
        else:
            self._join(number, parent)
            self._wait(number, tenant)

    def _link(self, number: int, key: int, tenant: int) -> None:
        speaker = self._speaker(number)
        if self._servers.get(self._own[speaker - self._base]) != speaker:
            return  # it was repeated, or evicted
        client = self._spans.get(key)
        if client is not None and client >= 0:
            if self._side[client - self._base] == _PRODUCER:
                self._found.edges += (client, number)
                self._settle(client, self._found.settled)
                self._settle(speaker, self._found.settled)
        elif client is None and self._is_marked(_FILTERED_CLIENT, key, tenant):
            self._settle(speaker, self._found.excused)
        else:
            self._join(number, key)

    def _hint(self, number: int, parent: int, tenant: int) -> None:
        client = self._spans.get(parent)
        if client is not None and client >= 0:
            if client in self._pending.get(tenant, ()):
                self._found.hints += (client, number)
        elif client is not None or not self._is_marked(_FILTERED_CLIENT, parent, tenant):
            self._join(number, parent)

    def _mark(self, number: int, side: int, key: int, tenant: int) -> None:
        """Excuse those that wait for a half that was left out, and those to come."""
        found = self._found
        waiting = self._spans.get(key)
        if waiting is not None and (waiting < 0) == (side == _FILTERED_CLIENT):
            if waiting >= 0:
                self._settle(waiting, found.excused)
            else:
                del self._spans[key]
                for server in self._siblings.pop(key, (~waiting,)):
                    self._settle(self._speaker(server), found.excused)
        markers = self._markers.setdefault(tenant, {})
        if (side, key) in markers or len(markers) < self._max_pending:
            markers[side, key] = number
        else:
            found.unmarked.append(number)

    def _is_marked(self, side: int, key: int, tenant: int) -> bool:
        return tenant in self._markers and (side, key) in self._markers[tenant]

    def _speaker(self, number: int) -> int:
        """The half on whose behalf a link pairs; any other half speaks for itself."""
        while self._side[number - self._base] == _LINK:
            number -= 1
        return number

    def _settle(self, number: int, to: list[int]) -> None:
        """Let a half that is pending be so no longer, and put it ``to`` those like it."""
        pending = self._pending.get(self._tenant[number - self._base])
        if pending and number in pending:
            del pending[number]
            to.append(number)

    def _join(self, number: int, parent: int) -> None:
        """Let a server or link wait for the span of key ``parent``."""
        first = self._spans.setdefault(parent, ~number)
        if first != ~number:
            self._siblings.setdefault(parent, {~first: None})[number] = None

    def _wait(self, number: int, tenant: int) -> None:
        """Count a half as pending; when its tenant has too many, the oldest goes."""
        pending = self._pending.get(tenant)
        if pending is None:
            pending = self._pending[tenant] = OrderedDict()
        pending[number] = None
        if len(pending) > self._max_pending:
            self._evict(next(iter(pending)))

    def _evict(self, oldest: int) -> None:
        """Forget a half, and the links that speak for it."""
        end = oldest + 1
        while end - self._base < len(self._side) and self._side[end - self._base] == _LINK:
            end += 1
        self._forget(oldest, end, self._found.evicted)

    def _remember(self, lane: int, record: tuple[int, int, int]) -> None:
        """Take note of a record of halves; when there is no room, the oldest goes."""
        _, first, end = record
        self._lanes[lane].records.append(record)
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
        columns = (self._own[rows], self._parent[rows], self._side[rows], self._tenant[rows])
        for number, own, parent, side, tenant in zip(range(first, end), *columns, strict=True):
            if side in (_LINK, _NAMELESS):
                self._leave(parent, number)
                continue
            if side in (_FILTERED_CLIENT, _FILTERED_SERVER):
                self._unmark(number, side, own if side == _FILTERED_CLIENT else parent, tenant)
                continue
            keys = self._servers if side in (_SERVER, _ALONE) else self._spans
            if keys.get(own) != number:
                continue  # it was repeated, or evicted
            del keys[own]
            if side == _SERVER:
                self._leave(parent, number)
            pending = self._pending.get(tenant)
            if pending and number in pending:
                del pending[number]
                unpaired.append(number)

    def _leave(self, parent: int, number: int) -> None:
        """Let a server or link, if it waits, wait no longer for the span of key ``parent``."""
        siblings = self._siblings.get(parent)
        if siblings is None:
            if self._spans.get(parent) == ~number:
                del self._spans[parent]
            return
        siblings.pop(number, None)
        if siblings:
            self._spans[parent] = ~next(iter(siblings))
        else:
            del self._siblings[parent], self._spans[parent]

    def _unmark(self, number: int, side: int, key: int, tenant: int) -> None:
        markers = self._markers.get(tenant, {})
        if markers.get((side, key)) == number:
            del markers[side, key]
            if not markers:
                del self._markers[tenant]

    def _release(self) -> None:
        """Free the entries of forgotten halves, once they are half of all."""
        oldest = self.oldest()
        gone = len(self._own) if oldest is None else oldest - self._base
        if gone * 2 >= len(self._own):
            del self._own[:gone], self._parent[:gone], self._side[:gone], self._tenant[:gone]
            self._base += gone


def _first(records: deque[tuple[int, int, int]]) -> int:
    return records[0][1]
