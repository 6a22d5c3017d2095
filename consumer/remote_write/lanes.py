"""The queues of one endpoint: a lane per tenant (and shard), and whose turn it is.

A lane is taken by one thread at a time and its head share is sent before the next, which
keeps the samples of each series in time order. Lanes take turns request by request, so a
large tenant does not hold up a small one. When a tenant gets another number of shards, the
new lanes are held until the old ones are empty.

Bounds: ``most`` requests under way; per lane ``max_pending_ticks`` shares, for all
``max_pending_bytes`` and a tick. Beyond that the worker pauses (``behind``), or, where the
tenant alone is to blame, its oldest waiting ticks collapse. A caller that goes on regardless
meets the hard bound of twice as many. What collapsed ticks leave is bounded by
``max_kept_samples`` and 1000 shares. An idle tenant has no lane.

Pure: time is passed in, in seconds of the monotonic clock. Not safe for threads.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.gate import Gate
from consumer.remote_write.lane import Lane, Share, Turn

_MAX_KEPT_SHARES = 1000


@dataclass(slots=True, eq=False)
class _Tenant:
    """One tenant's lanes by shard: those that are sent, and those held until they are empty.

    ``shards`` is the number that the last share was cut into.
    """

    shards: int
    active: dict[int, Lane] = field(default_factory=dict)
    held: dict[int, Lane] = field(default_factory=dict)

    def lanes(self) -> Iterator[Lane]:
        """All of them."""
        return chain(self.active.values(), self.held.values())

    @property
    def ticks(self) -> int:
        """How many whole ticks wait, those of the fullest shards."""
        of = (self.active.values(), self.held.values())
        return sum(max((lane.ticks for lane in lanes), default=0) for lanes in of)


class Lanes:
    """All lanes of an endpoint and the order in which they come up."""

    def __init__(self, endpoint: Endpoint, gate: Gate, most: int) -> None:
        self._endpoint = endpoint
        self.gate = gate
        self.most = most
        self._tenants: dict[str, _Tenant] = {}
        self._turns: list[tuple[float, int, Lane]] = []
        self._last_turn = 0
        self._count = 0
        self._overfull: dict[int, Lane] = {}

    def apply(self, endpoint: Endpoint) -> None:
        """Let the limits of ``endpoint`` count from now on."""
        self._endpoint = endpoint

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Lane]:
        return iter([lane for tenant in self._tenants.values() for lane in tenant.lanes()])

    def shards(self, tenant: str) -> int | None:
        """How many shards the tenant's last share has; None if nothing of it waits."""
        known = self._tenants.get(tenant)
        return None if known is None else known.shards

    def may_reshard(self, tenant: str) -> bool:
        """Whether none of the tenant's lanes is held, nor stuck."""
        known = self._tenants[tenant]
        return not known.held and not any(lane.is_stuck for lane in known.active.values())

    def pending(self, tenant: str) -> tuple[int, int]:
        """Samples and ticks of the tenant that wait; ticks are those of its fullest shards."""
        known = self._tenants.get(tenant)
        if known is None:
            return 0, 0
        return sum(lane.samples for lane in known.lanes()), known.ticks

    def backlog(self, newest_ms: int) -> int:
        """Samples of ticks before ``newest_ms`` that wait because requests take their time."""
        return sum(lane.samples_before(newest_ms) for lane in self if not lane.is_stuck)

    def add(self, tenant: str, shares: Mapping[int, Share], now_s: float, shards: int = 1) -> None:
        """Queue what a tick has in each of so many ``shards``, behind the tenant's others.

        Another number than that of the last is one that ``may_reshard`` allowed.
        """
        known = self._tenants.get(tenant)
        if known is None:
            known = self._tenants[tenant] = _Tenant(shards)
        is_held = bool(known.held) or (shards != known.shards and bool(known.active))
        assert shards == known.shards or not known.held
        known.shards = shards
        lanes = known.held if is_held else known.active
        for shard, share in shares.items():
            lane = lanes.get(shard)
            if lane is None:
                lane = lanes[shard] = Lane(tenant, shard, held=is_held)
                self._count += 1
                if not is_held:
                    self._queue(lane, now_s)
            lane.shares.append(share)
            lane.samples += share.samples
            self._check_fill(lane)

    def take(self, now_s: float) -> tuple[Lane, Turn] | None:
        """Whose turn it is and what for; the lane is the caller's alone until given back.

        To send counts as begun at the gate; the caller reports there how it ended.
        """
        if self._overfull:
            return self._taken(next(iter(self._overfull.values()))), Turn.COLLAPSE
        if self.next_s() > now_s:
            return None
        self.gate.begin()
        return self._taken(heapq.heappop(self._turns)[2]), Turn.SEND

    def next_s(self) -> float:
        """When ``take`` may find a lane; infinity if something else has to happen first."""
        if self._overfull:
            return 0.0
        if self.gate.in_flight >= self.most:
            return float("inf")
        return max(self._next_turn_s(), self.gate.ready_s())

    def give_back(self, lane: Lane, ready_s: float) -> None:
        """End of a turn; the lane's next is not before ``ready_s``."""
        lane.taken = False
        if not lane.shares:
            self._forget(lane)
            return
        if not lane.held:
            self._queue(lane, 0.0 if lane.hurries else ready_s)
        lane.hurries = False
        self._check_fill(lane)

    def remove(self, lane: Lane) -> list[Share]:
        """Forget a lane; returns what waited in it."""
        shares = list(lane.shares)
        lane.shares.clear()
        lane.samples = 0
        lane.turn = 0
        self._overfull.pop(id(lane), None)
        self._forget(lane)
        return shares

    def is_refused(self, lane: Lane) -> bool:
        """Whether the tenant alone is to blame for what waits: nobody else waits for it.

        So it is when the lane is held up while the endpoint works for other tenants, and
        always where the endpoint is the tenant's own.
        """
        if self._endpoint.private:
            return True
        if lane.held:
            return any(map(self.is_refused, self._before(lane)))
        if lane.trouble is None:
            return False
        if lane.trouble.is_the_tenants:
            return True
        return self.gate.others_answered(lane.tenant, lane.failing_since_s)

    def is_overfull(self, lane: Lane) -> bool:
        """Whether the lane's oldest waiting tick has to collapse."""
        if lane.oldest_waiting() is None:
            return False
        limit = self._endpoint.max_pending_ticks
        if not self.is_refused(lane):
            return lane.ticks > 2 * limit
        return lane.ticks > limit or self._is_too_large(self)

    def behind(self) -> bool:
        """Whether the endpoint, and not one tenant's refusal, keeps a lane full, or all of them."""
        most = 0
        waiting: list[Lane] = []
        for tenant in self._tenants.values():
            ticks = 0
            for lanes in (tenant.active, tenant.held):
                orderly = [lane for lane in lanes.values() if not self.is_refused(lane)]
                ticks += max((lane.ticks for lane in orderly), default=0)
                waiting += orderly
            most = max(most, ticks)
        limit = self._endpoint.max_pending_ticks
        return most >= limit or (most > 1 and self._is_too_large(waiting))

    def _is_too_large(self, lanes: Iterable[Lane]) -> bool:
        return sum(lane.size_bytes for lane in lanes) >= self._endpoint.max_pending_bytes

    def replace(self, lane: Lane, index: int, kept: Share) -> list[Share]:
        """Put what is kept in place of a collapsed share; returns kept shares over the bound.

        The lane's head, and what a held lane waits for, is no longer waited for: a tenant
        that is refused for good must not keep the offsets of all others from being committed.
        """
        lane.shares[0].settle()
        if lane.held:
            for share in chain.from_iterable(each.shares for each in self._before(lane)):
                share.settle()
        old = lane.shares[index]
        old.settle()
        lane.samples += kept.samples - old.samples
        if kept.samples:
            lane.shares[index] = kept
        else:
            del lane.shares[index]
        return self._shed(lane)

    def _before(self, lane: Lane) -> Iterable[Lane]:
        """The lanes that have to be empty before a held one."""
        return self._tenants[lane.tenant].active.values()

    def hurry(self, now_s: float) -> None:
        """Let every lane try once more now, whatever it waits for."""
        self.gate.hurry()
        for lane in self:
            if lane.taken:
                lane.hurries = True
            elif not lane.held:
                self._queue(lane, now_s)

    def _forget(self, lane: Lane) -> None:
        tenant = self._tenants[lane.tenant]
        del (tenant.held if lane.held else tenant.active)[lane.shard]
        self._count -= 1
        if not tenant.active:
            tenant.active, tenant.held = tenant.held, {}
            for next_lane in tenant.active.values():
                next_lane.held = False
                if not next_lane.taken:
                    self._queue(next_lane, 0.0)
        if not tenant.active:
            del self._tenants[lane.tenant]

    def _shed(self, lane: Lane) -> list[Share]:
        kept = [share for share in lane.shares if share.kept and share is not lane.shares[0]]
        samples = sum(share.samples for share in kept)
        shed: list[Share] = []
        for share in kept:
            count = len(kept) - len(shed)
            if samples <= self._endpoint.max_kept_samples and count <= _MAX_KEPT_SHARES:
                break
            lane.shares.remove(share)
            lane.samples -= share.samples
            samples -= share.samples
            shed.append(share)
        return shed

    def _check_fill(self, lane: Lane) -> None:
        if not lane.taken and self.is_overfull(lane):
            self._overfull[id(lane)] = lane

    def _queue(self, lane: Lane, ready_s: float) -> None:
        self._last_turn += 1
        lane.turn = self._last_turn
        lane.ready_s = ready_s
        heapq.heappush(self._turns, (ready_s, lane.turn, lane))
        if len(self._turns) > 2 * len(self) + 16:
            self._turns = [entry for entry in self._turns if entry[1] == entry[2].turn]
            heapq.heapify(self._turns)

    def _next_turn_s(self) -> float:
        while self._turns and self._turns[0][1] != self._turns[0][2].turn:
            heapq.heappop(self._turns)
        return self._turns[0][0] if self._turns else float("inf")

    def _taken(self, lane: Lane) -> Lane:
        self._overfull.pop(id(lane), None)
        lane.taken = True
        lane.turn = 0
        return lane
