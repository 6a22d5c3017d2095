"""From traces to records: pods export, the collector of each node flushes.

A pod exports a span 0.2 to 4 s after its end; a node flushes once a second, but no fewer
than 100 spans before its end and no more than 1,000 in a record.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from benchmarks.workloads.topology import PODS_PER_SERVICE, SERVICES, Scope, Topology
from benchmarks.workloads.traces import Made, Traces, scope_of

SEED = 20260821
BASE_NS = 1_700_000_000 * 10**9
TRACES_START_WITHIN_NS = 60e9
SPANS_PER_TRACE = 17.0
"""An estimate, from which follows how densely traces start."""

FEWEST_SPANS, MOST_SPANS = 100, 1000
SCHEMA_URL = "https://opentelemetry.io/schemas/1.24.0"

Exported: TypeAlias = tuple[float, Made]
"""When a pod gave a span away (s since the epoch), and the span."""


@dataclass(frozen=True, slots=True)
class Located:
    """A span with what it is grouped by; ``place`` stands for ``resource``."""

    place: Hashable
    resource: Resource
    scope: Scope
    span: Span


def record_of(spans: Iterable[Located]) -> bytes:
    """The bytes of a record, its spans grouped by resource, then scope."""
    traces = TracesData()
    of_resource: dict[Hashable, ResourceSpans] = {}
    of_scope: dict[tuple[Hashable, Scope], ScopeSpans] = {}
    for located in spans:
        resource_spans = of_resource.get(located.place)
        if resource_spans is None:
            resource_spans = traces.resource_spans.add(schema_url=SCHEMA_URL)
            resource_spans.resource.CopyFrom(located.resource)
            of_resource[located.place] = resource_spans
        scope_spans = of_scope.get((located.place, located.scope))
        if scope_spans is None:
            scope_spans = resource_spans.scope_spans.add()
            scope_spans.scope.name, scope_spans.scope.version = located.scope
            of_scope[located.place, located.scope] = scope_spans
        scope_spans.spans.append(located.span)
    return traces.SerializeToString()


def spans_of(record: bytes) -> Iterator[Located]:
    """What :func:`record_of` made a record of."""
    for resource_spans in TracesData.FromString(record).resource_spans:
        place = resource_spans.resource.SerializeToString()
        for scope_spans in resource_spans.scope_spans:
            scope = (scope_spans.scope.name, scope_spans.scope.version)
            for span in scope_spans.spans:
                yield Located(place, resource_spans.resource, scope, span)


def trace_records(records: Iterable[bytes]) -> Iterator[bytes]:
    """The spans of ``records``, one record for each trace, in the order of their last spans."""
    traces: dict[bytes, list[Located]] = {}
    for located in (located for record in records for located in spans_of(record)):
        trace_id = located.span.trace_id
        traces[trace_id] = [*traces.pop(trace_id, ()), located]
    yield from map(record_of, traces.values())


def shop_records(spans: int, *, ids_per_name: int) -> Iterator[bytes]:
    """At least ``spans`` spans, as whole traces, in the records of a minute."""
    rng = random.Random(SEED)  # noqa: S311  no secret, a workload
    topology = Topology(rng)
    traces = Traces(rng, topology, ids_per_name=ids_per_name)
    flushes = _flushes(spans, rng, topology, traces)
    last_second = {node: second for second, node in sorted(flushes)}
    waiting: dict[int, list[Exported]] = defaultdict(list)
    for second, node in sorted(flushes):
        exported = waiting.pop(node, []) + sorted(flushes[second, node], key=lambda one: one[0])
        if len(exported) < FEWEST_SPANS and second != last_second[node]:
            waiting[node] = exported
            continue
        for start in range(0, len(exported), MOST_SPANS):
            some = exported[start : start + MOST_SPANS]
            yield record_of(_located(topology, made) for _, made in some)


def _located(topology: Topology, made: Made) -> Located:
    resource = topology.pods[made.service][made.pod].resource
    return Located((made.service, made.pod), resource, scope_of(made), made.span)


def _flushes(
    spans: int, rng: random.Random, topology: Topology, traces: Traces
) -> dict[tuple[int, int], list[Exported]]:
    """(second, node) -> what the pods of the node exported within that second."""
    step_ns = TRACES_START_WITHIN_NS / (spans / SPANS_PER_TRACE)
    start_ns = float(BASE_NS)
    delays_s = [[rng.uniform(0.2, 2.0) for _ in range(PODS_PER_SERVICE)] for _ in SERVICES]
    flushes: dict[tuple[int, int], list[Exported]] = defaultdict(list)
    made_so_far = 0
    while made_so_far < spans:
        start_ns += rng.expovariate(1.0) * step_ns
        for made in traces.trace(int(start_ns)):
            delay_s = delays_s[made.service][made.pod]
            export_s = made.span.end_time_unix_nano / 1e9 + delay_s + rng.uniform(0, 2.0)
            node = topology.pods[made.service][made.pod].node
            flushes[int(export_s), node].append((export_s, made))
            made_so_far += 1
    return flushes
