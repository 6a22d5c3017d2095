"""An explanation for people: traces with their spans, and a summary."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from consumer.explain.findings import Finding, FoundEdge, SeriesSet
from consumer.explain.report import Report, seconds
from consumer.explain.spans import SeenSpan
from consumer.text_table import aligned
from processors.service_graphs import ServiceGraphs
from processors.service_graphs.edges import MESSAGING

_CAUSES_SHOWN = 20
_TRANSIT = "_messaging_system_seconds"


def write_prose(report: Report, spans: Sequence[SeenSpan], output: TextIO) -> None:
    """Tell of ``spans`` trace by trace, parents before children, and sum up."""
    by_trace: dict[tuple[str, str], list[SeenSpan]] = defaultdict(list)
    for span in spans:
        by_trace[span.tenant, span.trace_id].append(span)
    for (tenant, trace_id), of_trace in by_trace.items():
        output.write(f"trace {trace_id} of tenant {tenant}\n")
        for depth, span in _as_tree(of_trace):
            indent = "  " * (1 + depth)
            output.writelines(f"{indent}{line}\n" for line in _told(report, span))
        output.write("\n")
    output.writelines(f"{line}\n" for line in _summary(report, spans))


def _as_tree(spans: Sequence[SeenSpan]) -> Iterator[tuple[int, SeenSpan]]:
    """(depth, span) of the spans of one trace; whoever comes again or in a circle is a root."""
    present = {span.span_id for span in spans}
    children: dict[str, list[SeenSpan]] = defaultdict(list)
    roots = []
    for span in spans:
        if span.parent_id in present and span.parent_id != span.span_id:
            children[span.parent_id].append(span)
        else:
            roots.append(span)
    told: set[int] = set()
    for root in (*roots, *spans):
        waiting = [(0, root)]
        while waiting:
            depth, span = waiting.pop()
            if span.number in told:
                continue
            told.add(span.number)
            yield depth, span
            waiting += [(depth + 1, child) for child in reversed(children[span.span_id])]


def _told(report: Report, span: SeenSpan) -> Iterator[str]:
    of_service = f" of {span.service}" if span.service else ", no service.name"
    duration = f"{seconds(span) * 1_000:g} ms"
    yield f"{span.name!r}: {span.kind}{of_service}, {duration}, status {span.status}"
    yield f"  span {span.span_id}, {span.file} record {span.record}"
    found = report.of(span)
    if not found:
        yield "  no processor is on for this tenant (overrides: metrics_generator.processors)"
    for name, finding in found.items():
        yield from _finding(report, span, name, finding)
    for hint in report.hints(span):
        yield f"  hint: {hint.text}"


def _finding(report: Report, span: SeenSpan, name: str, finding: Finding) -> Iterator[str]:
    if finding.is_used:
        yield f"  {name}: counted"
    elif finding.is_used is None:
        yield f"  {name}: {report.why(span, finding)}"
    else:
        why = report.why(span, finding)
        yield f"  {name}: not counted, {finding.reason}" + (f": {why}" if why else "")
    for series in finding.series:
        yield f"    {braced(series.labels)}"
        yield from _metrics(series)
    for edge in finding.edges:
        yield from _edge(report, span, finding, edge)


def _edge(report: Report, span: SeenSpan, finding: Finding, edge: FoundEdge) -> Iterator[str]:
    labels = edge.labels
    kind = f" ({labels['connection_type']})" if labels.get("connection_type") else ""
    other = report.other_side(span, edge)
    role = "edge" if finding.is_used else "gives what it knows to edge"
    with_whom = "no span of the other side" if other is None else f"with {other.span_id}"
    ends = f"{labels.get('client', '')} -> {labels.get('server', '')}"
    yield f"    {role} {ends}{kind}, {with_whom}"
    if edge.series is None:
        return
    yield f"    {braced(labels)}"
    yield from _metrics(edge.series)
    is_message = labels.get("connection_type") == MESSAGING and other is not None
    if is_message and any(name.endswith(_TRANSIT) for name in edge.series.unobserved):
        yield "      no time in transit: it was received before it was sent, their clocks differ"


def _metrics(series: SeriesSet) -> Iterator[str]:
    if series.metrics:
        yield f"      in {', '.join(series.metrics)}"
    if series.overflow:
        yield f"      in the overflow series of {', '.join(series.overflow)}: limit reached"


def _summary(report: Report, spans: Sequence[SeenSpan]) -> Iterator[str]:
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    edges: set[int] = set()
    for span in spans:
        for name, finding in report.of(span).items():
            end = {True: "counted", None: "waiting"}.get(finding.is_used, finding.reason)
            ends[name][end] += 1
            edges.update(edge.number for edge in finding.edges)
    yield f"{_counted(len(spans), 'span')}, {_counted(len(edges), 'edge')}"
    for name, counts in ends.items():
        listed = ", ".join(f"{number} {end}" for end, number in counts.most_common())
        yield f"  {name}: {listed}"
    causes = Counter(_causes(report, spans))
    if causes:
        yield "spans that made no edge"
        rows = [(*row, number) for row, number in causes.most_common(_CAUSES_SHOWN)]
        yield from aligned(("service", "reason", "cause", "spans"), rows, left=3)
        if len(causes) > _CAUSES_SHOWN:
            yield f"  {len(causes) - _CAUSES_SHOWN} more rows like these"


def _causes(report: Report, spans: Sequence[SeenSpan]) -> Iterator[tuple[str, str, str]]:
    """(service, reason, cause) of each of ``spans`` that could have made an edge and did not."""
    for span in spans:
        finding = report.of(span).get(ServiceGraphs.name)
        causes = [hint.cause for hint in report.hints(span) if hint.cause]
        if finding is not None and causes:
            yield span.service or "", finding.reason, causes[0]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def braced(labels: Mapping[str, str]) -> str:
    """``{client="a", server="b"}``."""
    return "{" + ", ".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
