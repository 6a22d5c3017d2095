"""The names of the databases that spans call (tempo-behaviour.md 2.2.7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from processors.batch import ABSENT, EMPTY, Codes, Mask, SpanBatch
from processors.labels import Dictionary

DATABASE = "database"
"""In an order of names: the attribute by which the span is known to call a database."""

_ADDRESS, _PORT = "network.peer.address", "network.peer.port"

NAME_ORDER = ("peer.service", "server.address", _ADDRESS, DATABASE)
"""Tempo's; the address of a peer is written with its port."""


class DatabaseNames:
    """How the nodes of databases are called.

    ``attributes``: a client span with one of them calls a database. ``order``: attributes
    that name its node, the first that is there, empty or not; :data:`DATABASE` among them
    only where it is not empty, and at last in any case.
    """

    def __init__(self, attributes: Sequence[str], order: Sequence[str]) -> None:
        self._attributes = attributes
        self._order = tuple(dict.fromkeys([*order, DATABASE]))
        named = [key for key in self._order if key != DATABASE]
        ports = [_PORT] if _ADDRESS in named else []
        self.keys = tuple(dict.fromkeys([*named, *ports, *attributes]))

    def find(self, batch: SpanBatch, is_client: Mask, dictionary: Dictionary) -> Codes:
        """The node of the database that a client span calls (uint32[n]).

        ABSENT where it calls none; EMPTY where the attribute that names it is empty.
        """
        called = np.zeros(len(batch), np.uint32)
        for key in self._attributes:
            found = batch.find(key)
            if found.any():
                called = np.where(called == ABSENT, found, called)
        rows = np.flatnonzero((called != ABSENT) & is_client)
        nodes = np.zeros(len(batch), np.uint32)
        if len(rows):
            nodes[rows] = self._node(batch, rows, called[rows], dictionary)
        return nodes

    def _node(
        self, batch: SpanBatch, rows: NDArray[np.intp], called: Codes, dictionary: Dictionary
    ) -> Codes:
        node = np.zeros(len(rows), np.uint32)
        for key in self._order:
            if key == DATABASE:
                node = np.where((node == ABSENT) & (called > EMPTY), called, node)
                continue
            found = batch.find(key)[rows]
            if key == _ADDRESS:
                found = _with_port(found, batch.find(_PORT)[rows], dictionary)
            node = np.where(node == ABSENT, found, node)
        return np.where(node == ABSENT, np.uint32(EMPTY), node)


def _with_port(address: Codes, port: Codes, dictionary: Dictionary) -> Codes:
    rows = np.flatnonzero((address != ABSENT) & (port != ABSENT))
    if len(rows):
        address[rows] = dictionary.combine([address[rows], port[rows]], _joined)
    return address


def _joined(address: str, port: str) -> str:
    return f"{address}:{port}"
