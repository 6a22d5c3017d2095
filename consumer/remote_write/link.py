"""One endpoint as it is configured now: how a lane's requests are made, sent and judged.

A link is replaced as a whole when its endpoint's settings change; a request that is under
way ends on the link that it began on. Bound: one request for each thread, beside what the
lanes hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from threading import Lock

from consumer.clock import Clock
from consumer.remote_write.client import Client, Outcome, Rejected, Retry, Trouble, Unsupported
from consumer.remote_write.encode import encode
from consumer.remote_write.encode_v2 import Encoding, encode_v2
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.headers import TenantHeaders
from consumer.remote_write.lane import Lane, Share
from consumer.remote_write.metadata import encode_metadata
from consumer.remote_write.relabel import Relabeller
from consumer.remote_write.report import Report
from consumer.remote_write.request import EncodedRequest, Limits, Message


class Link:
    """The way to one endpoint. Safe for threads, as long as each has a lane of its own.

    Remembers when the endpoint does not know 2.0.
    """

    def __init__(
        self, endpoint: Endpoint, headers: TenantHeaders, *, report: Report, clock: Clock
    ) -> None:
        self.endpoint = endpoint
        self._report = report
        self._clock = clock
        self._client = Client(endpoint, clock, headers)
        self._message = endpoint.message
        self._falling_back = Lock()
        self._relabeller = Relabeller(endpoint.relabel)
        self._limits = Limits(endpoint.max_samples_per_send, endpoint.max_bytes_per_send)

    @property
    def message(self) -> Message:
        """What is sent now."""
        return self._message

    def tell(self, headers: TenantHeaders) -> None:
        """From now on requests carry the headers of the tenants."""
        self._client.tell(headers)

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def next_request(self, lane: Lane) -> EncodedRequest | None:
        """The request to be sent now; None when the lane's head share has no more."""
        if lane.request is not None and not (lane.attempts and self._is_too_old(lane)):
            return lane.request
        share = lane.shares[0]
        try:
            lane.request = self._made(lane, share)
        except Exception:  # noqa: BLE001 - what cannot be encoded now never can
            lane.request = None
            self._report.internal_error(lane.tenant)
            self._report.dropped(lane.tenant, "internal_error", share.samples - lane.done_samples)
        return lane.request

    def post(self, lane: Lane, request: EncodedRequest) -> Outcome:
        """Send ``request``; what could not be foreseen is tried again."""
        try:
            return self._client.send(lane.tenant, request, lane.attempts)
        except Exception as error:  # noqa: BLE001 - unforeseen, so nothing is known to be lost
            self._report.internal_error(lane.tenant)
            return Retry(Trouble.NETWORK, type(error).__name__)

    def parts(
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
        with self._falling_back:
            known, self._message = self._message, Message.V1
        if known is not Message.V1:
            self._report.fell_back(known, text)

    def _is_too_old(self, lane: Lane) -> bool:
        limit_ms = self.endpoint.sample_age_limit_s * 1000
        return 0 < limit_ms < self._clock.now_ms() - lane.shares[0].time_ms

    def _made(self, lane: Lane, share: Share) -> EncodedRequest | None:
        """The next request of the share; None at its end, which its age may be."""
        if self._is_too_old(lane):
            self._report.dropped(lane.tenant, "too_old", share.samples - lane.done_samples)
            return None
        part = lane.next_part()
        if part is None:
            lane.parts.extend(self._encoded(lane, share))
            part = lane.next_part()
        return part

    def _encoded(self, lane: Lane, share: Share) -> Sequence[EncodedRequest]:
        """What comes next of the share: a request, more if it has to be made again in 1.0."""
        if lane.requests is None:
            lane.requests = self._encode(lane.tenant, share)
        request = next(lane.requests, None)
        if request is None:
            return ()
        if self._message is Message.V1 and request.message is not Message.V1:
            return request.as_v1()
        return (request,)

    def _encode(self, tenant: str, share: Share) -> Iterator[EncodedRequest]:
        def dropped(reason: str, count: int) -> None:
            self._report.dropped(tenant, reason, count)

        def left_out(count: int) -> None:
            self._report.relabelled(tenant, count)

        blocks = self._relabeller.apply(share.blocks, left_out)
        if self._message is Message.V1:
            samples = encode(blocks, share.time_ms, self._limits, dropped)
            return chain(samples, encode_metadata(share.families, self._limits.samples))
        legacy = self.endpoint.legacy_created_timestamp
        return encode_v2(blocks, Encoding(share.time_ms, self._limits, legacy), dropped)
