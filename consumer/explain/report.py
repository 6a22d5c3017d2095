"""An explanation as JSON lines, one a span; :class:`Report` is what prose is made of too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

import orjson

from consumer.config.tenants import Processing, SettingsByTenant
from consumer.explain.findings import Finding, Findings, FoundEdge, SeriesSet
from consumer.explain.reasons import WAITS, words_for
from consumer.explain.relatives import Hint, hints
from consumer.explain.spans import SeenSpan, SeenSpans
from consumer.pipeline import ALL_PROCESSORS
from consumer.plans import Plan
from processors.service_graphs import EdgeStore


@dataclass(frozen=True, slots=True)
class Report:
    """Spans with what was found out about them, and how to say it."""

    spans: SeenSpans
    findings: Findings
    tenants: SettingsByTenant
    _processors: dict[Processing, tuple[str, ...]] = field(default_factory=dict, init=False)

    def of(self, span: SeenSpan) -> Mapping[str, Finding]:
        """By processor, each that is on for the tenant, what it did with ``span``.

        Or, under `pipeline.ALL_PROCESSORS` alone, why the span reached none.
        """
        found = self.findings.of(span.number)
        if ALL_PROCESSORS in found:
            return {ALL_PROCESSORS: found[ALL_PROCESSORS]}
        return {name: found.get(name, Finding()) for name in self.processors_of(span)}

    def why(self, span: SeenSpan, finding: Finding) -> str:
        """Why a span did not count, empty where it did."""
        if finding.is_used is None:
            return WAITS
        return "" if finding.is_used else words_for(finding.reason, self._processing(span))

    def hints(self, span: SeenSpan) -> Sequence[Hint]:
        """What else there is to say about ``span``."""
        return [*hints(span, self.spans, self.findings, self.tenants.for_tenant(span.tenant))]

    def processors_of(self, span: SeenSpan) -> tuple[str, ...]:
        """The processors that are on for the tenant of ``span``."""
        processing = self._processing(span)
        names = self._processors.get(processing)
        if names is None:
            names = tuple(each.name for each in Plan(processing, EdgeStore()).processors)
            self._processors[processing] = names
        return names

    def _processing(self, span: SeenSpan) -> Processing:
        return self.tenants.for_tenant(span.tenant).processing

    def other_side(self, span: SeenSpan, edge: FoundEdge) -> SeenSpan | None:
        """The span on the other side of an edge of ``span``, if one came."""
        number = edge.server if edge.client == span.number else edge.client
        return None if number is None or number == span.number else self.spans[number]


def write_lines(report: Report, spans: Sequence[SeenSpan], output: TextIO) -> None:
    """One JSON object for each of ``spans``."""
    output.writelines(orjson.dumps(_line(report, span)).decode() + "\n" for span in spans)


def _line(report: Report, span: SeenSpan) -> dict[str, Any]:
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_id,
        "name": span.name,
        "kind": span.kind,
        "status": span.status,
        "service": span.service,
        "duration_seconds": seconds(span),
        "tenant": span.tenant,
        "file": span.file,
        "record": span.record,
        "processors": {
            name: _finding(report, span, finding) for name, finding in report.of(span).items()
        },
        "hints": [{"text": hint.text, "cause": hint.cause or None} for hint in report.hints(span)],
    }


def _finding(report: Report, span: SeenSpan, finding: Finding) -> dict[str, Any]:
    return {
        "counted": finding.is_used,
        "reason": finding.reason or None,
        "why": report.why(span, finding) or None,
        "series": [_series(each) for each in finding.series],
        "edges": [_edge(report, span, edge) for edge in finding.edges],
    }


def _edge(report: Report, span: SeenSpan, edge: FoundEdge) -> dict[str, Any]:
    other = report.other_side(span, edge)
    return {
        "edge": edge.number,
        "side": "client" if edge.client == span.number else "server",
        "other_span_id": None if other is None else other.span_id,
        "other_trace_id": None if other is None else other.trace_id,
        **({} if edge.series is None else _series(edge.series)),
    }


def _series(series: SeriesSet) -> dict[str, Any]:
    return {
        "labels": series.labels,
        "metrics": series.metrics,
        "overflow": series.overflow,
        "unobserved": series.unobserved,
    }


def seconds(span: SeenSpan) -> float:
    """How long ``span`` took; 0 where the end is not after the start."""
    return max(0, span.end_ns - span.start_ns) / 1e9
