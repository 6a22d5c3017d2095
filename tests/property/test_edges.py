"""Random spans into service graphs: none is lost, and batches do not matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from consumer.acceleration import choose_pairing
from tests.support.decoding import IMPLEMENTATIONS, Implementation, require
from tests.support.graphs import WILD, Graph, GraphRecord, half

ATTRIBUTES = st.sampled_from([
    {},
    {},
    {"peer.service": "bank"},
    {"db.system": "mysql"},
    {"db.system": "mysql", "server.address": "db1"},
    {"zone": "a"},
    {"zone": WILD},
])  # fmt: skip


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
    )


RECORDS = st.lists(
    st.builds(
        GraphRecord,
        st.lists(spans(), max_size=5),
        time_ms=st.integers(0, 40),
        lane=st.integers(0, 1),
        tenant=st.sampled_from(["t", "u"]),
    ),
    max_size=10,
)
CUTS = st.sets(st.integers(1, 9))


def run(implementation: Implementation, records: Sequence[GraphRecord], cuts: set[int]) -> Graph:
    graph = Graph(choose_pairing(implementation), wait="20ms", max_items=3, dimensions=("zone",))
    bounds = [0, *sorted(at for at in cuts if at < len(records)), len(records)]
    for start, end in pairwise(bounds):
        if end > start:
            graph.push_batch(records[start:end])
    return graph


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(records=RECORDS, cuts=CUTS)
@settings(max_examples=60)
def test_every_span_is_used_or_discarded_or_pending(
    implementation: Implementation, records: Sequence[GraphRecord], cuts: set[int]
) -> None:
    require(implementation)
    graph = run(implementation, records, cuts)
    came = Counter[str]()
    for record in records:
        came[record.tenant] += len(record.parts)
    ended = graph.used.total() + graph.discarded.total()
    assert ended + graph.processor.pending() == came.total()
    graph.forget(0)
    graph.close(1)
    assert graph.processor.pending() == 0
    by_tenant = Counter(graph.used)
    for (tenant, _), count in graph.discarded.items():
        by_tenant[tenant] += count
    assert by_tenant == came


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(records=RECORDS, cuts=CUTS)
@settings(max_examples=60)
def test_batches_do_not_change_what_comes_of_records(
    implementation: Implementation, records: Sequence[GraphRecord], cuts: set[int]
) -> None:
    require(implementation)
    whole, parts = run(implementation, records, set()), run(implementation, records, cuts)
    for graph in (whole, parts):
        graph.close(0)
        graph.close(1)
    assert parts.used == whole.used
    assert parts.discarded == whole.discarded
    assert parts.edges == whole.edges
    assert parts.totals.keys() == whole.totals.keys()
    for key, values in whole.totals.items():
        assert np.array_equal(parts.totals[key], values), key
    assert sum(whole.edges.values()) == sum(whole.requests().values())
