"""Who is admitted: the limits of series and of entities (tempo-behaviour.md 3.8).

The rule is Tempo's: candidates come one after the other, and each is admitted if there
is room for all of its series. In a frame they are ordered by first appearance of the
label set, and in a label set family by family; frames are ordered as they come. A micro
batch of one record is thus admitted as by Tempo, but for ``traces_target_info``, which
asks after all spans of the batch; in one of many records a processor's label sets come
together, not record by record.

Bounds: an entry of a dictionary for each entity that is alive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumer.registry.hashes import Hashes
from consumer.registry.slots import Rows, Slots
from consumer.registry.table import Flags
from processors.grouping import group

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """``g`` label sets that ask for new series.

    ``rows`` (uint32[g, 1 + k]): tenant and labels; equal ones may be there. ``asked``
    (bool[g, f]): the families that would begin. ``sizes`` (int64[f]): series of each.
    ``order`` (intp[g]): the label sets by first appearance.
    """

    rows: Rows
    asked: Flags
    sizes: Numbers
    order: Slots

    @property
    def tenant(self) -> NDArray[np.uint32]:
        """The tenant of each label set (uint32[g])."""
        return self.rows[:, 0]


def refuse_series(candidates: Candidates, room: Numbers) -> Flags | None:
    """What of ``candidates.asked`` has no room (bool[g, f]), ``None`` if all have.

    ``room`` (int64[tenants]) is the number of series that each tenant may still get.
    """
    needed = candidates.asked @ candidates.sizes
    by_tenant = np.bincount(candidates.tenant, weights=needed)
    crowded = np.flatnonzero((by_tenant > 0) & (by_tenant > room[: len(by_tenant)]))
    if not len(crowded):
        return None
    refused = np.zeros(candidates.asked.shape, np.bool_)
    order = candidates.order
    is_crowded = np.zeros(len(by_tenant), np.bool_)
    is_crowded[crowded] = True
    asking = order[(needed[order] > 0) & is_crowded[candidates.tenant[order]]]
    for tenant, rows in by_tenant_of(candidates.tenant, asking):
        asked = candidates.asked[rows]
        leaders = _leaders(candidates.rows[rows])
        together = np.zeros(asked.shape, np.bool_)
        np.logical_or.at(together, leaders, asked)
        admitted = np.zeros(asked.shape, np.bool_)
        sizes = np.broadcast_to(candidates.sizes, asked.shape)[together]
        admitted[together] = first_that_fit(sizes, int(room[tenant]))
        refused[rows] = asked & ~admitted[leaders]
    return refused


def first_that_fit(sizes: Numbers, room: int) -> Flags:
    """Which of ``sizes`` (int64[n]) are admitted when each in turn is, if it fits (bool[n]).

    There are as many rounds as there are different sizes: what did not fit once never will.
    """
    admitted = np.zeros(len(sizes), np.bool_)
    left = np.flatnonzero(sizes <= room)
    while len(left):
        total = np.cumsum(sizes[left])
        count = int(np.searchsorted(total, room, side="right"))
        admitted[left[:count]] = True
        room -= int(total[count - 1])
        left = left[count:]
        left = left[sizes[left] <= room]
    return admitted


class Entities:
    """The label sets that are alive, over all tables: how many slots each has."""

    def __init__(self) -> None:
        self._slots: dict[int, dict[int, int]] = {}
        """Tenant -> hash of the label set -> slots."""
        self.added: Counter[int] = Counter()
        self.removed: Counter[int] = Counter()

    def active(self) -> Counter[int]:
        """Entities by tenant."""
        return Counter({tenant: len(entities) for tenant, entities in self._slots.items()})

    def refuse(self, candidates: Candidates, hashes: Hashes, maxima: Numbers) -> Flags | None:
        """Which label sets are new and have no room (bool[g]), ``None`` if there are none.

        ``maxima`` (int64[tenants]) is the number of entities that each tenant may have.
        """
        order = candidates.order
        asking = order[candidates.asked[order].any(axis=1)]
        refused = np.zeros(len(hashes), np.bool_)
        for tenant, rows in by_tenant_of(candidates.tenant, asking):
            known = self._slots.get(tenant, {})
            room = int(maxima[tenant]) - len(known)
            if len(rows) <= room:
                continue
            of_row = hashes[rows].tolist()
            new = [each for each in dict.fromkeys(of_row) if each not in known]
            too_many = set(new[max(0, room) :])
            refused[rows] = [each in too_many for each in of_row]
        return refused if refused.any() else None

    def enter(self, tenant: NDArray[np.uint32], hashes: Hashes) -> None:
        """Each of these label sets got a slot."""
        for code, each in zip(tenant.tolist(), hashes.tolist(), strict=True):
            entities = self._slots.setdefault(code, {})
            count = entities.get(each, 0)
            entities[each] = count + 1
            self.added[code] += not count

    def leave(self, tenant: NDArray[np.uint32], hashes: Hashes) -> None:
        """Each of these label sets lost a slot."""
        for code, each in zip(tenant.tolist(), hashes.tolist(), strict=True):
            entities = self._slots[code]
            entities[each] -= 1
            if not entities[each]:
                del entities[each]
                self.removed[code] += 1
            if not entities:
                del self._slots[code]


def by_tenant_of(tenant: NDArray[np.uint32], rows: Slots) -> Iterator[tuple[int, Slots]]:
    """``rows`` (intp[n], into ``tenant``) cut into tenants; their order stays."""
    codes = tenant[rows]
    sorted_rows = rows[np.argsort(codes, kind="stable")]
    distinct, counts = np.unique(codes, return_counts=True)
    ends = np.cumsum(counts).tolist()
    for code, count, end in zip(distinct.tolist(), counts.tolist(), ends, strict=True):
        yield code, sorted_rows[end - count : end]


def _leaders(rows: Rows) -> Slots:
    """For each row the index of the first one that is equal (intp[n])."""
    groups = group(list(rows.T))
    return groups.first[groups.of_row]
