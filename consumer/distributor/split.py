"""Splits an export request by trace id, as the Collector's ``partition_traces_by_id`` does.

Bound: a record holds at most ``max_record_bytes`` of spans and resources (estimated from
above); a longer trace becomes several records of one key. No clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

_Source = tuple[ResourceSpans, ScopeSpans, Span]
"""A span with the containers it came in."""

FRAMING_BYTES = 32
"""Tags and lengths around one span, scope and resource: three times at most 1 + 5, rounded up."""


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """The spans of one trace: ``key`` is its id in lower-case hex, ``value`` an export request."""

    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Split:
    """The records of a request, and how many of its spans were refused, by reason."""

    records: list[TraceRecord]
    rejections: Counter[str]

    @property
    def rejected(self) -> int:
        """How many spans were refused."""
        return self.rejections.total()

    @property
    def rejection_text(self) -> str:
        """Return the reasons with their counts, for the client's log."""
        return "; ".join(f"{count} spans: {reason}" for reason, count in self.rejections.items())


@dataclass(slots=True)
class _Part:
    """What becomes one record, and the containers its last span went into."""

    request: ExportTraceServiceRequest = field(default_factory=ExportTraceServiceRequest)
    size: int = 0
    resource_source: ResourceSpans | None = None
    scope_source: ScopeSpans | None = None

    def add(self, source: _Source, span_bytes: int) -> None:
        """Append the span, opening containers like its own where they changed."""
        resource_spans, scope_spans, span = source
        if self.resource_source is not resource_spans:
            target = self.request.resource_spans.add(schema_url=resource_spans.schema_url)
            if resource_spans.HasField("resource"):
                target.resource.CopyFrom(resource_spans.resource)
            self.resource_source, self.scope_source = resource_spans, None
            self.size += resource_spans.resource.ByteSize() + len(resource_spans.schema_url) * 4
        if self.scope_source is not scope_spans:
            scope = self.request.resource_spans[-1].scope_spans.add(
                schema_url=scope_spans.schema_url
            )
            if scope_spans.HasField("scope"):
                scope.scope.CopyFrom(scope_spans.scope)
            self.scope_source = scope_spans
            self.size += scope_spans.scope.ByteSize() + len(scope_spans.schema_url) * 4
        self.request.resource_spans[-1].scope_spans[-1].spans.append(span)
        self.size += span_bytes


def split_by_trace(request: ExportTraceServiceRequest, max_record_bytes: int) -> Split:
    """One record (or, when large, a few) for each trace, in the order they first appear."""
    splitter = _Splitter(max_record_bytes)
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                splitter.add((resource_spans, scope_spans, span))
    return splitter.finish()


class _Splitter:
    def __init__(self, max_record_bytes: int) -> None:
        self._max_record_bytes = max_record_bytes
        self._full: list[TraceRecord] = []
        self._parts: dict[bytes, _Part] = {}
        self._rejections: Counter[str] = Counter()

    def add(self, source: _Source) -> None:
        resource_spans, scope_spans, span = source
        span_bytes = span.ByteSize() + FRAMING_BYTES
        alone_bytes = span_bytes + resource_spans.resource.ByteSize() + scope_spans.scope.ByteSize()
        reason = _fault_of(span)
        if not reason and alone_bytes > self._max_record_bytes:
            reason = f"larger than a record may be ({self._max_record_bytes} bytes)"
        if reason:
            self._rejections[reason] += 1
            return
        part = self._parts.get(span.trace_id)
        if part is None or part.size + alone_bytes > self._max_record_bytes:
            if part is not None:
                self._full.append(_record(span.trace_id, part))
            part = self._parts[span.trace_id] = _Part()
        part.add(source, span_bytes)

    def finish(self) -> Split:
        rest = [_record(trace_id, part) for trace_id, part in self._parts.items()]
        return Split(self._full + rest, self._rejections)


def _record(trace_id: bytes, part: _Part) -> TraceRecord:
    return TraceRecord(trace_id.hex().encode(), part.request.SerializeToString())


def _fault_of(span: Span) -> str:
    """Name the fault of a span's ids; empty when they are as OTLP wants them."""
    if len(span.trace_id) != 16 or not any(span.trace_id):
        return "trace id is not 16 bytes or is zero"
    if len(span.span_id) != 8 or not any(span.span_id):
        return "span id is not 8 bytes or is zero"
    if len(span.parent_span_id) not in (0, 8):
        return "parent span id is not 8 bytes"
    return ""
