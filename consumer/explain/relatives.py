"""What the other spans of the input say about why a span made no edge.

Hints for whoever looks for the cause; what became of the span is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from consumer.config.tenants import TenantSettings
from consumer.explain.findings import Findings
from consumer.explain.reasons import WAITS, stem_of
from consumer.explain.spans import SeenSpan, SeenSpans, is_of_one_trace
from processors.service_graphs import ServiceGraphs
from processors.settings import format_duration

CLIENTS, SERVERS = ("client", "producer"), ("server", "consumer")
_NS_PER_MS = 1_000_000
_ALONE = ("unpaired", "store_full", "forgotten")


@dataclass(frozen=True, slots=True)
class Hint:
    """A sentence about a span. ``cause``: why it made no edge, in words without names or ids."""

    text: str
    cause: str = ""


def hints(
    span: SeenSpan, spans: SeenSpans, findings: Findings, settings: TenantSettings
) -> Iterator[Hint]:
    """What there is to say about ``span``."""
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
            yield Hint(f"none of its attributes {', '.join(peers)} names who it called")


def _about_slack(span: SeenSpan, spans: SeenSpans, slack_ms: int) -> Iterator[Hint]:
    before_ns = 0 if span.record_ms else spans.before_record_ns(span)
    if before_ns > slack_ms * _NS_PER_MS:
        yield Hint(
            f"it ended {_seconds(before_ns)} before the last span of its record; a worker discards "
            f"what ended more than {format_duration(slack_ms)} before its record was written"
        )


def _about_wait(client: SeenSpan, server: SeenSpan, wait_ms: int) -> Iterator[Hint]:
    apart_ns = abs(client.end_ns - server.end_ns)
    is_one_record = (client.file, client.record) == (server.file, server.record)
    is_known = is_one_record or client.record_ms or server.record_ms
    if apart_ns > wait_ms * _NS_PER_MS and not is_known:
        yield Hint(
            f"it ended {_seconds(apart_ns)} apart from the client's span; a worker pairs them only "
            f"if their records were written within {format_duration(wait_ms)}"
        )


def _about_clocks(span: SeenSpan, spans: SeenSpans) -> Iterator[Hint]:
    if span.end_ns < span.start_ns:
        yield Hint("it ends before it starts, so it lasted 0 s")
    for parent in spans.parents_of(span):
        if is_of_one_trace(parent, span) and span.start_ns < parent.start_ns:
            early_ns = parent.start_ns - span.start_ns
            yield Hint(f"it starts {_seconds(early_ns)} before its parent: their clocks differ")


def _about_parent(span: SeenSpan, spans: SeenSpans, findings: Findings) -> Hint:
    if not span.parent_id:
        return Hint("it has no parent", "no parent")
    parents = spans.parents_of(span)
    if not parents:
        text = f"its parent {span.parent_id} is not in the input: not sent, or sampled out"
        return Hint(text, "parent not in the input")
    related = [parent for parent in parents if is_of_one_trace(parent, span)]
    if not related:
        of_trace = parents[0].trace_id == span.trace_id
        other = "another tenant" if of_trace else "another trace"
        text = f"a span with the id of its parent is in the input, but of {other}"
        return Hint(text, f"parent of {other}")
    parent = related[0]
    if parent.kind not in CLIENTS:
        return Hint(
            f"its parent {_called(parent)} is of kind {parent.kind}; "
            "only client and producer spans can be the other half",
            f"parent is {parent.kind}",
        )
    end = _end(parent, findings)
    text = f"its parent {_called(parent)} is in the input, but {end.text}{_apart(span, parent)}"
    return Hint(text, f"parent {end.cause}")


def _about_children(span: SeenSpan, spans: SeenSpans, findings: Findings) -> Hint:
    children = spans.children_of(span)
    if not children:
        return Hint("no span in the input names it as its parent", "no child in the input")
    servers = [child for child in children if child.kind in SERVERS]
    if not servers:
        kinds = ", ".join(sorted({child.kind for child in children}))
        return Hint(
            f"the spans that name it as their parent are of kind {kinds}; "
            "only server and consumer spans can be the other half",
            f"child is {kinds}",
        )
    end = _end(servers[0], findings)
    apart = _apart(span, servers[0])
    text = f"{_called(servers[0])} names it as its parent, but {end.text}{apart}"
    return Hint(text, f"child {end.cause}")


def _called(span: SeenSpan) -> str:
    of_service = f" of {span.service}" if span.service else ""
    return f"{span.name!r}{of_service} ({span.span_id})"


def _end(span: SeenSpan, findings: Findings) -> Hint:
    """What became of a span that could have been the other half."""
    if span.service is None:
        return Hint("that has no service.name", "has no service.name")
    finding = findings.of(span.number).get(ServiceGraphs.name)
    if finding is None or finding.is_used is None:
        return Hint(WAITS.replace("it waits", "that waits"), "waits")
    if finding.is_used:
        return Hint("the two did not meet", "met another")
    return Hint(f"that was discarded: {finding.reason}", f"discarded: {finding.reason}")


def _apart(span: SeenSpan, other: SeenSpan) -> str:
    """How far apart the records of two spans were written, where that is known."""
    if not span.record_ms or not other.record_ms:
        return ""
    return f"; their records were written {abs(span.record_ms - other.record_ms) / 1_000:g} s apart"


def _seconds(nanos: int) -> str:
    return f"{nanos / 1e9:g} s"
