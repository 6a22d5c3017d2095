"""What the metrics have to say, told from the log of the span topic alone.

Every record of the log counts once: one that a producer wrote twice is two records for
span metrics, while a service graph knows the second half again and ignores it. The time
of a record is the clock of its partition: the newest time that the partition has seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from processors.service_graphs.settings import ServiceGraphsConfig
from processors.span_metrics import SpanMetricsConfig

Series: TypeAlias = tuple[str, frozenset[tuple[str, str]]]
"""The name and the labels that say something."""

SERVER = Span.SPAN_KIND_SERVER
_EDGES = {
    "POST": ("web", "orders", ""),
    "publish": ("orders", "mail", "messaging_system"),
}
"""By the name of the calling span."""

EXPIRING = ("connection_type", "virtual_node")
"""Edges that are counted when nobody has come within the wait."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of the span topic."""

    partition: int
    offset: int
    time_ms: int
    tenant: str
    value: bytes


@dataclass(frozen=True, slots=True)
class _Half:
    """A span that waits for its other half, with the tick of its record."""

    tick_ms: int
    seconds: float
    failed: bool


@dataclass(slots=True)
class Truth:
    """By series and tick: what is added in the interval that ends with that tick."""

    interval_ms: int
    wait_ms: int
    gains: dict[Series, dict[int, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    last_ms: int = 0
    """The time of the newest record."""

    def final(self) -> Mapping[Series, float]:
        """The value of each series at the end."""
        return {series: sum(gains.values()) for series, gains in self.gains.items()}

    def tick_of(self, time_ms: int) -> int:
        """The end of the interval that ``time_ms`` falls in."""
        return time_ms - time_ms % self.interval_ms + self.interval_ms

    def end_ms(self) -> int:
        """A tick at which everything is counted, edges that nobody answered too."""
        return self.tick_of(self.last_ms + self.wait_ms) + 5 * self.interval_ms

    def add(self, name: str, labels: Mapping[str, str], tick_ms: int, value: float) -> None:
        """Count ``value`` at ``tick_ms``."""
        pairs = frozenset((key, text) for key, text in labels.items() if text)
        self.gains[name, pairs][tick_ms] += value

    def observe(self, name: str, labels: Mapping[str, str], tick_ms: int, seconds: float) -> None:
        """Count an observation of a histogram, in all of its series."""
        self.add(f"{name}_count", labels, tick_ms, 1)
        self.add(f"{name}_sum", labels, tick_ms, seconds)
        for bound in _BOUNDS[name.startswith("traces_service_graph")]:
            le = "+Inf" if bound == float("inf") else f"{bound:g}"
            self.add(f"{name}_bucket", {**labels, "le": le}, tick_ms, float(seconds <= bound))


_BOUNDS: Mapping[bool, Sequence[float]] = {
    True: [*ServiceGraphsConfig().histogram_buckets, float("inf")],
    False: [*SpanMetricsConfig().histogram_buckets, float("inf")],
}
"""Whether of service graphs -> upper bounds."""


def truth_of(log: Iterable[Logged], *, interval_ms: int, wait_ms: int) -> Truth:
    """Count the spans of ``log``, whose records are in the order of each partition."""
    truth = Truth(interval_ms, wait_ms)
    clocks: Counter[int] = Counter()
    graphs = _Graphs(truth)
    for record in log:
        clock_ms = clocks[record.partition] = max(clocks[record.partition], record.time_ms)
        truth.last_ms = max(truth.last_ms, clock_ms)
        for group in TracesData.FromString(record.value).resource_spans:
            service = group.resource.attributes[0].value.string_value
            for scope in group.scope_spans:
                for span in scope.spans:
                    _count_span(truth, record.tenant, service, span, clock_ms)
                    graphs.take(record.tenant, span, clock_ms)
    return truth


def _count_span(truth: Truth, tenant: str, service: str, span: Span, clock_ms: int) -> None:
    labels = {
        "tenant": tenant,
        "service": service,
        "span_name": span.name,
        "span_kind": Span.SpanKind.Name(span.kind),
        "status_code": Status.StatusCode.Name(span.status.code),
    }
    tick_ms = truth.tick_of(clock_ms)
    truth.add("traces_spanmetrics_calls_total", labels, tick_ms, 1)
    truth.add("traces_spanmetrics_size_total", labels, tick_ms, span.ByteSize())
    truth.observe("traces_spanmetrics_latency", labels, tick_ms, _seconds(span))


class _Graphs:
    """The edges of a shop: each half once, an edge when its second half is there."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._seen: set[tuple[bytes, bytes]] = set()
        self._waiting: dict[tuple[bytes, bytes], _Half] = {}

    def take(self, tenant: str, span: Span, clock_ms: int) -> None:
        identity = span.trace_id, span.span_id
        if identity in self._seen:
            return
        self._seen.add(identity)
        tick_ms = self._truth.tick_of(clock_ms)
        half = _Half(tick_ms, _seconds(span), span.status.code == Status.STATUS_CODE_ERROR)
        if not span.parent_span_id:
            # Nobody calls a root: its caller is unknown when the wait is over.
            half = _Half(self._truth.tick_of(clock_ms + self._truth.wait_ms), *_rest(half))
            self._edge((tenant, "user", "web", "virtual_node"), None, half)
        elif span.name == "SELECT":
            self._edge((tenant, "orders", "orders-db", "database"), half, half)
        elif span.name in _EDGES:
            self._meet((span.trace_id, span.span_id), half, (tenant, *_EDGES[span.name]))
        else:
            name = "publish" if span.name == "deliver" else "POST"
            key = span.trace_id, span.parent_span_id
            self._meet(key, half, (tenant, *_EDGES[name]), is_server=True)

    def _meet(
        self,
        key: tuple[bytes, bytes],
        half: _Half,
        edge: tuple[str, str, str, str],
        *,
        is_server: bool = False,
    ) -> None:
        other = self._waiting.pop(key, None)
        if other is None:
            self._waiting[key] = half
        else:
            client, server = (other, half) if is_server else (half, other)
            self._edge(edge, client, server)

    def _edge(self, edge: tuple[str, str, str, str], client: _Half | None, server: _Half) -> None:
        truth = self._truth
        labels = dict(zip(("tenant", "client", "server", "connection_type"), edge, strict=True))
        tick_ms = max(half.tick_ms for half in (client, server) if half)
        request = "traces_service_graph_request"
        truth.add(f"{request}_total", labels, tick_ms, 1)
        if server.failed or (client and client.failed):
            truth.add(f"{request}_failed_total", labels, tick_ms, 1)
        if client:
            truth.observe(f"{request}_client_seconds", labels, tick_ms, client.seconds)
        truth.observe(f"{request}_server_seconds", labels, tick_ms, server.seconds)


def _rest(half: _Half) -> tuple[float, bool]:
    return half.seconds, half.failed


def _seconds(span: Span) -> float:
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
