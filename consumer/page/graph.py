"""Edges to a graph: which nodes there are, what they are, and where they stand.

A name can be that of a service and of a database; these are two nodes. A node is virtual if
it sent no spans: it is known from those of the other side alone.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from consumer.page.layers import Layout, layered

NodeKind = Literal["service", "database", "virtual"]

DATABASE, VIRTUAL = "database", "virtual_node"
_UNKNOWN_CLIENT = "user"
_KEPT_LAYOUTS = 32


class Node(NamedTuple):
    """A node; the order of nodes is that of their names."""

    name: str
    kind: NodeKind


class Link(NamedTuple):
    """An edge of the graph: it is of one connection type, so there can be two between nodes."""

    client: Node
    server: Node
    connection_type: str


@dataclass(frozen=True, slots=True)
class EdgeKey:
    """The labels of an edge. ``virtual_node`` says which side is one, if the label is on."""

    client: str
    server: str
    connection_type: str
    virtual_node: str


def link_of(edge: EdgeKey, services: Collection[str]) -> Link:
    """The nodes of ``edge``; ``services`` are those that sent spans."""
    client, server = Node(edge.client, "service"), Node(edge.server, "service")
    if edge.connection_type == DATABASE:
        server = Node(edge.server, "database")
    elif edge.connection_type == VIRTUAL:
        if _is_client_virtual(edge, services):
            client = Node(edge.client, "virtual")
        else:
            server = Node(edge.server, "virtual")
    return Link(client, server, edge.connection_type)


def _is_client_virtual(edge: EdgeKey, services: Collection[str]) -> bool:
    """By the label, else by who sent spans, else by the name that unknown clients have."""
    if edge.virtual_node:
        return edge.virtual_node == "client"
    if (edge.client in services) != (edge.server in services):
        return edge.server in services
    return edge.client == _UNKNOWN_CLIENT


class Layouts:
    """The layouts of the graphs seen last: a graph that stays the same stays where it is."""

    def __init__(self) -> None:
        self._kept: OrderedDict[frozenset[tuple[Node, Node]], Layout[Node]] = OrderedDict()

    def of(self, links: Sequence[tuple[Link, float]]) -> Layout[Node]:
        """The layout of ``links``, each with its rate."""
        weights: dict[tuple[Node, Node], float] = defaultdict(float)
        for link, rate in links:
            weights[link.client, link.server] += rate
        shape = frozenset(weights)
        layout = self._kept.get(shape)
        if layout is None:
            nodes = sorted({node for edge in weights for node in edge})
            layout = self._kept[shape] = layered(weights, nodes)
            while len(self._kept) > _KEPT_LAYOUTS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(shape)
        return layout
