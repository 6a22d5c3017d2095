"""Pair the halves of edges: the client half with every server half that names it as parent.

This owns which half waits for which, and until when; what a half looks like is none of
its business. Halves are numbered by the caller, upwards. Time is record time, lane by
lane: a half leaves ``wait_ms`` after its record's timestamp, in the order of arrival; a
lane keeps one ``wait_ms``. Halves are taken one after the other, so the outcome does not
depend on how records were cut into batches.

A half that a filter left out is a marker: it makes no edge, and halves of the other side
that only it could answer need not wait. A link is a half of a consumer beside its own: it
stands for one span link and is counted nowhere.

Bounds: ``max_pending`` unpaired halves a tenant, the oldest goes when one more comes; as
many markers. Paired halves are remembered for the wait as well (a late second server still pairs, a
repeated half is recognised). From the oldest half that is remembered to the newest there
are at most ``max_remembered`` numbers; the oldest record of halves is forgotten first.

This is the interface. ``processors/service_graphs/python_pairing.py`` does it in Python, and
``native/src/pairing.rs`` natively; the contract tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.int64]
"""Numbers of halves."""

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
    PRODUCER = 4
    """A client half that pairs with links as well."""
    LINK = 5
    """A server half that pairs with :attr:`PRODUCER` halves alone, on behalf of the last
    half before it that is no link; gone where that one is. Its ``own`` key says nothing."""
    FILTERED_CLIENT = 6
    """A marker: servers that name ``own`` leave, those of the next ``wait_ms`` too."""
    FILTERED_SERVER = 7
    """A marker: the client ``parent`` waits no longer, if it has no other server."""
    NAMELESS = 8
    """A server half that pairs with nothing and is counted nowhere, but may lend something
    to the client ``parent`` while that has no server. Its ``own`` key says nothing."""


@dataclass(frozen=True, slots=True)
class Halves:
    """The halves of a batch: ``n`` halves of ``m`` records.

    Half ``i`` has the number ``first + i``; ``first`` goes on where the last batch ended.
    ``own``: key of (tenant, trace id, span id); ``parent``: key of (tenant, trace id,
    parent span id); both 64-bit hashes (uint64[n]). ``side``: a :class:`Side` (uint8[n]).
    ``tenant``: any code (uint32[n]).

    Record ``j`` has the halves from ``starts[j]`` (int64[m], the first is 0) to the next
    start; it is of ``lane[j]`` (uint64[m]) and has the timestamp ``time_ms[j]`` (int64[m]).
    """

    first: int
    own: NDArray[np.uint64]
    parent: NDArray[np.uint64]
    side: NDArray[np.uint8]
    tenant: NDArray[np.uint32]
    starts: NDArray[np.int64]
    lane: NDArray[np.uint64]
    time_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.own)


def _none() -> Numbers:
    return np.empty(0, np.int64)


def _no_couples() -> Numbers:
    return np.empty((0, 2), np.int64)


@dataclass(frozen=True, slots=True)
class Pairs:
    """What came of halves, by their numbers, each in the order in which it came about.

    ``edges`` (int64[e, 2]) are (client, server); ``absorbed`` (int64[a, 2]) are (closed
    client, server). ``settled`` halves found their first partner, ``closed`` ones, ascending,
    need none; ``repeated`` ones are ignored; ``expired`` and ``evicted`` ones never had one;
    ``excused`` ones need not wait for one that a filter left out, but may still be part of
    an edge. ``unmarked`` are markers there was no room for.
    ``hints`` (int64[h, 2]) are (client, nameless server).
    """

    edges: Numbers = field(default_factory=_no_couples)
    absorbed: Numbers = field(default_factory=_no_couples)
    settled: Numbers = field(default_factory=_none)
    closed: Numbers = field(default_factory=_none)
    repeated: Numbers = field(default_factory=_none)
    expired: Numbers = field(default_factory=_none)
    evicted: Numbers = field(default_factory=_none)
    excused: Numbers = field(default_factory=_none)
    unmarked: Numbers = field(default_factory=_none)
    hints: Numbers = field(default_factory=_no_couples)

    def is_empty(self) -> bool:
        """Whether nothing came of anything."""
        return not any(len(getattr(self, column.name)) for column in fields(self))


COUPLES = frozenset({"edges", "absorbed", "hints"})
"""The columns of :class:`Pairs` that are two numbers wide."""


class Pairing(Protocol):
    """All halves that are pending or remembered."""

    implementation: str
    """``native`` or ``python``; for logs and metrics."""

    def push(self, halves: Halves, wait_ms: int, max_pending: int) -> Pairs:
        """Take the halves of records, in order; each record moves its lane's time first.

        Raises :class:`ValueError` for numbers that do not go on where the last ones ended.
        """
        ...

    def advance(self, lane: int, time_ms: int) -> Pairs:
        """Let the time of ``lane`` reach ``time_ms``; it never goes back."""
        ...

    def close(self, lane: int) -> Numbers:
        """Forget all halves of ``lane``, and its time; returns those that were pending."""
        ...

    def pending(self) -> int:
        """Halves without a partner."""
        ...

    def remembered(self) -> int:
        """Halves of records that are not forgotten."""
        ...

    def oldest(self) -> int | None:
        """The lowest number of a half that is still remembered."""
        ...


NewPairing: TypeAlias = Callable[[], Pairing]
