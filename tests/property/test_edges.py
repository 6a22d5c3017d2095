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
from processors.service_graphs import PARTS, EdgeStore, ServiceGraphsConfig
from tests.support.decoding import IMPLEMENTATIONS, Implementation, require
from tests.support.graph_strategies import OPTIONS, Options, spans
from tests.support.graphs import Graph, GraphRecord
from tests.support.oracle import Oracle
from tests.support.oracle_spans import Differences

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
