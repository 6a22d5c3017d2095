"""Sends what waits for one endpoint, with no more threads than there are shards.

A thread takes a lane, sends one request of it, settles the outcome and gives the lane
back; nothing sleeps while it holds a thread. All state is guarded by one condition;
encoding, collapsing and HTTP happen outside of it, on a lane that is the thread's alone.
Threads begin when there is work for them and end after a minute without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, isinf
from random import Random
from threading import Condition, Thread, current_thread

from consumer.clock import Clock
from consumer.remote_write.backoff import Backoff
from consumer.remote_write.client import Delivered, Outcome, Rejected, Retry
from consumer.remote_write.collapse import collapse
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.gate import Gate
from consumer.remote_write.headers import TenantHeaders
from consumer.remote_write.lane import Lane, Share, Turn
from consumer.remote_write.lanes import Lanes
from consumer.remote_write.link import Link
from consumer.remote_write.metadata import Family, families_of
from consumer.remote_write.observer import Observer
from consumer.remote_write.report import Report
from consumer.remote_write.request import EncodedRequest, Message
from consumer.remote_write.resharding import Resharding
from consumer.remote_write.series import SeriesBlock
from consumer.remote_write.shards import count_for, cut, is_worth_it

_JOIN_S = 1.0
_IDLE_S = 60.0
_REMOVED = "endpoint_removed"
_SHUTDOWN = "shutdown"


class Dispatcher:
    """The queues, threads and connections of one endpoint."""

    def __init__(
        self, endpoint: Endpoint, headers: TenantHeaders, *, clock: Clock, observer: Observer
    ) -> None:
        self._name = endpoint.name
        self._clock = clock
        self._observer = observer
        self._report = Report(endpoint.name, observer, clock)
        self._link = Link(endpoint, headers, report=self._report, clock=clock)
        self._resharding = Resharding(endpoint.min_shards, endpoint.max_shards)
        self._random = Random(clock.now_ms())  # noqa: S311 - spreads retries, keeps no secret
        self._backoff = Backoff(endpoint.min_backoff_s, endpoint.max_backoff_s, self._random)
        self._lanes = Lanes(endpoint, Gate(self._backoff), self._resharding.shards)
        self._changed = Condition()
        self._threads: set[Thread] = set()
        self._hired = 0
        self._told_ms: dict[str, int] = {}
        """By tenant that was seen lately: when its metadata was told last."""
        self._newest_ms = 0
        self._sent_ms = 0
        self._leave_s = inf
        self._given_up: str | None = None
        self._works = False
        self._hurries = False
        self._stopped = False
        self._follow_shards()

    def start(self) -> None:
        """Begin to send."""
        with self._changed:
            self._works = True
            self._hire()

    def apply(self, endpoint: Endpoint, headers: TenantHeaders) -> None:
        """Go on with other settings of the same endpoint; what waits is sent with them."""
        with self._changed:
            self._leave_s = inf
            self._given_up = None
            if endpoint == self._link.endpoint:
                self._link.tell(headers)
                return
            self._link.close()
            self._link = Link(endpoint, headers, report=self._report, clock=self._clock)
            self._backoff = Backoff(endpoint.min_backoff_s, endpoint.max_backoff_s, self._random)
            self._resharding.limit(endpoint.min_shards, endpoint.max_shards)
            self._lanes.apply(endpoint)
            self._lanes.gate.apply(self._backoff)
            self._lanes.hurry(self._clock.monotonic_s())
            self._follow_shards()
            self._hire()
            self._changed.notify_all()

    def leave(self, deadline_s: float) -> None:
        """No more is submitted; from the deadline on what waits may be given up."""
        with self._changed:
            self._leave_s = min(self._leave_s, deadline_s)

    def has_left(self) -> bool:
        """Whether nothing waits any more; gives it up after the deadline of ``leave``."""
        with self._changed:
            if self._clock.monotonic_s() >= self._leave_s:
                self._give_up(_REMOVED)
            return not len(self._lanes)

    def submit(
        self, time_ms: int, tenants: Mapping[str, Sequence[SeriesBlock]], delivery: Delivery
    ) -> None:
        """Queue a tick; a part of ``delivery`` is settled for each tenant."""
        samples = {name: sum(map(len, blocks)) for name, blocks in tenants.items()}
        with self._changed:
            now_s = self._clock.monotonic_s()
            self._newest_ms = max(self._newest_ms, time_ms)
            self._resharding.came(sum(samples.values()), self._lanes.backlog(time_ms), now_s)
            counts = {name: self._shards_of(name, count) for name, count in samples.items()}
        pieces = {name: cut(blocks, counts[name]) for name, blocks in tenants.items()}
        families = {name: self._families(name, time_ms, blocks) for name, blocks in tenants.items()}
        with self._changed:
            for tenant, blocks in pieces.items():
                delivery.divide_part(len(blocks))
                shares = {shard: Share(time_ms, part, delivery) for shard, part in blocks.items()}
                shares[min(shares)].families = families[tenant]
                self._lanes.add(tenant, shares, now_s, counts[tenant])
            self._follow_shards()
            self._hire()
            self._changed.notify_all()
            for tenant in tenants:
                self._report.pending(tenant, *self._lanes.pending(tenant))
            self._observer.queued_until(self._name, time_ms)

    def _families(
        self, tenant: str, time_ms: int, blocks: Sequence[SeriesBlock]
    ) -> Sequence[Family]:
        """What is to be told as metadata with this tick, if it is time to."""
        interval_ms = self._link.endpoint.metadata_interval_s * 1_000
        is_due = time_ms - self._told_ms.get(tenant, -inf) >= interval_ms
        if not interval_ms or not is_due or self._link.message is not Message.V1:
            return ()
        self._told_ms[tenant] = time_ms
        return families_of(blocks)

    def _shards_of(self, tenant: str, samples: int) -> int:
        """The shards of the tenant's next tick: another number only if it is worth the draining.

        Only the caller of ``submit`` queues, so lanes may become empty before it does, which
        allows any number, but none is added.
        """
        endpoint = self._link.endpoint
        limits = (endpoint.max_shards, endpoint.max_samples_per_send)
        wanted = count_for(samples, self._resharding.shards, *limits)
        present = self._lanes.shards(tenant)
        if present is None:
            return wanted
        if is_worth_it(wanted, present) and self._lanes.may_reshard(tenant):
            return wanted
        return present

    def is_behind(self) -> bool:
        """Whether a tenant is behind by ``max_pending_ticks`` without being refused itself."""
        with self._changed:
            return self._lanes.behind()

    def hurry(self) -> None:
        """End all waits for another attempt; from now on no Retry-After is waited for."""
        with self._changed:
            self._hurries = True
            self._lanes.hurry(self._clock.monotonic_s())
            self._changed.notify_all()

    def close(self, deadline_s: float) -> bool:
        """Let the threads work until nothing waits or the deadline; True if nothing is left.

        A request in flight at the deadline is not waited for.
        """
        with self._changed:
            while len(self._lanes) and self._clock.monotonic_s() < deadline_s:
                self._changed.wait(deadline_s - self._clock.monotonic_s())
            complete = not len(self._lanes)
            self._stopped = True
            self._give_up(_SHUTDOWN)
            self._changed.notify_all()
            threads = list(self._threads)
        if complete:
            for thread in threads:
                thread.join(_JOIN_S)
        self._link.close()
        return complete

    def _hire(self) -> None:
        """Begin threads for the lanes there are, up to the number of shards.

        Where the system allows no more, those there are go on, and the next tick tries again.
        """
        if not self._works or self._stopped:
            return
        for _ in range(min(self._lanes.most, len(self._lanes)) - len(self._threads)):
            self._hired += 1
            name = f"remote-write-{self._name}-{self._hired}"
            thread = Thread(target=self._run, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._report.internal_error("")
                return
            self._threads.add(thread)

    def _run(self) -> None:
        while self._work():
            pass

    def _work(self) -> bool:
        """Take a turn; False when there is none for long, or there will be none."""
        try:
            taken = self._next()
        except Exception:  # noqa: BLE001 - a thread that dies would stop its endpoint
            self._report.internal_error("")
            return True
        if taken is None:
            return False
        lane, turn = taken
        ready_s = lane.ready_s
        try:
            if turn is Turn.COLLAPSE:
                self._collapse(lane)
            else:
                ready_s = self._clock.monotonic_s()
                ready_s = self._send(lane)
        except Exception:  # noqa: BLE001 - the lane goes on, the error is seen
            self._report.internal_error(lane.tenant)
        finally:
            self._give_back(lane, ready_s)
        return True

    def _next(self) -> tuple[Lane, Turn] | None:
        """Wait for a lane; None when stopped, or after a minute in which others were enough."""
        with self._changed:
            end_s = self._clock.monotonic_s() + _IDLE_S
            while not self._stopped:
                now_s = self._clock.monotonic_s()
                taken = self._lanes.take(now_s)
                if taken is not None:
                    return taken
                is_spare = len(self._threads) > min(self._lanes.most, len(self._lanes))
                if is_spare and now_s >= end_s:
                    break
                next_s = min(self._lanes.next_s(), end_s if is_spare else inf)
                self._changed.wait(None if isinf(next_s) else max(0.0, next_s - now_s))
            self._threads.discard(current_thread())
            return None

    def _give_back(self, lane: Lane, ready_s: float) -> None:
        with self._changed:
            if self._hurries:
                most_s = self._link.endpoint.max_backoff_s
                ready_s = min(ready_s, self._clock.monotonic_s() + most_s)
            self._lanes.give_back(lane, ready_s)
            self._look(self._clock.monotonic_s())
            self._changed.notify_all()
            if self._given_up and lane.shares:
                self._abandon(lane, self._given_up)
            self._report.pending(lane.tenant, *self._lanes.pending(lane.tenant))

    def _look(self, now_s: float) -> None:
        if self._resharding.is_due(now_s):
            self._resharding.look(self._lanes.backlog(self._newest_ms), now_s)
            self._follow_shards()
            self._hire()

    def _send(self, lane: Lane) -> float:
        """Send the lane's next request; returns from when on its next turn may be."""
        link = self._link
        request = link.next_request(lane)
        begun_s = self._clock.monotonic_s()
        if request is None:
            with self._changed:
                self._lanes.gate.abort()
                lane.pop().settle()
            return begun_s
        outcome = link.post(lane, request)
        seconds = self._clock.monotonic_s() - begun_s
        parts = link.parts(lane, request, outcome)
        with self._changed:
            if isinstance(outcome, Retry) and (self._hurries or link is not self._link):
                outcome = replace(outcome, retry_after_s=None)
            self._settle_gate(lane, outcome, begun_s)
            ready_s = self._settle_lane(lane, request, outcome, parts)
            given_up = lane.end_search()
            self._measure(lane, request, outcome, seconds)
        self._report.finished(lane.tenant, seconds)
        if not parts:
            self._report.outcome(lane.tenant, request, outcome)
        for part in given_up:
            self._report.outcome(lane.tenant, part, outcome)
        if not isinstance(outcome, Retry) and link.next_request(lane) is None:
            with self._changed:
                lane.pop().settle()
        return ready_s

    def _settle_gate(self, lane: Lane, outcome: Outcome, begun_s: float) -> None:
        gate = self._lanes.gate
        if isinstance(outcome, Rejected) and not outcome.answered:
            gate.abort()
        elif isinstance(outcome, Retry) and not outcome.trouble.is_the_tenants:
            gate.failed(lane.tenant, self._clock.monotonic_s(), outcome.retry_after_s)
        else:
            gate.answered(lane.tenant, begun_s)

    def _settle_lane(
        self,
        lane: Lane,
        request: EncodedRequest,
        outcome: Outcome,
        parts: Sequence[EncodedRequest],
    ) -> float:
        now_s = self._clock.monotonic_s()
        if parts:
            is_refused = isinstance(outcome, Rejected) and not outcome.is_too_large
            lane.replace_request(parts, refused=is_refused)
            return now_s
        if not isinstance(outcome, Retry):
            lane.finish_request(request, taken=isinstance(outcome, Delivered))
            return now_s
        lane.fail(outcome.trouble, now_s)
        wait_s = self._backoff.wait_s(lane.attempts, outcome.retry_after_s)
        if not outcome.trouble.is_the_tenants:
            self._resharding.failed(now_s, wait_s)
        return now_s + wait_s

    def _measure(
        self, lane: Lane, request: EncodedRequest, outcome: Outcome, seconds: float
    ) -> None:
        if isinstance(outcome, Delivered) and request.samples:
            self._resharding.sent(request.samples, seconds)
            self._sent_ms = max(self._sent_ms, lane.shares[0].time_ms)
            self._observer.sent_until(self._name, self._sent_ms)

    def _collapse(self, lane: Lane) -> None:
        """Replace the oldest waiting tick by what the next one does not make superfluous."""
        with self._changed:
            index = lane.oldest_waiting() if self._lanes.is_overfull(lane) else None
            if index is None:
                return
            old, new = lane.shares[index], lane.shares[index + 1]
        kept = Share(old.time_ms, collapse(old.blocks, new.blocks), kept=True)
        with self._changed:
            shed = self._lanes.replace(lane, index, kept)
        self._report.dropped(lane.tenant, "collapsed", old.samples - kept.samples)
        self._report.dropped(lane.tenant, "backlog_full", sum(share.samples for share in shed))

    def _give_up(self, reason: str) -> None:
        """Let go of what waits, and of what is under way as soon as it is back."""
        self._given_up = reason
        for lane in self._lanes:
            if not lane.taken:
                self._abandon(lane, reason)

    def _abandon(self, lane: Lane, reason: str) -> None:
        """Give up what a lane holds; at a stop its deliveries are never done."""
        self._report.dropped(lane.tenant, reason, lane.samples)
        for share in self._lanes.remove(lane):
            if reason == _REMOVED:
                share.settle()
        self._report.pending(lane.tenant, *self._lanes.pending(lane.tenant))

    def _follow_shards(self) -> None:
        """Let as many requests be under way as was decided."""
        now = self._resharding
        self._lanes.most = now.shards
        self._observer.shards_changed(self._name, now.shards, now.desired, now.least, now.most)
