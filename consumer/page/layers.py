"""Lays out a graph in layers: callers before those they call, few crossings, short edges.

After Sugiyama, Tagawa and Toda (1981): turn the edges that close a cycle, let each node's
layer be the longest way to it, cut edges over several layers into pieces, order each layer
by the barycentre of its neighbours, then move nodes towards their neighbours without
changing the order. The same graph gives the same layout, whatever the order it comes in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

_SWEEPS = 12
_PIECE_ROOM = 0.5

Node = TypeVar("Node", bound=Hashable)
Point = tuple[int, float]
"""Layer, and position within it in rooms of a node."""
_Vertex = tuple[int, Hashable]
"""(0, node) or (1, (edge, layer)), a piece of an edge."""


@dataclass(frozen=True, slots=True)
class Layout(Generic[Node]):
    """Where nodes are and which points edges pass; ``size`` is (layers, rooms of the widest)."""

    places: Mapping[Node, Point]
    paths: Mapping[tuple[Node, Node], Sequence[Point]]
    size: tuple[int, float]


def layered(weights: Mapping[tuple[Node, Node], float], nodes: Sequence[Node]) -> Layout[Node]:
    """The layout of ``nodes`` with edges that weigh so much; heavy ones rather go forward.

    Nodes in ``nodes`` come in the order that ties are broken by; edges name only those.
    """
    forward = _without_cycles(weights, nodes)
    layer = _layers(forward, nodes)
    pieces, chains = _pieces(forward, layer)
    order = _ordered(_initial(nodes, layer, pieces), chains)
    position = _positions(order, chains)
    lowest = min(position.values(), default=0.0)
    position = {vertex: at - lowest for vertex, at in position.items()}

    def point(vertex: _Vertex, at_layer: int) -> Point:
        return at_layer, round(position[vertex], 3)

    places = {node: point((0, node), layer[node]) for node in nodes}
    paths = {}
    for edge in weights:
        turned = edge if edge in chains else (edge[1], edge[0])
        first = layer.get(turned[0], 0)
        way = [point(v, first + step) for step, v in enumerate(chains.get(turned, ()))]
        paths[edge] = way if turned == edge else way[::-1]
    rooms = max(position.values(), default=0.0) + 1.0
    return Layout(places, paths, (max(layer.values(), default=0) + 1, round(rooms, 3)))


def _without_cycles(
    weights: Mapping[tuple[Node, Node], float], nodes: Sequence[Node]
) -> set[tuple[Node, Node]]:
    """The edges, those turned that lead back in a walk from the callers nobody calls."""
    out: dict[Node, list[Node]] = defaultdict(list)
    called = set()
    rank = {node: number for number, node in enumerate(nodes)}
    heaviest = sorted(weights, key=lambda edge: (-weights[edge], rank[edge[0]], rank[edge[1]]))
    for client, server in heaviest:
        if client != server:
            out[client].append(server)
            called.add(server)
    forward: set[tuple[Node, Node]] = set()
    entered: set[Node] = set()
    left: set[Node] = set()
    roots = [node for node in nodes if node not in called]
    for root in (*roots, *nodes):
        stack = [] if root in entered else [(root, iter(out[root]))]
        entered.add(root)
        while stack:
            node, rest = stack[-1]
            for server in rest:
                if server not in entered:
                    entered.add(server)
                    forward.add((node, server))
                    stack.append((server, iter(out[server])))
                    break
                forward.add((node, server) if server in left else (server, node))
            else:
                left.add(node)
                stack.pop()
    return forward


def _layers(forward: Iterable[tuple[Node, Node]], nodes: Sequence[Node]) -> dict[Node, int]:
    """The longest way to each node; callers that nobody calls stand just before their first."""
    servers: dict[Node, set[Node]] = defaultdict(set)
    waiting = dict.fromkeys(nodes, 0)
    for client, server in forward:
        servers[client].add(server)
        waiting[server] += 1
    roots = [node for node in nodes if not waiting[node]]
    layer = dict.fromkeys(nodes, 0)
    ready = list(roots)
    for node in ready:
        for server in servers[node]:
            layer[server] = max(layer[server], layer[node] + 1)
            waiting[server] -= 1
            if not waiting[server]:
                ready.append(server)
    for root in roots:
        if servers[root]:
            layer[root] = min(layer[server] for server in servers[root]) - 1
    return layer


def _pieces(
    forward: set[tuple[Node, Node]], layer: Mapping[Node, int]
) -> tuple[dict[int, list[_Vertex]], dict[tuple[Node, Node], list[_Vertex]]]:
    """Pieces of long edges by layer, and each edge as a chain from layer to layer."""
    pieces: dict[int, list[_Vertex]] = defaultdict(list)
    chains = {}
    rank = {node: number for number, node in enumerate(layer)}
    for edge in sorted(forward, key=lambda each: (rank[each[0]], rank[each[1]])):
        client, server = edge
        between = [(1, (edge, at)) for at in range(layer[client] + 1, layer[server])]
        for piece in between:
            pieces[layer[client] + 1 + between.index(piece)].append(piece)
        chains[edge] = [(0, client), *between, (0, server)]
    return pieces, chains


def _initial(
    nodes: Sequence[Node], layer: Mapping[Node, int], pieces: Mapping[int, list[_Vertex]]
) -> list[list[_Vertex]]:
    depth = max(layer.values(), default=-1) + 1
    return [
        [*((0, node) for node in nodes if layer[node] == at), *pieces.get(at, ())]
        for at in range(depth)
    ]


def _neighbours(
    chains: Mapping[tuple[Node, Node], list[_Vertex]],
) -> tuple[dict[_Vertex, list[_Vertex]], dict[_Vertex, list[_Vertex]]]:
    """Of each vertex those in the layer before and in the layer after."""
    before: dict[_Vertex, list[_Vertex]] = defaultdict(list)
    after: dict[_Vertex, list[_Vertex]] = defaultdict(list)
    for chain in chains.values():
        for one, other in pairwise(chain):
            after[one].append(other)
            before[other].append(one)
    return before, after


def _ordered(
    order: list[list[_Vertex]], chains: Mapping[tuple[Node, Node], list[_Vertex]]
) -> list[list[_Vertex]]:
    """The order with the fewest crossings that some sweeps find."""
    before, after = _neighbours(chains)
    best, fewest = order, _crossings(order, after)
    for sweep in range(_SWEEPS):
        order = [list(each) for each in order]
        down = sweep % 2 == 0
        layers = range(1, len(order)) if down else range(len(order) - 2, -1, -1)
        for at in layers:
            fixed = {v: place for place, v in enumerate(order[at - 1 if down else at + 1])}
            near = before if down else after
            own = {v: float(place) for place, v in enumerate(order[at])}
            order[at].sort(key=lambda v: _mean([fixed[n] for n in near[v]], own[v]))
        crossings = _crossings(order, after)
        if crossings < fewest:
            best, fewest = order, crossings
    return best


def _crossings(
    order: Sequence[Sequence[_Vertex]], after: Mapping[_Vertex, Sequence[_Vertex]]
) -> int:
    """How many pairs of pieces cross: inversions of their ends."""
    crossings = 0
    for layer, following in pairwise(order):
        place = {v: at for at, v in enumerate(following)}
        ends = [end for v in layer for end in sorted(place[n] for n in after.get(v, ()))]
        crossings += sum(
            1 for at, end in enumerate(ends) for later in ends[at + 1 :] if later < end
        )
    return crossings


def _positions(
    order: Sequence[Sequence[_Vertex]], chains: Mapping[tuple[Node, Node], list[_Vertex]]
) -> dict[_Vertex, float]:
    """Positions near the neighbours', in that order and with room for each."""
    before, after = _neighbours(chains)
    position: dict[_Vertex, float] = {}
    for layer in order:
        position.update(zip(layer, _spread([0.0] * len(layer), layer), strict=True))
    near = {v: before[v] + after[v] for layer in order for v in layer}
    for sweep in range(_SWEEPS):
        for layer in order if sweep % 2 == 0 else reversed(order):
            wanted = [_mean([position[n] for n in near[v]], position[v]) for v in layer]
            position.update(zip(layer, _spread(wanted, layer), strict=True))
    return position


def _spread(wanted: Sequence[float], layer: Sequence[_Vertex]) -> list[float]:
    """The positions nearest to ``wanted`` (least squares) that keep order and room.

    Isotonic regression by pooling adjacent violators, after taking the room out.
    """
    offsets, offset = [], 0.0
    for at, vertex in enumerate(layer):
        if at:
            offset += (_room(layer[at - 1]) + _room(vertex)) / 2
        offsets.append(offset)
    pools: list[tuple[float, int]] = []
    for want, off in zip(wanted, offsets, strict=True):
        total, count = want - off, 1
        while pools and pools[-1][0] / pools[-1][1] >= total / count:
            before, size = pools.pop()
            total, count = total + before, count + size
        pools.append((total, count))
    levels = [total / count for total, count in pools for _ in range(count)]
    return [level + off for level, off in zip(levels, offsets, strict=True)]


def _room(vertex: _Vertex) -> float:
    """What it takes of its layer: a node 1, a passing edge less."""
    is_piece, _ = vertex
    return _PIECE_ROOM if is_piece else 1.0


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
