"""What the other spans of the input say about why a span made no edge.

Hints for whoever looks for the cause; what became of the span is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from consumer.config.tenants import TenantSettings
from consumer.explain.findings import Findings
from consumer.explain.reasons import WAITS, stem_of
from consumer.explain.spans import SeenSpan, SeenSpans, is_of_one_trace
from processors.service_graphs import ServiceGraphs
from processors.settings import format_duration

CLIENTS, SERVERS = ("client", "producer"), ("server", "consumer")
_NS_PER_MS = 1_000_000
_ALONE = ("unpaired", "store_full", "forgotten")


def hints(
    span: SeenSpan, spans: SeenSpans, findings: Findings, settings: TenantSettings
) -> Iterator[str]:
    """Sentences about ``span``, none where there is nothing to say."""
    graphs = settings.processing.service_graphs
    yield from _about_clocks(span, spans)
    yield from _about_slack(span, spans, settings.slack_ms)
    finding = findings.of(span.number).get(ServiceGraphs.name)
    if finding is None:
        return
    for edge in finding.edges:
        if span.number == edge.server and edge.client is not None:
            yield from _about_wait(spans[edge.client], span, graphs.wait)
    if stem_of(finding.reason) not in _ALONE:
        return
    if span.kind in SERVERS:
        yield _about_parent(span, spans, findings)
    else:
        yield _about_children(span, spans, findings)
        peers = graphs.peer_attributes
        if peers and stem_of(finding.reason) == "unpaired":
            yield f"none of its attributes {', '.join(peers)} names who it called"


def _about_slack(span: SeenSpan, spans: SeenSpans, slack_ms: int) -> Iterator[str]:
    before_ns = spans.before_record_ns(span)
    if before_ns > slack_ms * _NS_PER_MS:
        yield (
            f"it ended {_seconds(before_ns)} before the last span of its record; a worker discards "
            f"what ended more than {format_duration(slack_ms)} before its record was written"
        )


def _about_wait(client: SeenSpan, server: SeenSpan, wait_ms: int) -> Iterator[str]:
    apart_ns = abs(client.end_ns - server.end_ns)
    is_one_record = (client.file, client.record) == (server.file, server.record)
    if apart_ns > wait_ms * _NS_PER_MS and not is_one_record:
        yield (
            f"it ended {_seconds(apart_ns)} apart from the client's span; a worker pairs them only "
            f"if their records were written within {format_duration(wait_ms)}"
        )


def _about_clocks(span: SeenSpan, spans: SeenSpans) -> Iterator[str]:
    if span.end_ns < span.start_ns:
        yield "it ends before it starts, so it lasted 0 s"
    for parent in spans.parents_of(span):
        if is_of_one_trace(parent, span) and span.start_ns < parent.start_ns:
            early_ns = parent.start_ns - span.start_ns
            yield f"it starts {_seconds(early_ns)} before its parent: their clocks differ"


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


def _seconds(nanos: int) -> str:
    return f"{nanos / 1e9:g} s"
