"""Halves for tests of pairing, and the outcome as plain lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np

from processors.service_graphs.pairing import Halves, Pairing, Pairs, Side

NO_PARENT = 0


@dataclass(frozen=True)
class Half:
    """A half whose keys are small numbers."""

    side: Side
    own: int
    parent: int = NO_PARENT
    tenant: int = 0


@dataclass(frozen=True)
class Record:
    """The halves of one record."""

    halves: Sequence[Half]
    time_ms: int = 0
    lane: int = 0


def client(own: int, *, tenant: int = 0) -> Half:
    return Half(Side.CLIENT, own, tenant=tenant)


def server(parent: int, *, own: int | None = None, tenant: int = 0) -> Half:
    """A server half of the client ``parent``; its own key is one that no other has."""
    return Half(Side.SERVER, 1000 + parent if own is None else own, parent, tenant)


def closed(own: int) -> Half:
    return Half(Side.CLOSED, own)


def alone(own: int) -> Half:
    return Half(Side.ALONE, own)


def producer(own: int) -> Half:
    return Half(Side.PRODUCER, own)


def link(key: int) -> Half:
    """A link to ``key`` of the consumer that comes before it."""
    return Half(Side.LINK, 0, key)


def filtered_client(own: int, *, tenant: int = 0) -> Half:
    return Half(Side.FILTERED_CLIENT, own, tenant=tenant)


def filtered_server(parent: int, *, tenant: int = 0) -> Half:
    return Half(Side.FILTERED_SERVER, 0, parent, tenant)


def nameless(parent: int) -> Half:
    return Half(Side.NAMELESS, 0, parent)


def columns(records: Sequence[Record], first: int = 0) -> Halves:
    """``records`` as one batch."""
    halves = [half for record in records for half in record.halves]
    ends = np.cumsum([0, *(len(record.halves) for record in records)])
    return Halves(
        first=first,
        own=np.array([half.own for half in halves], np.uint64),
        parent=np.array([half.parent for half in halves], np.uint64),
        side=np.array([half.side for half in halves], np.uint8),
        tenant=np.array([half.tenant for half in halves], np.uint32),
        starts=ends[:-1].astype(np.int64),
        lane=np.array([record.lane for record in records], np.uint64),
        time_ms=np.array([record.time_ms for record in records], np.int64),
    )


Lists: TypeAlias = dict[str, list[Any]]


def lists(pairs: Pairs) -> Lists:
    """The columns that hold anything."""
    found = {column.name: getattr(pairs, column.name).tolist() for column in fields(pairs)}
    return {name: values for name, values in found.items() if values}


class Feed:
    """A pairing with numbers that go on: ``feed(client(1), server(1), time_ms=5)``."""

    def __init__(self, pairing: Pairing, wait_ms: int, max_pending: int) -> None:
        self.pairing = pairing
        self.wait_ms = wait_ms
        self.max_pending = max_pending
        self._next = 0

    def __call__(self, *halves: Half, time_ms: int = 0, lane: int = 0) -> Lists:
        """Push one record."""
        return self.push([Record(halves, time_ms, lane)])

    def push(self, records: Sequence[Record]) -> Lists:
        """Push one batch."""
        batch = columns(records, self._next)
        self._next += len(batch)
        return lists(self.pairing.push(batch, self.wait_ms, self.max_pending))

    def advance(self, lane: int, time_ms: int) -> Lists:
        return lists(self.pairing.advance(lane, time_ms))

    def close(self, lane: int) -> list[int]:
        closed: list[int] = self.pairing.close(lane).tolist()
        return closed
