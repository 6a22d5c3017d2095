"""Random spans that service graphs have something to do with, and options for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from tests.support.graphs import WILD, half

ATTRIBUTES = st.sampled_from([
    {},
    {},
    {"left": "out"},
    {"ratio": 0.25},
    {"ratio": 0.5, "db.system": ""},
    {"peer.service": "", "db.system": "mysql"},
    {"peer.service": "bank"},
    {"db.system": "mysql"},
    {"db.system": "mysql", "server.address": "db1"},
    {"zone": "a"},
    {"zone": WILD},
])  # fmt: skip


LINKS = st.lists(
    st.builds(
        lambda trace, own: Span.Link(
            trace_id=trace.to_bytes(16, "big"), span_id=own.to_bytes(8, "big")
        ),
        st.integers(1, 2),
        st.integers(1, 4),
    ),
    max_size=2,
)
LEFT_OUT = {"match_type": "strict", "attributes": [{"key": "span.left", "value": "out"}]}
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "filter_policies": st.just([{"exclude": LEFT_OUT}]),
        "span_multiplier_key": st.just("ratio"),
        "enable_span_links": st.just(True),
        "enable_unpaired_spans_metric": st.just(True),
        "enable_client_server_prefix": st.just(True),
        "enable_virtual_node_label": st.just(True),
        "enable_messaging_system_latency_histogram": st.just(True),
    },
)
Options = Mapping[str, Any]


@st.composite
def spans(draw: st.DrawFn) -> ResourceSpans:
    """Spans of few ids, so that most meet another; durations that add up exactly."""
    return half(
        draw(st.sampled_from(["a", "b", "c", "", WILD, None])),
        draw(st.integers(0, 5)),
        draw(st.integers(1, 4)),
        draw(st.sampled_from([None, 1, 2, 3, 4])),
        trace=draw(st.integers(1, 2)),
        attrs=draw(ATTRIBUTES),
        status=draw(st.sampled_from([0, 2])),
        duration_s=draw(st.integers(0, 8)) / 8,
        links=draw(LINKS),
    )
