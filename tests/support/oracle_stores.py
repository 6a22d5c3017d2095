"""What waits for its other half: as Tempo keeps it, and as spanmill does."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.support.oracle_spans import Edge, Half, Key

if TYPE_CHECKING:
    from tests.support.oracle import Oracle


class OneEdge:
    """Tempo's store: one edge for a key, forgotten as soon as it is complete (2.2.4)."""

    def __init__(self, graphs: Oracle) -> None:
        self._graphs = graphs
        self._edges: dict[Key, tuple[Edge, list[Half]]] = {}
        self._markers: set[tuple[Key, bool]] = set()

    def take(self, half: Half) -> None:
        stored = self._edges.get(half.key)
        if stored is None and (half.key, not half.is_client) in self._markers:
            return
        edge, halves = stored or (Edge(), [])
        self._graphs.write(edge, half)
        halves.append(half)
        if edge.is_complete:
            self._graphs.complete(edge)
            self._edges.pop(half.key, None)
        elif stored is None:
            self._store(half.key, edge, halves)

    def _store(self, key: Key, edge: Edge, halves: list[Half]) -> None:
        full = len(self._edges) >= self._graphs.max_items
        if full and not self._graphs.rules.oldest_goes:
            for half in halves:
                self._graphs.gone(half)
            return
        self._edges[key] = edge, halves
        if full:
            _, gone = self._edges.pop(next(iter(self._edges)))
            for half in gone:
                self._graphs.gone(half)

    def filtered(self, half: Half) -> None:
        if half.is_root:
            return
        edge, _ = self._edges.get(half.key, (None, None))
        if edge is not None and half.is_client not in edge.sides:
            del self._edges[half.key]
        self._mark(half)

    def _mark(self, half: Half) -> None:
        if len(self._markers) < self._graphs.max_items:
            self._markers.add((half.key, half.is_client))

    def expire(self) -> None:
        for edge, _ in self._edges.values():
            self._graphs.give_up(edge)
        self._edges.clear()
        self._markers.clear()


class FanOut:
    """Ours: every server that names a client is an edge with it (D2)."""

    def __init__(self, graphs: Oracle) -> None:
        self._graphs = graphs
        self._clients: dict[Key, Half] = {}
        self._databases: set[Key] = set()
        self._servers: dict[Key, list[Half]] = defaultdict(list)
        """Those that no client was there for."""
        self._nameless: dict[Key, list[Half]] = defaultdict(list)
        """Servers without a name, whose client waits or is to come."""
        self._pending: dict[int, Half] = {}
        self._markers: set[tuple[Key, bool]] = set()

    def take(self, half: Half) -> None:
        if not half.service and not half.is_root:
            if not half.is_client:
                self._hint(half)
        elif half.is_client:
            self._client(half)
        elif half.key in self._clients:
            if half.key not in self._databases:
                self._pair(self._clients[half.key], half)
        elif (half.key, True) not in self._markers:
            self._servers[half.key].append(half)
            self._wait(half)

    def _hint(self, half: Half) -> None:
        client = self._clients.get(half.key)
        waits = self._servers[half.key] or self._nameless[half.key]
        is_marked = (half.key, True) in self._markers and not waits
        if client.place in self._pending if client else not is_marked:
            self._nameless[half.key] = [half]

    def _client(self, half: Half) -> None:
        if half.key in self._clients:
            return  # only without D3
        waiting = [each for each in self._servers.pop(half.key, ()) if each.service]
        self._clients[half.key] = half
        alone = Edge()
        self._graphs.write(alone, half)
        hints = self._nameless[half.key]
        if not waiting and not hints and (half.key, False) in self._markers:
            if alone.is_complete:
                self._databases.add(half.key)
            return
        if alone.is_complete:
            self._databases.add(half.key)
            edge = Edge()
            for each in (*hints, *waiting, half):
                self._graphs.write(edge, each)
                self._pending.pop(each.place, None)
            edge.client_seconds = edge.server_seconds = half.seconds()
            self._graphs.complete(edge)
        elif waiting:
            for each in waiting:
                self._pair(each, half)
        else:
            self._wait(half)

    def _pair(self, earlier: Half, later: Half) -> None:
        edge = Edge()
        for half in (earlier, later):
            self._graphs.write(edge, half)
            self._pending.pop(half.place, None)
        self._graphs.complete(edge)

    def _wait(self, half: Half) -> None:
        self._pending[half.place] = half
        if len(self._pending) > self._graphs.max_items:
            oldest_goes = self._graphs.rules.oldest_goes
            oldest = self._pending.pop(next(iter(self._pending)) if oldest_goes else half.place)
            self._graphs.gone(oldest)
            if oldest.is_client:
                del self._clients[oldest.key]
            else:
                self._servers[oldest.key].remove(oldest)

    def filtered(self, half: Half) -> None:
        if half.is_root:
            return
        if half.is_client:
            if half.key not in self._clients:
                self._nameless.pop(half.key, None)
            for waiting in self._servers.pop(half.key, ()):
                self._pending.pop(waiting.place, None)
        elif half.key in self._clients:
            self._pending.pop(self._clients[half.key].place, None)
        if len(self._markers) < self._graphs.max_items:
            self._markers.add((half.key, half.is_client))

    def expire(self) -> None:
        for half in self._pending.values():
            edge = Edge()
            hints = self._nameless[half.key] if half.is_client else []
            for each in sorted([*hints, half], key=lambda each: each.place):
                self._graphs.write(edge, each)
            self._graphs.give_up(edge)
        for kept in (
            self._nameless,
            self._clients,
            self._databases,
            self._servers,
            self._pending,
            self._markers,
        ):
            kept.clear()
