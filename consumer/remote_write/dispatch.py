"""Sends what waits for one endpoint, with a fixed small number of threads.

A thread takes a lane, sends one request of it, settles the outcome and gives the lane
back; nothing sleeps while it holds a thread. All state is guarded by one condition;
encoding, collapsing and HTTP happen outside of it, on a lane that is the thread's alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import isinf
from random import Random
from threading import Condition, Thread

from consumer.clock import Clock
from consumer.remote_write.backoff import Backoff
from consumer.remote_write.client import (
    Client,
    Delivered,
    Outcome,
    Rejected,
    Retry,
    Trouble,
    Unsupported,
)
from consumer.remote_write.collapse import collapse
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.encode import encode
from consumer.remote_write.encode_v2 import Encoding, encode_v2
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.gate import Gate
from consumer.remote_write.lanes import Lane, Lanes, Share, Turn
from consumer.remote_write.log_limit import LogLimit
from consumer.remote_write.observer import Observer
from consumer.remote_write.relabel import Relabeller
from consumer.remote_write.request import EncodedRequest, Limits, Message
from consumer.remote_write.series import SeriesBlock
from consumer.remote_write.shards import Shards, shards_for

_log = logging.getLogger(__name__)

_JOIN_S = 1.0
_LOGGED_TEXT = 200


class Dispatcher:
    """The queues, threads and connections of one endpoint."""

    def __init__(
        self, endpoint: Endpoint, *, clock: Clock, observer: Observer, random: Random
    ) -> None:
        self._endpoint = endpoint
        self._name = endpoint.name
        self._clock = clock
        self._observer = observer
        self._client = Client(endpoint, clock)
        self._message = endpoint.message
        self._relabeller = Relabeller(endpoint.relabel)
        self._limits = Limits(endpoint.max_samples_per_send, endpoint.max_bytes_per_send)
        self._backoff = Backoff(endpoint.min_backoff_s, endpoint.max_backoff_s, random)
        self._lanes = Lanes(endpoint, Gate(self._backoff))
        self._log_limit = LogLimit(clock)
        self._shards: dict[str, Shards] = {}
        self._changed = Condition()
        self._hurries = False
        self._stopped = False
        self._threads = [
            Thread(target=self._run, name=f"remote-write-{self._name}-{number}", daemon=True)
            for number in range(endpoint.connections)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(
        self, time_ms: int, tenants: Mapping[str, Sequence[SeriesBlock]], delivery: Delivery
    ) -> None:
        """Queue a tick; a part of ``delivery`` is settled for each tenant."""
        now_s = self._clock.monotonic_s()
        with self._changed:
            for tenant, blocks in tenants.items():
                shares = self._shards_of(tenant, blocks).cut(blocks)
                delivery.divide_part(len(shares))
                for shard, part in shares.items():
                    self._lanes.add(tenant, Share(time_ms, part, delivery), now_s, shard)
            self._changed.notify_all()
            for tenant in tenants:
                self._report_pending(tenant)

    def _shards_of(self, tenant: str, blocks: Sequence[SeriesBlock]) -> Shards:
        """The tenant's shards: other ones only if nothing waits in those it had."""
        if not self._lanes.waits(tenant):
            most, size = self._endpoint.connections, self._endpoint.max_samples_per_send
            self._shards[tenant] = shards_for(blocks, most, size)
        return self._shards[tenant]

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
            for lane in self._lanes:
                if not lane.taken:
                    self._abandon(lane)
            self._changed.notify_all()
        if complete:
            for thread in self._threads:
                if thread.is_alive():
                    thread.join(_JOIN_S)
        self._client.close()
        return complete

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._work()
            except Exception:  # noqa: BLE001 - a thread that dies would stop its endpoint
                self._note_internal_error("")

    def _work(self) -> None:
        """Take turns until stopped."""
        while (taken := self._next()) is not None:
            lane, turn = taken
            ready_s = lane.ready_s
            try:
                if turn is Turn.COLLAPSE:
                    self._collapse(lane)
                else:
                    ready_s = self._clock.monotonic_s()
                    ready_s = self._send(lane)
            except Exception:  # noqa: BLE001 - the lane goes on, the error is seen
                self._note_internal_error(lane.tenant)
            finally:
                self._give_back(lane, ready_s)

    def _next(self) -> tuple[Lane, Turn] | None:
        """Wait for a lane; None when stopped."""
        with self._changed:
            while not self._stopped:
                now_s = self._clock.monotonic_s()
                taken = self._lanes.take(now_s)
                if taken is not None:
                    return taken
                next_s = self._lanes.next_s()
                self._changed.wait(None if isinf(next_s) else max(0.0, next_s - now_s))
            return None

    def _give_back(self, lane: Lane, ready_s: float) -> None:
        with self._changed:
            if self._hurries:
                ready_s = min(ready_s, self._clock.monotonic_s() + self._endpoint.max_backoff_s)
            self._lanes.give_back(lane, ready_s)
            self._changed.notify_all()
            if self._stopped and lane.shares:
                self._abandon(lane)
            self._report_pending(lane.tenant)

    def _send(self, lane: Lane) -> float:
        """Send the lane's next request; returns from when on its next turn may be."""
        begun_s = self._clock.monotonic_s()
        request = self._next_request(lane)
        if request is None:
            with self._changed:
                self._lanes.gate.abort()
            return begun_s
        outcome = self._post(lane, request)
        now_s = self._clock.monotonic_s()
        parts = self._parts(lane, request, outcome)
        with self._changed:
            self._settle_gate(lane, outcome, begun_s)
            ready_s = self._settle_lane(lane, request, outcome, parts)
        self._observer.request_finished(self._name, lane.tenant, now_s - begun_s)
        if not parts:
            self._report(lane.tenant, request, outcome)
        if not isinstance(outcome, Retry):
            self._next_request(lane)
        return ready_s

    def _parts(
        self, lane: Lane, request: EncodedRequest, outcome: Outcome
    ) -> Sequence[EncodedRequest]:
        """The requests to be sent in place of one that was refused as it is."""
        match outcome:
            case Unsupported(text):
                self._fall_back(text)
                return request.as_v1()
            case Rejected() if outcome.divisible and lane.may_split(request):
                return request.split()
        return ()

    def _fall_back(self, text: str) -> None:
        """Send 1.0 from now on."""
        with self._changed:
            known, self._message = self._message, Message.V1
        if known is not Message.V1:
            _log.warning(
                "remote write to %s: the endpoint does not know %s, from now on it gets 1.0: %s",
                *(self._name, known.value, text[:_LOGGED_TEXT]),
            )

    def _next_request(self, lane: Lane) -> EncodedRequest | None:
        """The request to be sent now; None, and the head share finished, if it has no more."""
        if lane.request is not None and not (lane.attempts and self._is_too_old(lane)):
            return lane.request
        share = lane.shares[0]
        try:
            lane.request = self._made(lane, share)
        except Exception:  # noqa: BLE001 - what cannot be encoded now never can
            self._note_internal_error(lane.tenant)
            self._drop(lane.tenant, "internal_error", share.samples - lane.done_samples)
        if lane.request is None:
            with self._changed:
                lane.pop().settle()
        return lane.request

    def _is_too_old(self, lane: Lane) -> bool:
        limit_ms = self._endpoint.sample_age_limit_s * 1000
        return 0 < limit_ms < self._clock.now_ms() - lane.shares[0].time_ms

    def _made(self, lane: Lane, share: Share) -> EncodedRequest | None:
        """The next request of the share; None at its end, which its age may be."""
        if self._is_too_old(lane):
            self._drop(lane.tenant, "too_old", share.samples - lane.done_samples)
            return None
        if not lane.parts:
            lane.parts.extend(self._encoded(lane, share))
        return lane.parts.popleft() if lane.parts else None

    def _encoded(self, lane: Lane, share: Share) -> Sequence[EncodedRequest]:
        """What comes next of the share: a request, more if it has to be made again in 1.0."""
        if lane.requests is None:
            lane.requests = self._encode(lane.tenant, share)
        request = next(lane.requests, None)
        if request is None:
            return ()
        if request.message is not self._message:
            return request.as_v1()
        return (request,)

    def _encode(self, tenant: str, share: Share) -> Iterator[EncodedRequest]:
        def dropped(reason: str, count: int) -> None:
            self._drop(tenant, reason, count)

        def left_out(count: int) -> None:
            self._observer.samples_dropped(self._name, tenant, "relabelled", count)

        blocks = self._relabeller.apply(share.blocks, left_out)
        if self._message is Message.V1:
            return encode(blocks, share.time_ms, self._limits, dropped)
        legacy = self._endpoint.legacy_created_timestamp
        return encode_v2(blocks, Encoding(share.time_ms, self._limits, legacy), dropped)

    def _post(self, lane: Lane, request: EncodedRequest) -> Outcome:
        try:
            return self._client.send(lane.tenant, request, lane.attempts)
        except Exception as error:  # noqa: BLE001 - unforeseen, so nothing is known to be lost
            self._note_internal_error(lane.tenant)
            return Retry(Trouble.NETWORK, type(error).__name__)

    def _settle_gate(self, lane: Lane, outcome: Outcome, begun_s: float) -> None:
        gate = self._lanes.gate
        if isinstance(outcome, Rejected) and not outcome.answered:
            gate.abort()
        elif isinstance(outcome, Retry) and not outcome.trouble.is_the_tenants:
            gate.failed(lane.tenant, self._clock.monotonic_s(), self._retry_after_s(outcome))
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
            lane.replace_request(parts)
            return now_s
        if not isinstance(outcome, Retry):
            lane.finish_request(request)
            return now_s
        lane.fail(outcome.trouble, now_s)
        return now_s + self._backoff.wait_s(lane.attempts, self._retry_after_s(outcome))

    def _retry_after_s(self, outcome: Retry) -> float | None:
        return None if self._hurries else outcome.retry_after_s

    def _report(self, tenant: str, request: EncodedRequest, outcome: Outcome) -> None:
        """Count and log an outcome."""
        match outcome:
            case Delivered(_, written):
                self._observer.bytes_sent(self._name, tenant, len(request.body))
                self._report_written(tenant, request, written, "not_written")
            case Retry(trouble, text):
                self._observer.samples_retried(self._name, tenant, request.samples)
                self._warn("will try again", tenant, trouble.value, text)
            case Rejected(reason, text):
                self._report_written(tenant, request, outcome.written or 0, reason)
                self._warn("samples rejected for good", tenant, reason, text)
            case Unsupported(text):
                self._report_written(tenant, request, 0, "unsupported")
                self._warn("samples rejected for good", tenant, "unsupported", text)

    def _report_written(
        self, tenant: str, request: EncodedRequest, written: int | None, reason: str
    ) -> None:
        """Count what was written, by default all, and what was not."""
        taken = request.samples if written is None else min(written, request.samples)
        if taken:
            self._observer.samples_sent(self._name, tenant, taken)
        if taken < request.samples:
            missing = request.samples - taken
            self._observer.samples_failed(self._name, tenant, reason, missing)

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
        self._drop(lane.tenant, "collapsed", old.samples - kept.samples)
        self._drop(lane.tenant, "backlog_full", sum(share.samples for share in shed))

    def _abandon(self, lane: Lane) -> None:
        """Give up what a lane holds at the end; its deliveries are never done."""
        self._drop(lane.tenant, "shutdown", lane.samples)
        self._lanes.remove(lane)
        self._report_pending(lane.tenant)

    def _drop(self, tenant: str, reason: str, samples: int) -> None:
        if samples:
            self._observer.samples_dropped(self._name, tenant, reason, samples)
            self._warn("samples dropped", tenant, reason, f"{samples} samples")

    def _report_pending(self, tenant: str) -> None:
        samples, ticks = self._lanes.pending(tenant)
        if not ticks and not self._lanes.waits(tenant):
            self._shards.pop(tenant, None)
        self._observer.pending_changed(self._name, tenant, samples, ticks)

    def _warn(self, what: str, tenant: str, reason: str, text: str) -> None:
        """Tell the observer; log once per tenant and reason a minute."""
        self._observer.trouble_seen(self._name, tenant, reason, text)
        suppressed = self._log_limit.pass_through(tenant, reason)
        if suppressed is not None:
            _log.warning(
                "remote write to %s for tenant %r: %s (%s): %s [%d more like this]",
                *(self._name, tenant, what, reason, text[:_LOGGED_TEXT], suppressed),
            )

    def _note_internal_error(self, tenant: str) -> None:
        if self._log_limit.pass_through(tenant, "internal_error") is not None:
            _log.exception("remote write to %s for tenant %r: internal error", self._name, tenant)
        with suppress(Exception):
            self._observer.internal_error(self._name, tenant)
