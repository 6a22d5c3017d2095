"""What explain says of spans one by one adds up to what the series say of them together."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from consumer.config import Config
from consumer.config.load import load_config
from consumer.config.tenants import settings_by_tenant
from consumer.explain import Explanation, explain, run_explain
from consumer.explain.findings import SeriesSet
from consumer.pipeline import ALL_PROCESSORS
from consumer.preview import run_preview
from consumer.rehearsal import Rehearsal
from tests.support.graph_strategies import OPTIONS, Options, spans
from tests.support.graphs import GraphRecord

PROCESSORS = ["span-metrics", "service-graphs", "host-info"]
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
SERIES_OF_HISTOGRAM = re.compile(r"_(bucket|count|sum)$")


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
    series = [json.loads(line) for line in printed.getvalue().splitlines()]
    assert ends(found)["span-metrics", "used"] == total(series, "traces_spanmetrics_calls_total")
    assert len(found.findings.edges) == total(series, "traces_service_graph_request_total")
    assert set(named(found)) == {
        (SERIES_OF_HISTOGRAM.sub("", one["name"]), frozenset(one["labels"].items() - le(one)))
        for one in series
    }
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
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
        for (_, processor), count in outcome.used.items():
            counted[processor, "used"] += count
        for (_, processor, reason), count in outcome.discarded.items():
            counted[processor, reason] += count
    assert ends(found) == +counted


def ends(found: Explanation) -> Counter[tuple[str, str]]:
    """(processor, ``used`` or the reason) -> spans."""
    counts = Counter[tuple[str, str]]()
    for span in found.spans:
        for processor, finding in found.findings.of(span.number).items():
            if finding.is_used is not None:
                counts[processor, "used" if finding.is_used else finding.reason] += 1
            assert processor in {*PROCESSORS, ALL_PROCESSORS}
    return counts


def named(found: Explanation) -> Iterator[tuple[str, frozenset[tuple[str, str]]]]:
    """(family, labels) of everything that a span or an edge counted in."""
    sets: list[SeriesSet | None] = [edge.series for edge in found.findings.edges]
    for span in found.spans:
        for finding in found.findings.of(span.number).values():
            sets += finding.series
    for each in sets:
        assert each is not None
        for metric in each.metrics:
            yield metric, frozenset(each.labels.items())


def total(series: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(sum(one["value"] for one in series if one["name"] == name))


def le(one: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {("le", one["labels"]["le"])} if "le" in one["labels"] else set()


def edges_of(line: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    of_graphs: Mapping[str, Any] = line["processors"].get("service-graphs", {})
    edges: Sequence[Mapping[str, Any]] = of_graphs.get("edges", ())
    return edges
