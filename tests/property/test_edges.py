"""Random spans into service graphs: none is lost, and batches do not matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from consumer.acceleration import choose_pairing
from processors.service_graphs import PARTS, EdgeStore, ServiceGraphsConfig
from tests.support.decoding import IMPLEMENTATIONS, Implementation, require
from tests.support.graphs import WILD, Graph, GraphRecord, half
from tests.support.oracle import Oracle
from tests.support.oracle_spans import Differences

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


def run(
    implementation: Implementation,
    records: Sequence[GraphRecord],
    cuts: set[int],
    options: Options,
) -> Graph:
    graph = Graph(
        choose_pairing(implementation), wait="20ms", max_items=3, dimensions=("zone",), **options
    )
    bounds = [0, *sorted(at for at in cuts if at < len(records)), len(records)]
    for start, end in pairwise(bounds):
        if end > start:
            graph.push_batch(records[start:end])
    return graph


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(records=RECORDS, cuts=CUTS, options=OPTIONS)
@settings(max_examples=50)
def test_every_span_is_used_or_discarded_or_pending(
    implementation: Implementation,
    records: Sequence[GraphRecord],
    cuts: set[int],
    options: Options,
) -> None:
    require(implementation)
    graph = run(implementation, records, cuts, options)
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
@given(records=RECORDS, cuts=CUTS, options=OPTIONS)
@settings(max_examples=50)
def test_batches_do_not_change_what_comes_of_records(
    implementation: Implementation,
    records: Sequence[GraphRecord],
    cuts: set[int],
    options: Options,
) -> None:
    require(implementation)
    whole = run(implementation, records, set(), options)
    parts = run(implementation, records, cuts, options)
    for graph in (whole, parts):
        graph.close(0)
        graph.close(1)
    assert parts.used == whole.used
    assert parts.discarded == whole.discarded
    assert parts.edges == whole.edges
    assert parts.totals.keys() == whole.totals.keys()
    for key, values in whole.totals.items():
        assert np.array_equal(parts.totals[key], values), key
    if "span_multiplier_key" not in options:
        assert sum(whole.edges.values()) == sum(whole.requests().values())


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(parts=st.lists(spans(), max_size=25), options=OPTIONS, max_items=st.integers(0, 9))
@settings(max_examples=70)
def test_edges_are_those_that_the_oracle_tells(
    implementation: Implementation,
    parts: Sequence[ResourceSpans],
    options: Options,
    max_items: int,
) -> None:
    require(implementation)
    settings = {**options, "max_items": max_items, "dimensions": ("zone",)}
    settings |= {"enable_span_links": False, "enable_unpaired_spans_metric": False}
    graph = Graph(choose_pairing(implementation), **settings)
    config = ServiceGraphsConfig.model_validate(settings, strict=False)
    oracle = Oracle(config, PARTS, Differences())
    for part in parts:
        record = GraphRecord([part])
        graph.push_batch([record])
        oracle.push(record.value())
    graph.close()
    oracle.expire()
    assert graph.series() == pytest.approx(dict(oracle.series))


@given(records=RECORDS, moves=st.lists(st.booleans(), min_size=10, max_size=10))
def test_a_tenant_that_moves_loses_no_span_and_no_edge(
    records: Sequence[GraphRecord], moves: Sequence[bool]
) -> None:
    store = EdgeStore()
    here, there = Graph(store=store, max_items=100), Graph(store=store, max_items=100)
    stayed = Graph(max_items=100)
    came = 0
    for record, moved in zip(records, moves, strict=False):
        at_start = GraphRecord(record.parts, 0, record.lane, record.tenant)
        (there if moved else here).push_batch([at_start])
        stayed.push_batch([at_start])
        came += len(record.parts)
        pending = here.processor.pending() + there.processor.pending()
        assert pending == stayed.processor.pending()
        assert told(here) + told(there) + pending == came
    for graph in (here, there, stayed):
        graph.close(0)
        graph.close(1)
    assert here.processor.pending() == there.processor.pending() == 0
    assert Counter(here.requests()) + Counter(there.requests()) == Counter(stayed.requests())


def told(graph: Graph) -> int:
    """Spans whose end is known."""
    return graph.used.total() + graph.discarded.total()
