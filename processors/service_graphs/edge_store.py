"""Halves of edges with their columns and strings, for all service graphs of a worker.

The graphs of one store share it: a tenant may go from one to another, its halves stay and
pair across. Each graph is an owner with lanes of its own, so what expires is told to the
graph that took it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.delta import by_name
from processors.service_graphs.halves import NOBODY, Columns, HalfStore
from processors.service_graphs.pairing import Halves, NewPairing, Numbers, Pairs, Side
from processors.service_graphs.python_pairing import PythonPairing
from processors.strings import KeptStrings

CODES = ("service", "peer", "database")
"""Columns of kept strings, as are those of :func:`dimension`."""

TRACE_ID, SPAN_ID = ("trace_id_high", "trace_id_low"), "span_id"
"""Columns (uint64) that halves have where edges get exemplars."""

_DIMENSION = "dimension "
_HINT = "hint"
"""Of a client: 1 more than the number of a nameless server that names it."""

_LANE_BITS = np.uint64(32)


def dimension(key: str) -> str:
    """The column that keeps attribute ``key``."""
    return f"{_DIMENSION}{key}"


@dataclass(frozen=True, slots=True)
class HalfRows:
    """New halves: ``columns`` as they are kept, the other fields as in `pairing.Halves`.

    ``columns`` has at least ``side``, ``tenant``, ``service`` and ``kind``.
    """

    columns: Columns
    own: NDArray[np.uint64]
    parent: NDArray[np.uint64]
    starts: NDArray[np.int64]
    lane: NDArray[np.uint32]
    time_ms: NDArray[np.int64]


class EdgeStore:
    """What waits and what is remembered, of all tenants."""

    def __init__(self, pairing: NewPairing = PythonPairing) -> None:
        self.kept = KeptStrings()
        self.tenants = KeptStrings()
        self._pairing = pairing()
        self._halves = HalfStore()
        self._owners = 0
        self._pending: Counter[int] = Counter()
        """Owner -> halves; kept up to date while there is more than one owner."""
        self._lanes: dict[int, set[int]] = {}
        """Owner -> those of its lanes that have a time."""

    def __len__(self) -> int:
        return len(self._halves)

    @property
    def next_number(self) -> int:
        """The number of the first half that :meth:`push` would take."""
        return self._halves.next_number

    def join(self) -> int:
        """Make a new owner."""
        if len(self._pending) == 1:
            (only,) = self._pending
            self._pending[only] = self._pairing.pending()
        self._owners += 1
        self._pending[self._owners] = 0
        self._lanes[self._owners] = set()
        return self._owners

    def leave(self, owner: int) -> None:
        """End an owner with nothing pending; what is remembered for it is forgotten."""
        for lane in tuple(self._lanes[owner]):
            self.close(owner, lane)
        del self._pending[owner], self._lanes[owner]

    def push(self, owner: int, rows: HalfRows, wait_ms: int, max_pending: int) -> Pairs:
        """Let new halves pair, and keep their columns."""
        side = rows.columns["side"]
        self._lanes[owner].update(rows.lane.tolist())
        pairs = self._pairing.push(
            Halves(
                first=self._halves.next_number,
                own=rows.own,
                parent=rows.parent,
                side=side,
                tenant=rows.columns["tenant"],
                starts=rows.starts,
                lane=_lane(owner, rows.lane),
                time_ms=rows.time_ms,
            ),
            wait_ms,
            max_pending,
        )
        columns = {**rows.columns, "owner": np.full(len(side), owner, np.uint32)}
        self._halves.append(columns)
        if len(pairs.hints):
            self._halves.set(_HINT, pairs.hints[:, 0], pairs.hints[:, 1] + 1)
        if len(self._pending) > 1:
            self._pending[owner] += int(np.count_nonzero(side < Side.LINK))
            self._end(pairs)
        return pairs

    def advance(self, owner: int, lane: int, time_ms: int) -> Pairs:
        """Let the time of a lane reach ``time_ms``."""
        self._lanes[owner].add(lane)
        pairs = self._pairing.advance(int(_lane(owner, lane)), time_ms)
        self._end(pairs)
        return pairs

    def close(self, owner: int, lane: int) -> Numbers:
        """Forget the halves of a lane; returns those that were pending."""
        self._lanes[owner].discard(lane)
        numbers = self._pairing.close(int(_lane(owner, lane)))
        self._end(Pairs(expired=numbers))
        return numbers

    def pending(self, owner: int) -> int:
        """Halves of ``owner`` that wait."""
        return self._pending[owner] if len(self._pending) > 1 else self._pairing.pending()

    def of(self, numbers: Numbers, column: str) -> NDArray[Any]:
        """A column of the halves with ``numbers``; zero for `halves.NOBODY`."""
        return self._halves.take(column, numbers)

    def hints(self, clients: Numbers) -> Numbers:
        """The nameless server that names a client, or `halves.NOBODY`."""
        if _HINT not in self._halves.names:
            return np.full(len(clients), NOBODY)
        return self.of(clients, _HINT) - 1

    def count(self, numbers: Numbers) -> Counter[str]:
        """How many of ``numbers`` each tenant has."""
        if not len(numbers):
            return Counter()
        return by_name(self.tenants.text, np.bincount(self.of(numbers, "tenant")))

    def release(self) -> None:
        """Let go of halves that nothing can name any more, and of their strings."""
        if not len(self._halves):
            return
        oldest = self._pairing.oldest()
        self._halves.release(self._halves.next_number if oldest is None else oldest)
        names = [n for n in self._halves.names if n in CODES or n.startswith(_DIMENSION)]
        renamed = self.kept.compact([self._halves.all(name) for name in names])
        if renamed is not None:
            for name in names:
                self._halves.replace(name, renamed[self._halves.all(name)])

    def _end(self, pairs: Pairs) -> None:
        """Count the halves in ``pairs`` as pending no longer."""
        if len(self._pending) <= 1 or pairs.is_empty():
            return
        ended = (pairs.settled, pairs.closed, pairs.repeated, pairs.expired, pairs.evicted)
        numbers = np.concatenate([*ended, pairs.excused, pairs.absorbed[:, 1]])
        owners, counts = np.unique(self.of(numbers, "owner"), return_counts=True)
        for owner, count in zip(owners.tolist(), counts.tolist(), strict=True):
            self._pending[owner] -= count


def _lane(owner: int, lane: NDArray[np.uint32] | int) -> NDArray[np.uint64]:
    """A lane of one owner among the lanes of all."""
    return np.asarray(lane, np.uint64) | np.uint64(owner) << _LANE_BITS
