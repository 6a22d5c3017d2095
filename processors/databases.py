"""The names of the databases that spans call (tempo-behaviour.md 2.2.7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from processors.batch import ABSENT, Codes, SpanBatch
from processors.labels import Dictionary

ADDRESS_KEYS = ("peer.service", "server.address", "network.peer.address", "network.peer.port")
"""What names a database before its own name does."""


def database_node(batch: SpanBatch, name_keys: Sequence[str], dictionary: Dictionary) -> Codes:
    """The node of the database a span calls, ABSENT where it calls none (uint32[n]).

    A span with one of ``name_keys`` calls a database; EMPTY where the attribute that
    names it is empty.
    """
    name = np.zeros(len(batch), np.uint32)
    for key in name_keys:
        name = np.where(name == ABSENT, batch.find(key), name)
    calls = np.flatnonzero(name != ABSENT)
    service, server, address, port = (batch.find(key)[calls] for key in ADDRESS_KEYS)
    node = np.where(service != ABSENT, service, server)
    peers = np.flatnonzero((node == ABSENT) & (address != ABSENT))
    if len(peers):
        node[peers] = dictionary.combine([address[peers], port[peers]], _peer)
    name[calls] = np.where(node != ABSENT, node, name[calls])
    return name


def _peer(address: str, port: str) -> str:
    return f"{address}:{port}" if port else address
