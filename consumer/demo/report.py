"""What the demo shows of a tenant: its top operations and the edges of its service graph."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from consumer.demo.samples import Growth, SampleStore, Window, quantile

SERVING_KINDS = ("SPAN_KIND_SERVER", "SPAN_KIND_CONSUMER")
CALLS = "traces_spanmetrics_calls_total"
LATENCY = "traces_spanmetrics_latency_bucket"
REQUESTS = "traces_service_graph_request_total"
FAILURES = "traces_service_graph_request_failed_total"
SERVER_SECONDS = "traces_service_graph_request_server_seconds"
CLIENT_SECONDS = "traces_service_graph_request_client_seconds"


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One operation over the window. Times in seconds, NaN when nothing was observed."""

    service: str
    span_name: str
    span_kind: str
    rate: float
    error_share: float
    p50_s: float
    p95_s: float

    @property
    def serving(self) -> bool:
        """Whether it answers somebody, rather than asks or works for itself."""
        return self.span_kind in SERVING_KINDS


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """One edge over the window; the mean latency is the server's, else the client's."""

    client: str
    server: str
    connection_type: str
    rate: float
    error_share: float
    mean_s: float


@dataclass(frozen=True, slots=True)
class TenantReport:
    """Everything about a tenant; ``calls`` is the number of spans counted since the start."""

    tenant: str
    operations: list[OperationRow]
    edges: list[EdgeRow]
    calls: float
    window_s: float
    series: int
    samples: int

    @property
    def complete(self) -> bool:
        """Whether span metrics and service-graph edges arrived."""
        return bool(self.operations) and bool(self.edges)

    @property
    def spans_per_s(self) -> float:
        """Spans of all kinds."""
        return sum(row.rate for row in self.operations)

    @property
    def error_share(self) -> float:
        """Failed part of the spans of all kinds."""
        failed = sum(row.rate * row.error_share for row in self.operations)
        return _ratio(failed, self.spans_per_s, 0.0)


@dataclass(slots=True)
class _OperationSums:
    calls: float = 0.0
    errors: float = 0.0
    buckets: dict[float, float] = field(default_factory=lambda: defaultdict(float))


@dataclass(slots=True)
class _EdgeSums:
    by_family: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def mean_s(self) -> float:
        for family in (SERVER_SECONDS, CLIENT_SECONDS):
            if count := self.by_family[f"{family}_count"]:
                return self.by_family[f"{family}_sum"] / count
        return math.nan


def report(tenant: str, store: SampleStore, window_ms: int) -> TenantReport:
    """Sum up a tenant over the latest window of about ``window_ms``."""
    window = store.latest_window(window_ms)
    return TenantReport(
        tenant=tenant,
        operations=_operations(store, window),
        edges=_edges(store, window),
        calls=sum(series.amount for series in store.latest(CALLS)),
        window_s=window.seconds,
        series=store.series,
        samples=store.samples,
    )


def _operations(store: SampleStore, window: Window) -> list[OperationRow]:
    """Return those that were called in the window; serving ones first, then by rate."""
    sums: dict[tuple[str, str, str], _OperationSums] = defaultdict(_OperationSums)
    for series in store.growth(CALLS, window):
        one = sums[_operation_key(series)]
        one.calls += series.amount
        if series.labels.get("status_code") == "STATUS_CODE_ERROR":
            one.errors += series.amount
    for series in store.growth(LATENCY, window):
        sums[_operation_key(series)].buckets[_bound(series.labels)] += series.amount
    rows = [
        OperationRow(
            *key,
            rate=one.calls / window.seconds,
            error_share=_ratio(one.errors, one.calls, 0.0),
            p50_s=quantile(0.5, one.buckets),
            p95_s=quantile(0.95, one.buckets),
        )
        for key, one in sums.items()
        if one.calls > 0
    ]
    return sorted(rows, key=lambda row: (not row.serving, -row.rate, row.service, row.span_name))


def _edges(store: SampleStore, window: Window) -> list[EdgeRow]:
    """Return those that were used in the window, busiest first."""
    families = [REQUESTS, FAILURES]
    families += [
        f"{name}_{part}" for name in (SERVER_SECONDS, CLIENT_SECONDS) for part in ("sum", "count")
    ]
    sums: dict[tuple[str, str, str], _EdgeSums] = defaultdict(_EdgeSums)
    for family in families:
        for series in store.growth(family, window):
            sums[_edge_key(series)].by_family[family] += series.amount
    rows = [
        EdgeRow(
            *key,
            rate=one.by_family[REQUESTS] / window.seconds,
            error_share=_ratio(one.by_family[FAILURES], one.by_family[REQUESTS], 0.0),
            mean_s=one.mean_s(),
        )
        for key, one in sums.items()
        if one.by_family[REQUESTS] > 0
    ]
    return sorted(rows, key=lambda row: (-row.rate, row.client, row.server))


def _operation_key(series: Growth) -> tuple[str, str, str]:
    get = series.labels.get
    return get("service", ""), get("span_name", ""), get("span_kind", "")


def _edge_key(series: Growth) -> tuple[str, str, str]:
    get = series.labels.get
    return get("client", ""), get("server", ""), get("connection_type", "")


def _bound(labels: Mapping[str, str]) -> float:
    try:
        return float(labels.get("le", "+Inf"))
    except ValueError:
        return math.inf


def _ratio(part: float, whole: float, otherwise: float) -> float:
    return part / whole if whole > 0 else otherwise
