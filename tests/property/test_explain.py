"""What explain says of spans one by one adds up to what the series say of them together."""

from __future__ import annotations

import io
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from consumer.config import Config
from consumer.config.load import load_config
from consumer.config.tenants import settings_by_tenant
from consumer.explain import explain, run_explain
from consumer.files.preview import run_preview
from consumer.files.rehearsal import Rehearsal
from tests.support.explained import PROCESSORS, ends, families_of, named, total
from tests.support.graph_strategies import OPTIONS, Options, spans
from tests.support.graphs import GraphRecord

SPAN_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "dimensions": st.just(["zone", "db.system"]),
        "enable_target_info": st.just(True),
        "filter_policies": st.just([
            {"exclude": {"match_type": "strict", "attributes": [{"key": "kind",
             "value": "SPAN_KIND_INTERNAL"}]}}
        ]),
    },
)  # fmt: skip
FILES = st.lists(st.lists(st.lists(spans(), max_size=4), max_size=4), min_size=1, max_size=2)


class Case:
    """Files of records in a folder, and a configuration for them."""

    def __init__(self, folder: str, files: Sequence[Sequence[Sequence[ResourceSpans]]]) -> None:
        self.inputs = []
        for number, records in enumerate(files):
            path = Path(folder) / f"{number}.otlp"
            values = [GraphRecord(parts).value() for parts in records]
            framed = [len(value).to_bytes(4, "big") + value for value in values]
            path.write_bytes(b"".join(framed) or bytes(4))
            self.inputs.append(path)

    def configure(
        self, folder: str, graphs: Options, of_spans: Mapping[str, Any], histograms: str
    ) -> Config:
        processor = {"service_graphs": dict(graphs), "span_metrics": dict(of_spans)}
        limits = {"processors": PROCESSORS, "generate_native_histograms": histograms}
        path = Path(folder) / "spanmill.yaml"
        document = {
            "metrics_generator": {"processor": processor},
            "overrides": {"defaults": {"metrics_generator": limits}},
        }
        path.write_text(json.dumps(document))
        return load_config(path, environ={})


@given(
    files=FILES,
    graphs=OPTIONS,
    of_spans=SPAN_OPTIONS,
    histograms=st.sampled_from(["classic", "native", "both"]),
)
@settings(max_examples=60, deadline=None)
def test_spans_and_edges_add_up_to_the_series(
    files: Sequence[Sequence[Sequence[ResourceSpans]]],
    graphs: Options,
    of_spans: Mapping[str, Any],
    histograms: str,
) -> None:
    graphs = {key: value for key, value in graphs.items() if key != "span_multiplier_key"}
    with tempfile.TemporaryDirectory() as folder:
        case = Case(folder, files)
        of_graphs = {"max_items": 3, "dimensions": ["zone"], **graphs}
        config = case.configure(folder, of_graphs, of_spans, histograms)
        found = explain(config, case.inputs, settings_by_tenant(config))
        printed = io.StringIO()
        run_preview(config, case.inputs, output=printed)
        told = io.StringIO()
        run_explain(config, case.inputs, as_json=True, output=told)
    series = [json.loads(line) for line in printed.getvalue().split("\n") if line]
    assert ends(found)["span-metrics", "used"] == total(series, "traces_spanmetrics_calls_total")
    assert len(found.findings.edges) == total(series, "traces_service_graph_request_total")
    assert set(named(found)) == families_of(series)
    lines = [json.loads(line) for line in told.getvalue().split("\n") if line]
    edges = {edge["edge"] for each in lines for edge in edges_of(each)}
    assert len(lines) == len(found.spans)
    assert edges == set(range(len(found.findings.edges)))


@given(files=FILES, graphs=OPTIONS, of_spans=SPAN_OPTIONS, keep=st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_span_ends_as_the_counts_say(
    files: Sequence[Sequence[Sequence[ResourceSpans]]],
    graphs: Options,
    of_spans: Mapping[str, Any],
    *,
    keep: bool,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        case = Case(folder, files)
        config = case.configure(folder, {"max_items": 3, **graphs}, of_spans, "classic")
        tenants = settings_by_tenant(config)
        found = explain(config, case.inputs, tenants, keep_pending=keep)
        rehearsal = Rehearsal(config, tenants)
        outcomes = [rehearsal.push(path) for path in case.inputs]
        if not keep:
            outcomes.append(rehearsal.pipeline.close(0))
    counted = Counter[tuple[str, str]]()
    for outcome in outcomes:
        for processor, used in outcome.used.items():
            counted[processor, "used"] += used.total()
        for (_, processor, reason), count in outcome.discarded.items():
            counted[processor, reason] += count
    assert ends(found) == +counted


def edges_of(line: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    of_graphs: Mapping[str, Any] = line["processors"].get("service-graphs", {})
    edges: Sequence[Mapping[str, Any]] = of_graphs.get("edges", ())
    return edges
