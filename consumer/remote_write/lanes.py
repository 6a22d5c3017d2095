"""The queues of one endpoint: a lane per tenant (and shard), and whose turn it is.

A lane is taken by one thread at a time and its head share is sent before the next, which
keeps the samples of each series in time order. Lanes take turns request by request, so a
large tenant does not hold up a small one.

Bounds, per lane: ``max_pending_ticks`` shares; beyond that the worker pauses (``behind``),
or, where the tenant alone is to blame, its oldest waiting ticks collapse. A caller that
goes on regardless meets the hard bound of twice as many. What collapsed ticks leave is
bounded by ``max_kept_samples`` and 1000 shares. An idle tenant has no lane.

Pure: time is passed in, in seconds of the monotonic clock. Not safe for threads.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from consumer.remote_write.client import Trouble
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.gate import Gate
from consumer.remote_write.request import EncodedRequest
from consumer.remote_write.series import SeriesBlock

_MAX_KEPT_SHARES = 1000
# Per tick of a shard. To find one sample among 2000 takes 11 splits, so these find some
# ten, at the price of 256 requests at most. Zero samples are worth less: a quarter.
_MAX_SPLITS = 128
_MAX_ZERO_SPLITS = 32


class Turn(Enum):
    """What a lane was taken for."""

    SEND = "send"
    COLLAPSE = "collapse"


@dataclass(slots=True, eq=False)
class Share:
    """One tenant's part of a tick. ``kept`` is what a collapsed tick left behind."""

    time_ms: int
    blocks: Sequence[SeriesBlock]
    delivery: Delivery | None = None
    kept: bool = False
    samples: int = field(init=False)

    def __post_init__(self) -> None:
        self.samples = sum(len(block) for block in self.blocks)

    def settle(self) -> None:
        """Nobody needs to wait for this share any more."""
        if self.delivery is not None:
            self.delivery.settle_part()
            self.delivery = None


@dataclass(slots=True, eq=False)
class Lane:
    """What waits for one tenant; the first share is being sent.

    ``requests`` encodes the head share, ``request`` is the one to be sent now, after
    ``attempts`` failures, and ``parts`` are to be sent next, before those still to be
    encoded. ``samples`` counts what waits, zero samples left out.
    """

    tenant: str
    shard: int = 0
    shares: deque[Share] = field(default_factory=deque)
    requests: Iterator[EncodedRequest] | None = None
    request: EncodedRequest | None = None
    parts: deque[EncodedRequest] = field(default_factory=deque)
    splits: Counter[bool] = field(default_factory=Counter)
    attempts: int = 0
    trouble: Trouble | None = None
    failing_since_s: float = 0.0
    samples: int = 0
    done_samples: int = 0
    taken: bool = False
    turn: int = 0
    ready_s: float = 0.0

    @property
    def ticks(self) -> int:
        """How many whole ticks wait, the one being sent included."""
        return sum(not share.kept for share in self.shares)

    def fail(self, trouble: Trouble, now_s: float) -> None:
        """The request has to be tried again."""
        self.attempts += 1
        if self.trouble is None or self.trouble.is_the_tenants:
            self.failing_since_s = now_s
        self.trouble = trouble

    def may_split(self, request: EncodedRequest) -> bool:
        """Whether to look for what is refused in ``request``; each yes costs two requests."""
        is_zeros = not request.series
        most = _MAX_ZERO_SPLITS if is_zeros else _MAX_SPLITS
        if request.samples < 2 or self.splits[is_zeros] >= most:
            return False
        self.splits[is_zeros] += 1
        return True

    def replace_request(self, parts: Sequence[EncodedRequest]) -> None:
        """Send ``parts`` instead of the present request."""
        self.parts.extendleft(reversed(parts))
        self.request = None
        self.attempts = 0
        self.trouble = None

    def finish_request(self, request: EncodedRequest) -> None:
        """The request is delivered or rejected for good."""
        self.request = None
        self.attempts = 0
        self.trouble = None
        self.done_samples += request.series
        self.samples -= request.series

    def pop(self) -> Share:
        """Take the head share out; what it had left is done with."""
        share = self.shares.popleft()
        self.samples -= share.samples - self.done_samples
        self.done_samples = 0
        self.requests = None
        self.request = None
        self.parts.clear()
        self.splits.clear()
        self.attempts = 0
        return share

    def oldest_waiting(self) -> int | None:
        """Index of the oldest whole tick behind the head that has a later one behind it."""
        whole = [index for index, share in enumerate(self.shares) if index and not share.kept]
        return whole[0] if len(whole) > 1 else None


class Lanes:
    """All lanes of an endpoint and the order in which they come up."""

    def __init__(self, endpoint: Endpoint, gate: Gate) -> None:
        self._endpoint = endpoint
        self.gate = gate
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._tenants: dict[str, dict[int, Lane]] = {}
        self._turns: list[tuple[float, int, Lane]] = []
        self._last_turn = 0
        self._overfull: dict[tuple[str, int], Lane] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def __iter__(self) -> Iterator[Lane]:
        return iter(list(self._lanes.values()))

    def waits(self, tenant: str) -> bool:
        """Whether anything of the tenant is not settled yet."""
        return tenant in self._tenants

    def pending(self, tenant: str) -> tuple[int, int]:
        """Samples and ticks of the tenant that wait; ticks are those of its fullest shard."""
        lanes = self._tenants.get(tenant, {}).values()
        ticks = max((lane.ticks for lane in lanes), default=0)
        return sum(lane.samples for lane in lanes), ticks

    def add(self, tenant: str, share: Share, now_s: float, shard: int = 0) -> Lane:
        """Queue a share behind the others of the tenant's shard."""
        lane = self._lanes.get((tenant, shard))
        if lane is None:
            lane = self._lanes[tenant, shard] = Lane(tenant, shard)
            self._tenants.setdefault(tenant, {})[shard] = lane
            self._queue(lane, now_s)
        lane.shares.append(share)
        lane.samples += share.samples
        self._check_fill(lane)
        return lane

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
        return max(self._next_turn_s(), self.gate.ready_s())

    def give_back(self, lane: Lane, ready_s: float) -> None:
        """End of a turn; the lane's next is not before ``ready_s``."""
        lane.taken = False
        if not lane.shares:
            self._forget(lane)
            return
        self._queue(lane, ready_s)
        self._check_fill(lane)

    def remove(self, lane: Lane) -> None:
        """Forget a lane with all that waits in it."""
        lane.shares.clear()
        lane.samples = 0
        lane.turn = 0
        self._overfull.pop((lane.tenant, lane.shard), None)
        self._forget(lane)

    def is_refused(self, lane: Lane) -> bool:
        """Whether the lane is held up while the endpoint works for other tenants."""
        if lane.trouble is None:
            return False
        if lane.trouble.is_the_tenants:
            return True
        return self.gate.others_answered(lane.tenant, lane.failing_since_s)

    def is_overfull(self, lane: Lane) -> bool:
        """Whether the lane's oldest waiting tick has to collapse."""
        limit = self._endpoint.max_pending_ticks
        if not self.is_refused(lane):
            limit *= 2
        return lane.ticks > limit and lane.oldest_waiting() is not None

    def behind(self) -> bool:
        """Whether the endpoint, and not one tenant's refusal, keeps a lane full."""
        limit = self._endpoint.max_pending_ticks
        return any(
            lane.ticks >= limit and not self.is_refused(lane) for lane in self._lanes.values()
        )

    def replace(self, lane: Lane, index: int, kept: Share) -> list[Share]:
        """Put what is kept in place of a collapsed share; returns kept shares over the bound.

        The lane's head is no longer waited for: a tenant that is refused for good must
        not keep the offsets of all others from being committed.
        """
        lane.shares[0].settle()
        old = lane.shares[index]
        old.settle()
        lane.samples += kept.samples - old.samples
        if kept.samples:
            lane.shares[index] = kept
        else:
            del lane.shares[index]
        return self._shed(lane)

    def hurry(self, now_s: float) -> None:
        """Let every lane try once more now, whatever it waits for."""
        self.gate.hurry()
        for lane in self._lanes.values():
            if not lane.taken:
                self._queue(lane, now_s)

    def _forget(self, lane: Lane) -> None:
        del self._lanes[lane.tenant, lane.shard]
        shards = self._tenants[lane.tenant]
        del shards[lane.shard]
        if not shards:
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
            self._overfull[lane.tenant, lane.shard] = lane

    def _queue(self, lane: Lane, ready_s: float) -> None:
        self._last_turn += 1
        lane.turn = self._last_turn
        lane.ready_s = ready_s
        heapq.heappush(self._turns, (ready_s, lane.turn, lane))
        if len(self._turns) > 2 * len(self._lanes) + 16:
            self._turns = [entry for entry in self._turns if entry[1] == entry[2].turn]
            heapq.heapify(self._turns)

    def _next_turn_s(self) -> float:
        while self._turns and self._turns[0][1] != self._turns[0][2].turn:
            heapq.heappop(self._turns)
        return self._turns[0][0] if self._turns else float("inf")

    def _taken(self, lane: Lane) -> Lane:
        self._overfull.pop((lane.tenant, lane.shard), None)
        lane.taken = True
        lane.turn = 0
        return lane
