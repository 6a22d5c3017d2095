"""Pair the halves of edges: the client half with every server half that names it as parent.

This owns which half waits for which, and until when; what a half looks like is none of
its business. Halves are numbered by the caller, upwards. Time is record time, lane by
lane: a half leaves ``wait_ms`` after its record's timestamp, in the order of arrival, so
the outcome does not depend on how records were cut into batches.

Bounds: ``max_pending`` unpaired halves a tenant; the oldest goes when one more comes.
Paired halves are remembered for the wait as well (a late second server still pairs, a
repeated half is recognised): at most :data:`MAX_REMEMBERED` halves in all, the oldest
record of halves is forgotten first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum

MAX_REMEMBERED = 4_000_000
"""About 10 s of 400,000 halves a second."""


class Side(IntEnum):
    """What a half can pair with."""

    CLIENT = 0
    """Pairs with every :attr:`SERVER` half whose ``parent`` is its ``own`` key."""
    SERVER = 1
    CLOSED = 2
    """A client half that is an edge by itself: it takes servers in, but pairs with none."""
    ALONE = 3
    """A server half that waits for its time to run out and pairs with nothing."""


_SERVER_SIDES = (Side.SERVER, Side.ALONE)


class State(IntEnum):
    """How far a half has come."""

    PENDING = 0
    SETTLED = 1


@dataclass(frozen=True, slots=True)
class Halves:
    """Consecutive halves of one record: same lane, same timestamp.

    ``own``: key of (tenant, trace id, span id); ``parent``: key of (tenant, trace id,
    parent span id); both 64-bit hashes. Half ``i`` has the number ``first + i``.
    """

    first: int
    lane: int
    time_ms: int
    own: Sequence[int]
    parent: Sequence[int]
    side: Sequence[int]
    tenant: Sequence[int]


@dataclass(slots=True)
class Pairs:
    """What came of halves, each list by half number.

    ``edges`` are (client, server); ``absorbed`` are (closed client, server);
    ``settled`` halves found their first partner, ``closed`` ones need none; ``expired``,
    ``evicted`` and ``forgotten`` ones never had one.
    """

    edges: list[tuple[int, int]] = field(default_factory=list)
    absorbed: list[tuple[int, int]] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    expired: list[int] = field(default_factory=list)
    evicted: list[int] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Whether nothing came of anything."""
        return not any(getattr(self, part.name) for part in fields(self))


@dataclass(slots=True, eq=False)
class _Chunk:
    """The halves of one record, as long as they are remembered."""

    halves: Halves
    deadline_ms: int
    state: list[int | None]
    """None: a half that is not remembered, being repeated or evicted."""


class Pairing:
    """All halves that are pending or remembered."""

    def __init__(self, wait_ms: int, max_pending: int) -> None:
        self._wait_ms = wait_ms
        self._max_pending = max_pending
        self._clients: dict[int, tuple[_Chunk, int]] = {}
        self._servers: dict[int, int] = {}
        self._waiting: dict[int, list[tuple[_Chunk, int]]] = {}
        self._lanes: dict[int, deque[_Chunk]] = {}
        self._clock_ms: dict[int, int] = {}
        self._pending: dict[int, deque[tuple[_Chunk, int]]] = {}
        self._pending_count: dict[int, int] = {}
        self._remembered = 0
        self.limit = MAX_REMEMBERED

    def __len__(self) -> int:
        """Halves that are pending."""
        return sum(self._pending_count.values())

    def remembered(self) -> int:
        """Halves that are pending or remembered."""
        return self._remembered

    def oldest(self) -> int | None:
        """The lowest number of a half that is still remembered."""
        return min((lane[0].halves.first for lane in self._lanes.values() if lane), default=None)

    def push(self, halves: Halves, pairs: Pairs) -> None:
        """Take the halves of one record, in order; what comes of it is added to ``pairs``."""
        self.advance(halves.lane, halves.time_ms, pairs)
        now_ms = self._clock_ms[halves.lane]
        chunk = _Chunk(halves, now_ms + self._wait_ms, [State.PENDING] * len(halves.own))
        for index, side in enumerate(halves.side):
            if side in _SERVER_SIDES:
                self._server(chunk, index, pairs)
            else:
                self._client(chunk, index, pairs)
        self._lanes.setdefault(halves.lane, deque()).append(chunk)
        self._remembered += len(halves.own)
        while self._remembered > self.limit:
            self._forget(self._oldest_lane().popleft(), pairs.evicted)

    def advance(self, lane: int, time_ms: int, pairs: Pairs) -> None:
        """Let the time of ``lane`` reach ``time_ms``; it never goes back."""
        now_ms = max(time_ms, self._clock_ms.get(lane, time_ms))
        self._clock_ms[lane] = now_ms
        chunks = self._lanes.get(lane)
        while chunks and chunks[0].deadline_ms <= now_ms:
            self._forget(chunks.popleft(), pairs.expired)

    def close(self, lane: int, unpaired: list[int]) -> None:
        """Forget all halves of ``lane``, and its time; the pending ones go to ``unpaired``."""
        for chunk in self._lanes.pop(lane, ()):
            self._forget(chunk, unpaired)
        self._clock_ms.pop(lane, None)

    def _client(self, chunk: _Chunk, index: int, pairs: Pairs) -> None:
        own, number = chunk.halves.own[index], chunk.halves.first + index
        if own in self._clients:
            chunk.state[index] = None
            pairs.repeated.append(number)
            return
        self._clients[own] = (chunk, index)
        closed = chunk.halves.side[index] == Side.CLOSED
        if closed:
            pairs.closed.append(number)
        servers = self._waiting.pop(own, None)
        if closed or servers:
            chunk.state[index] = State.SETTLED
        if not closed:
            if servers:
                pairs.settled.append(number)
            else:
                self._wait(chunk, index, pairs)
        found = pairs.absorbed if closed else pairs.edges
        for server_chunk, server_index in servers or ():
            server = server_chunk.halves.first + server_index
            found.append((number, server))
            self._settle(server_chunk, server_index)
            if not closed:
                pairs.settled.append(server)

    def _server(self, chunk: _Chunk, index: int, pairs: Pairs) -> None:
        halves = chunk.halves
        own, parent, number = halves.own[index], halves.parent[index], halves.first + index
        if own in self._servers:
            chunk.state[index] = None
            pairs.repeated.append(number)
            return
        self._servers[own] = number
        if halves.side[index] == Side.ALONE:
            self._wait(chunk, index, pairs)
            return
        client = self._clients.get(parent)
        if client is None:
            self._waiting.setdefault(parent, []).append((chunk, index))
            self._wait(chunk, index, pairs)
            return
        chunk.state[index] = State.SETTLED
        client_chunk, client_index = client
        client_number = client_chunk.halves.first + client_index
        if client_chunk.halves.side[client_index] == Side.CLOSED:
            pairs.absorbed.append((client_number, number))
            return
        pairs.edges.append((client_number, number))
        pairs.settled.append(number)
        if client_chunk.state[client_index] == State.PENDING:
            self._settle(client_chunk, client_index)
            pairs.settled.append(client_number)

    def _wait(self, chunk: _Chunk, index: int, pairs: Pairs) -> None:
        """Count a half as pending; when its tenant has too many, the oldest goes."""
        tenant = chunk.halves.tenant[index]
        queue = self._pending.setdefault(tenant, deque())
        queue.append((chunk, index))
        count = self._pending_count.get(tenant, 0) + 1
        self._pending_count[tenant] = count
        while count > self._max_pending:
            oldest_chunk, oldest_index = queue.popleft()
            if oldest_chunk.state[oldest_index] == State.PENDING:
                self._drop(oldest_chunk, oldest_index)
                pairs.evicted.append(oldest_chunk.halves.first + oldest_index)
                count -= 1
        if len(queue) > 2 * self._max_pending + 64:
            alive = (entry for entry in queue if entry[0].state[entry[1]] == State.PENDING)
            self._pending[tenant] = deque(alive)

    def _settle(self, chunk: _Chunk, index: int) -> None:
        chunk.state[index] = State.SETTLED
        self._pending_count[chunk.halves.tenant[index]] -= 1

    def _drop(self, chunk: _Chunk, index: int) -> None:
        """Take a pending half out, as if it had never come."""
        self._settle(chunk, index)
        self._release(chunk, index)
        if chunk.halves.side[index] == Side.SERVER:
            self._leave_queue(chunk.halves.parent[index], chunk, index)

    def _release(self, chunk: _Chunk, index: int) -> None:
        chunk.state[index] = None
        own = chunk.halves.own[index]
        if chunk.halves.side[index] in _SERVER_SIDES:
            del self._servers[own]
        else:
            del self._clients[own]

    def _leave_queue(self, parent: int, chunk: _Chunk, index: int) -> None:
        waiting = self._waiting[parent]
        waiting.remove((chunk, index))
        if not waiting:
            del self._waiting[parent]

    def _forget(self, chunk: _Chunk, unpaired: list[int]) -> None:
        """Forget a record of halves; the pending ones are reported in ``unpaired``."""
        for index, state in enumerate(chunk.state):
            if state == State.PENDING:
                self._drop(chunk, index)
                unpaired.append(chunk.halves.first + index)
            elif state == State.SETTLED:
                self._release(chunk, index)
        self._remembered -= len(chunk.state)

    def _oldest_lane(self) -> deque[_Chunk]:
        return min((lane for lane in self._lanes.values() if lane), key=lambda c: c[0].halves.first)
