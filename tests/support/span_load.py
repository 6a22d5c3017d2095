"""A shop of which every number is known: spans for the worker, and the truth about them.

A trace is one purchase: ``web`` (the root) calls ``orders``, which asks its database and
publishes to ``mail``. Durations and errors follow from the tenant and the purchase's
number alone, so that two runs write the same, whatever the time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from consumer.kafka.client import OutgoingRecord, RecordWriter
from tests.support.otlp import record, resource_spans, span

Operation: TypeAlias = tuple[str, str, str, str, str]
"""Tenant, service, span name, span kind, status code: the labels of ``calls_total``."""

Edge: TypeAlias = tuple[str, str, str, str]
"""Tenant, client, server, connection type."""

TENANT_HEADER = "X-Scope-OrgID"
FLUSH_TIMEOUT_S = 20.0
SPANS_PER_TRACE = 6


@dataclass(frozen=True, slots=True)
class Tenant:
    """``durations_ms`` of ``orders`` come in turn; every ``fails_every``-th purchase fails."""

    name: str
    number: int
    durations_ms: tuple[int, ...]
    fails_every: int


NORTH = Tenant("north", 1, durations_ms=(3, 7, 20, 21, 40, 90, 200, 450), fails_every=4)
SOUTH = Tenant("south", 2, durations_ms=(100, 110, 120, 130, 900), fails_every=10)


@dataclass(frozen=True, slots=True)
class Purchase:
    """The spans of one trace, a part for each service."""

    tenant: Tenant
    trace_id: bytes
    parts: Sequence[ResourceSpans]

    def spans(self) -> Iterator[tuple[str, Span]]:
        """Each span with the name of its service."""
        for part in self.parts:
            service = part.resource.attributes[0].value.string_value
            for scope in part.scope_spans:
                for each in scope.spans:
                    yield service, each

    def records(self, topic: str, *, split: bool) -> Iterator[OutgoingRecord]:
        """As the Collector writes them: one record, or one for each service if ``split``."""
        values = [record(part) for part in self.parts] if split else [record(*self.parts)]
        for value in values:
            yield OutgoingRecord(
                topic,
                value,
                key=self.trace_id.hex().encode(),
                headers=[(TENANT_HEADER, self.tenant.name.encode())],
            )


def purchase(tenant: Tenant, number: int, end_ns: int) -> Purchase:
    """Purchase ``number`` of ``tenant``; its root ends at ``end_ns``."""
    trace_id = (tenant.number << 64 | number + 1).to_bytes(16, "big")
    ids = [(number * SPANS_PER_TRACE + index + 1).to_bytes(8, "big") for index in range(6)]
    server_ms = tenant.durations_ms[number % len(tenant.durations_ms)]
    status = Status.STATUS_CODE_ERROR if number % tenant.fails_every == 0 else None

    def made(name: str, index: int, parent: int | None, kind: int, ms: int, **more: Any) -> Span:
        return span(
            name,
            kind=kind,
            trace_id=trace_id,
            span_id=ids[index],
            parent_span_id=b"" if parent is None else ids[parent],
            start_time_unix_nano=end_ns - ms * 1_000_000,
            end_time_unix_nano=end_ns,
            **more,
        )

    web = [
        made("GET /cart", 0, None, Span.SPAN_KIND_SERVER, server_ms + 5, status=status),
        made("POST", 1, 0, Span.SPAN_KIND_CLIENT, server_ms + 2, status=status),
    ]
    orders = [
        made("POST /orders", 2, 1, Span.SPAN_KIND_SERVER, server_ms, status=status),
        made("SELECT", 3, 2, Span.SPAN_KIND_CLIENT, 2, attrs={"db.name": "orders-db"}),
        made("publish", 4, 2, Span.SPAN_KIND_PRODUCER, 1),
    ]
    mail = [made("deliver", 5, 4, Span.SPAN_KIND_CONSUMER, 30)]
    parts = [
        resource_spans(web, service="web"),
        resource_spans(orders, service="orders"),
        resource_spans(mail, service="mail"),
    ]
    return Purchase(tenant, trace_id, parts)


@dataclass(slots=True)
class Truth:
    """What the metrics of all purchases so far have to say."""

    calls: Counter[Operation] = field(default_factory=Counter)
    seconds: defaultdict[Operation, list[float]] = field(default_factory=lambda: defaultdict(list))
    edges: Counter[Edge] = field(default_factory=Counter)
    failed: Counter[Edge] = field(default_factory=Counter)
    records: int = 0

    def add(self, bought: Purchase) -> None:
        """Count the spans and the edges of one purchase."""
        tenant = bought.tenant.name
        is_failed = False
        for service, each in bought.spans():
            operation = _operation(tenant, service, each)
            self.calls[operation] += 1
            self.seconds[operation].append(
                (each.end_time_unix_nano - each.start_time_unix_nano) / 1e9
            )
            is_failed |= each.status.code == Status.STATUS_CODE_ERROR
        request = (tenant, "web", "orders", "")
        self.edges[request] += 1
        self.failed[request] += is_failed
        self.edges[tenant, "orders", "orders-db", "database"] += 1
        self.edges[tenant, "orders", "mail", "messaging_system"] += 1

    def spans(self) -> int:
        """All spans of all tenants."""
        return self.calls.total()


class Shop:
    """Writes purchases to one topic and keeps the truth about them."""

    def __init__(self, bootstrap: str, topic: str, *, split: bool = False) -> None:
        self.truth = Truth()
        self._topic = topic
        self._split = split
        self._writer = RecordWriter({"bootstrap.servers": bootstrap, "log_level": "0"})

    def sell(self, tenants: Iterable[Tenant], numbers: range, end_ns: int) -> None:
        """Write the purchases ``numbers`` of each tenant, and wait until the broker has them."""
        for number in numbers:
            for tenant in tenants:
                bought = purchase(tenant, number, end_ns)
                self.truth.add(bought)
                for outgoing in bought.records(self._topic, split=self._split):
                    self._writer.write(outgoing)
                    self.truth.records += 1
        failures = self._writer.flush(FLUSH_TIMEOUT_S)
        assert failures == [], failures


def _operation(tenant: str, service: str, each: Span) -> Operation:
    kind, status = Span.SpanKind.Name(each.kind), Status.StatusCode.Name(each.status.code)
    return tenant, service, each.name, kind, status
