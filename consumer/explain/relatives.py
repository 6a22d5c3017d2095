"""What the other spans of the input say about why a span made no edge.

Hints for whoever looks for the cause; what became of the span is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from consumer.config.tenants import Processing
from consumer.explain.findings import Findings
from consumer.explain.reasons import WAITS, stem_of
from consumer.explain.spans import SeenSpan, SeenSpans, is_of_one_trace
from processors.service_graphs import ServiceGraphs

CLIENTS, SERVERS = ("client", "producer"), ("server", "consumer")
_ALONE = ("unpaired", "store_full", "forgotten")


def hints(
    span: SeenSpan, spans: SeenSpans, findings: Findings, processing: Processing
) -> Iterator[str]:
    """Sentences about ``span``, none where there is nothing to say."""
    yield from _about_time(span, spans)
    finding = findings.of(span.number).get(ServiceGraphs.name)
    if finding is None or stem_of(finding.reason) not in _ALONE:
        return
    if span.kind in SERVERS:
        yield _about_parent(span, spans, findings)
    else:
        yield _about_children(span, spans, findings)
        peers = processing.service_graphs.peer_attributes
        if peers and stem_of(finding.reason) == "unpaired":
            yield f"none of its attributes {', '.join(peers)} names who it called"


def _about_time(span: SeenSpan, spans: SeenSpans) -> Iterator[str]:
    if span.end_ns < span.start_ns:
        yield "it ends before it starts, so it lasted 0 s"
    for parent in spans.parents_of(span):
        if is_of_one_trace(parent, span) and span.start_ns < parent.start_ns:
            early = _milliseconds(parent.start_ns - span.start_ns)
            yield f"it starts {early} before its parent: their clocks differ"


def _about_parent(span: SeenSpan, spans: SeenSpans, findings: Findings) -> str:
    if not span.parent_id:
        return "it has no parent"
    parents = spans.parents_of(span)
    if not parents:
        return f"its parent {span.parent_id} is not in the input: not sent, or sampled out"
    related = [parent for parent in parents if is_of_one_trace(parent, span)]
    if not related:
        there = parents[0]
        what = "another tenant" if there.trace_id == span.trace_id else "another trace"
        return f"a span with the id of its parent is in the input, but of {what}"
    parent = related[0]
    if parent.kind not in CLIENTS:
        return (
            f"its parent {_called(parent)} is of kind {parent.kind}; "
            "only client and producer spans can be the other half"
        )
    return f"its parent {_called(parent)} is in the input, but {_end(parent, findings)}"


def _about_children(span: SeenSpan, spans: SeenSpans, findings: Findings) -> str:
    children = spans.children_of(span)
    if not children:
        return "no span in the input names it as its parent"
    servers = [child for child in children if child.kind in SERVERS]
    if not servers:
        kinds = ", ".join(sorted({child.kind for child in children}))
        return (
            f"the spans that name it as their parent are of kind {kinds}; "
            "only server and consumer spans can be the other half"
        )
    return f"{_called(servers[0])} names it as its parent, but {_end(servers[0], findings)}"


def _called(span: SeenSpan) -> str:
    of_service = f" of {span.service}" if span.service else ""
    return f"{span.name!r}{of_service} ({span.span_id})"


def _end(span: SeenSpan, findings: Findings) -> str:
    """What became of a span that could have been the other half."""
    if span.service is None:
        return "that has no service.name"
    finding = findings.of(span.number).get(ServiceGraphs.name)
    if finding is None or finding.is_used is None:
        return WAITS.replace("it waits", "that waits")
    return "the two did not meet" if finding.is_used else f"that was discarded: {finding.reason}"


def _milliseconds(nanos: int) -> str:
    return f"{nanos / 1e6:g} ms"
