"""Makes the traces of a web shop: deterministic by seed, shaped like the real thing.

Times are log-normal, some runs are slow, failures climb up to the caller. Source of time:
the argument ``now_ms``; the last span of a trace ends then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from consumer.demo.topology import (
    External,
    Operation,
    Publish,
    Query,
    Request,
    Shop,
    Step,
    Work,
)

INSTANCES_PER_SERVICE = 2
SIGMA = 0.5
"""Spread of the log-normal times: p95 is 2.3 times the median."""
SLOW_FACTOR = 20.0
NETWORK_MS = 0.3
QUEUE_MS = 15.0
NS_PER_MS = 1_000_000


@dataclass(slots=True)
class Trace:
    """The spans of one trace, by service, in the order they began."""

    trace_id: bytes
    services: dict[str, list[Span]] = field(default_factory=dict)

    @property
    def span_count(self) -> int:
        """How many spans it has."""
        return sum(len(spans) for spans in self.services.values())

    def spans(self) -> Iterator[Span]:
        """Every span, service by service."""
        for spans in self.services.values():
            yield from spans


class ShopTraffic:
    """Endless traces of one shop."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self._shop = shop
        self._random = np.random.default_rng(seed)
        weights = np.array(list(shop.entries.values()), dtype=np.float64)
        self._entries = [shop.operations[name] for name in shop.entries]
        self._thresholds = np.cumsum(weights / weights.sum())
        services = {operation.service for operation in shop.operations.values()}
        self._resources = {service: self._make_resources(service) for service in sorted(services)}

    @property
    def tenant(self) -> str:
        """Whose shop it is."""
        return self._shop.tenant

    def trace(self, now_ms: int) -> Trace:
        """Return one visit of a user, over at ``now_ms``."""
        chosen = int(np.searchsorted(self._thresholds, self._random.random(), side="right"))
        entry = self._entries[min(chosen, len(self._entries) - 1)]
        run = _Run(self._shop, self._random)
        run.serve(entry, 0, b"")
        shift = now_ms * NS_PER_MS - max(span.end_time_unix_nano for span in run.trace.spans())
        for span in run.trace.spans():
            span.start_time_unix_nano += shift
            span.end_time_unix_nano += shift
        return run.trace

    def exports(self, trace: Trace) -> list[bytes]:
        """Return an export request for each service: what arrives from that many agents."""
        instance = trace.trace_id[0] % INSTANCES_PER_SERVICE
        values = []
        for service, spans in trace.services.items():
            request = ExportTraceServiceRequest()
            container = request.resource_spans.add()
            container.resource.CopyFrom(self._resources[service][instance])
            scope = container.scope_spans.add()
            scope.scope.name = f"shop/{service}"
            scope.spans.extend(spans)
            values.append(request.SerializeToString())
        return values

    def _make_resources(self, service: str) -> list[Resource]:
        attributes = {
            "service.name": service,
            "service.namespace": self._shop.tenant,
            "service.version": "1.4.2",
            "deployment.environment": "production",
            "telemetry.sdk.language": self._shop.language,
        }
        return [
            Resource(
                attributes=_attributes(
                    {
                        **attributes,
                        "service.instance.id": f"{service}-{number}",
                        "k8s.pod.name": f"{service}-{number}",
                    }
                )
            )
            for number in range(INSTANCES_PER_SERVICE)
        ]


class _Run:
    """One visit: walks through the operations, with a clock that begins at 0 ns."""

    def __init__(self, shop: Shop, random: np.random.Generator) -> None:
        self.trace = Trace(random.bytes(16))
        self._shop = shop
        self._random = random

    def serve(
        self, operation: Operation, start_ns: int, parent: bytes, topic: str = ""
    ) -> tuple[int, bool]:
        """Run an operation, asked by request or, with ``topic``, by a queued one.

        Returns when it ended and whether it failed.
        """
        kind = Span.SPAN_KIND_CONSUMER if topic else Span.SPAN_KIND_SERVER
        span = self._begin(operation.service, (operation.name, kind), start_ns, parent)
        slow = SLOW_FACTOR if self._happens(operation.slow_share) else 1.0
        own_ns = self._duration_ns(operation.median_ms * slow)
        now_ns = start_ns + own_ns // 2
        failed = False
        for step in operation.steps:
            now_ns, step_failed = self._take(step, operation.service, now_ns, span.span_id)
            failed = failed or step_failed
            if failed:
                break
        failed = failed or self._happens(operation.error_share)
        self._describe_operation(span, topic, failed=failed)
        return self._end(span, now_ns + own_ns // 2, failed=failed), failed

    def _take(self, step: Step, service: str, now_ns: int, parent: bytes) -> tuple[int, bool]:
        match step:
            case Work():
                span = self._begin(service, (step.name, Span.SPAN_KIND_INTERNAL), now_ns, parent)
                return self._end(span, now_ns + self._duration_ns(step.median_ms)), False
            case Request() if self._happens(step.share):
                return self._request(step, service, now_ns, parent)
            case Query() if self._happens(step.share):
                return self._query(step, service, now_ns, parent), False
            case External() if self._happens(step.share):
                return self._call_out(step, service, now_ns, parent)
            case Publish() if self._happens(step.share):
                return self._publish(step, service, now_ns, parent), False
            case _:
                return now_ns, False

    def _request(self, step: Request, service: str, now_ns: int, parent: bytes) -> tuple[int, bool]:
        operation = self._shop.operations[step.operation]
        span = self._begin(service, (operation.name, Span.SPAN_KIND_CLIENT), now_ns, parent)
        arrived_ns = now_ns + self._duration_ns(NETWORK_MS)
        served_ns, failed = self.serve(operation, arrived_ns, span.span_id)
        _describe(span, {"server.address": operation.service})
        end_ns = self._end(span, served_ns + self._duration_ns(NETWORK_MS), failed=failed)
        return end_ns, failed and step.required

    def _query(self, step: Query, service: str, now_ns: int, parent: bytes) -> int:
        database = self._shop.databases[step.database]
        name = f"{step.statement} {step.table}"
        span = self._begin(service, (name, Span.SPAN_KIND_CLIENT), now_ns, parent)
        attributes = {
            "db.system": database.system,
            "db.name": database.name,
            "db.operation": step.statement,
            "server.address": database.address,
        }
        _describe(span, attributes)
        return self._end(span, now_ns + self._duration_ns(database.median_ms))

    def _call_out(
        self, step: External, service: str, now_ns: int, parent: bytes
    ) -> tuple[int, bool]:
        span = self._begin(service, (step.name, Span.SPAN_KIND_CLIENT), now_ns, parent)
        _describe(span, {"peer.service": step.peer, "server.address": step.peer})
        failed = self._happens(step.error_share)
        return self._end(span, now_ns + self._duration_ns(step.median_ms), failed=failed), failed

    def _publish(self, step: Publish, service: str, now_ns: int, parent: bytes) -> int:
        name = f"{step.topic} publish"
        span = self._begin(service, (name, Span.SPAN_KIND_PRODUCER), now_ns, parent)
        system = {"messaging.system": self._shop.messaging_system}
        _describe(span, {**system, "messaging.destination.name": step.topic})
        end_ns = self._end(span, now_ns + self._duration_ns(NETWORK_MS * 3))
        for name in self._shop.subscribers[step.topic]:
            taken_ns = end_ns + self._duration_ns(QUEUE_MS)
            self.serve(self._shop.operations[name], taken_ns, span.span_id, step.topic)
        return end_ns

    def _begin(
        self, service: str, name: tuple[str, Span.SpanKind.ValueType], at_ns: int, parent: bytes
    ) -> Span:
        span = Span(
            trace_id=self.trace.trace_id,
            span_id=self._random.bytes(8),
            parent_span_id=parent,
            name=name[0],
            kind=name[1],
            start_time_unix_nano=at_ns,
        )
        self.trace.services.setdefault(service, []).append(span)
        return span

    def _end(self, span: Span, at_ns: int, *, failed: bool = False) -> int:
        span.end_time_unix_nano = at_ns
        if failed:
            span.status.code = Status.STATUS_CODE_ERROR
            span.status.message = "the shop is out of luck"
        return at_ns

    def _describe_operation(self, span: Span, topic: str, *, failed: bool) -> None:
        method, _, route = span.name.partition(" ")
        if topic:
            system = {"messaging.system": self._shop.messaging_system}
            _describe(span, {**system, "messaging.destination.name": topic})
        elif route:
            _describe(span, {"http.request.method": method, "http.route": route})
            span.attributes.add(key="http.response.status_code").value.int_value = (
                500 if failed else 200
            )
        else:
            service, _, remote = span.name.partition("/")
            _describe(span, {"rpc.system": "grpc", "rpc.service": service, "rpc.method": remote})

    def _happens(self, share: float) -> bool:
        return share >= 1.0 or float(self._random.random()) < share

    def _duration_ns(self, median_ms: float) -> int:
        return int(self._random.lognormal(math.log(median_ms), SIGMA) * NS_PER_MS)


def _attributes(texts: Mapping[str, str]) -> list[KeyValue]:
    made = []
    for key, text in texts.items():
        pair = KeyValue(key=key)
        pair.value.string_value = text
        made.append(pair)
    return made


def _describe(span: Span, texts: Mapping[str, str]) -> None:
    span.attributes.extend(_attributes(texts))
