"""Edges of a service graph as columns, and how they come of pairs (tempo-behaviour.md 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from processors.batch import ABSENT, EMPTY, Codes, Kind, Mask
from processors.service_graphs.edge_store import EdgeStore
from processors.service_graphs.halves import NOBODY
from processors.service_graphs.pairing import Numbers, Pairs

DATABASE, MESSAGING, VIRTUAL = "database", "messaging_system", "virtual_node"
"""Values of the label ``connection_type``; a plain request has none."""


@dataclass(frozen=True, slots=True)
class Edges:
    """``e`` edges: the numbers of their halves (`halves.NOBODY` for a side never seen).

    ``client``, ``server``, ``connection_type`` and ``virtual_node`` (which of the sides is
    one) are label values, as kept strings. The seconds are NaN where a side was not measured (D1).
    """

    client_half: Numbers
    server_half: Numbers
    client: Codes
    server: Codes
    connection_type: Codes
    virtual_node: Codes
    client_seconds: NDArray[np.float64]
    server_seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.client_half)

    def last_half(self) -> Numbers:
        """The half of each edge that was processed last."""
        return np.maximum(self.client_half, self.server_half)

    def settled_by(self, mask: Mask, store: EdgeStore) -> Numbers:
        """The halves whose first edge is one where ``mask`` (bool[e]) is true.

        The first, so that it does not matter which of a half's edges are in one batch.
        """
        speaker = self.server_half - store.of(self.server_half, "behind")
        settled = []
        for half in (self.client_half, speaker):
            numbers, first = np.unique(half, return_index=True)
            settled.append(numbers[mask[first]])
        return np.concatenate(settled)

    def where(self, mask: Mask) -> Edges:
        """The edges where ``mask`` (bool[e]) is true."""
        return Edges(*(getattr(self, field.name)[mask] for field in fields(self)))


def edges_of(pairs: Pairs, store: EdgeStore, unknown_client: str) -> Edges | None:
    """All edges that come of ``pairs``; ``None`` when none does."""
    parts = []
    if len(pairs.edges):
        parts.append(_requests(pairs, store))
    if len(pairs.closed):
        parts.append(_database_calls(pairs, store))
    if len(pairs.expired):
        parts.append(_virtual(pairs.expired, store, unknown_client))
    parts = [part for part in parts if len(part)]
    return _concatenate(parts) if parts else None


def _concatenate(parts: Sequence[Edges]) -> Edges:
    if len(parts) == 1:
        return parts[0]
    return Edges(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Edges))
    )


def _requests(pairs: Pairs, store: EdgeStore) -> Edges:
    """Edges of two halves. Either side makes it messaging (D4).

    A client that calls a database without a name, and came last, decides about the others.
    """
    client, server = pairs.edges[:, 0], pairs.edges[:, 1]
    is_messaging = (store.of(client, "kind") == Kind.PRODUCER) | (
        store.of(server, "kind") == Kind.CONSUMER
    )
    connection_type = np.where(is_messaging, store.kept.code(MESSAGING), np.uint32(ABSENT))
    client_seconds, server_seconds = store.of(client, "seconds"), store.of(server, "seconds")
    is_call = (store.of(client, "database") == EMPTY) & (client > server)
    if is_call.any():
        connection_type[is_call & ~is_messaging] = store.kept.code(DATABASE)
        server_seconds = np.where(is_call, client_seconds, server_seconds)
    return Edges(
        client_half=client,
        server_half=server,
        client=store.of(client, "service"),
        server=store.of(server, "service"),
        connection_type=connection_type,
        virtual_node=np.zeros(len(client), np.uint32),
        client_seconds=client_seconds,
        server_seconds=server_seconds,
    )


def _database_calls(pairs: Pairs, store: EdgeStore) -> Edges:
    """Edges of a client half alone; the database is taken to need all of its time.

    A server half that came before it lends its error and its dimensions.
    """
    client = pairs.closed
    earlier = pairs.absorbed[pairs.absorbed[:, 1] < pairs.absorbed[:, 0]]
    server = store.hints(client)
    server[np.searchsorted(client, earlier[:, 0])] = earlier[:, 1]
    seconds = store.of(client, "seconds")
    return Edges(
        client_half=client,
        server_half=server,
        client=store.of(client, "service"),
        server=store.of(client, "database"),
        connection_type=np.full(len(client), store.kept.code(DATABASE), np.uint32),
        virtual_node=np.zeros(len(client), np.uint32),
        client_seconds=seconds,
        server_seconds=seconds,
    )


def _virtual(expired: Numbers, store: EdgeStore, unknown_client: str) -> Edges:
    """Edges to a node that sent no span: the caller of a root, the named peer of a client.

    A server without a name lends the client what it knows.
    """
    is_client, peer = store.of(expired, "is_client"), store.of(expired, "peer")
    hint = store.hints(expired)
    if (hint != NOBODY).any():
        lent = store.of(hint, "peer")
        peer = np.where((lent != ABSENT) & ((hint > expired) | (peer == ABSENT)), lent, peer)
    is_edge = np.where(is_client, peer > EMPTY, store.of(expired, "is_root"))
    half, is_client, peer = expired[is_edge], is_client[is_edge], peer[is_edge]
    server_half = np.where(is_client, hint[is_edge], half)
    service, seconds = store.of(half, "service"), store.of(half, "seconds")
    code = store.kept.code
    caller = np.where(peer > EMPTY, peer, code(unknown_client))
    return Edges(
        client_half=np.where(is_client, half, NOBODY),
        server_half=server_half,
        client=np.where(is_client, service, caller),
        server=np.where(is_client, peer, service),
        connection_type=np.full(len(half), code(VIRTUAL), np.uint32),
        virtual_node=np.where(is_client, code("server"), code("client")).astype(np.uint32),
        client_seconds=np.where(is_client, seconds, np.nan),
        server_seconds=np.where(server_half == NOBODY, np.nan, store.of(server_half, "seconds")),
    )
