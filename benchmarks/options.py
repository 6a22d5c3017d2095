"""`make bench-options`: what one option costs, alone, as JSON lines.

Each line compares the pipeline under one option with that of the default configuration on
the same records in the same round, on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import orjson

from benchmarks.inputs import read_input
from benchmarks.machine import pin_to_one_core
from benchmarks.measure import PIPELINE, Bench, Case
from benchmarks.workloads.files import SPANS, workload_file
from consumer.config.load import parse_config
from consumer.decode import Encoding

ROUNDS, BATCH_SPANS = 5, 16_000
DEFAULT = "default"

SPAN_METRICS: Mapping[str, Any] = {
    "dimensions": {"dimensions": ["http.method", "http.status_code", "service.version"]},
    "dimension_mappings": {
        "dimension_mappings": [
            {"name": "call", "source_labels": ["http.method", "http.route"], "join": " "}
        ]
    },
    "enable_target_info": {"enable_target_info": True},
    "filter_policies, strict": {
        "filter_policies": [
            {
                "include": {
                    "match_type": "strict",
                    "attributes": [{"key": "kind", "value": "SPAN_KIND_SERVER"}],
                }
            }
        ]
    },
    "filter_policies, regex": {
        "filter_policies": [
            {
                "exclude": {
                    "match_type": "regex",
                    "attributes": [{"key": "span.http.route", "value": "/health.*"}],
                }
            }
        ]
    },
    "span_multiplier_key": {"span_multiplier_key": "sampling.ratio"},
    "enable_tracestate_span_multiplier": {"enable_tracestate_span_multiplier": True},
    "intrinsic_dimensions.status_message": {"intrinsic_dimensions": {"status_message": True}},
    "metric_names: otel": {"metric_names": "otel"},
    "metric_names: both": {"metric_names": "both"},
    "50 buckets": {"histogram_buckets": [0.002 * 1.2**step for step in range(50)]},
}
"""What is measured of `metrics_generator.processor.span_metrics`."""

SERVICE_GRAPHS: Mapping[str, Any] = {
    "dimensions": {"dimensions": ["http.method", "service.version"]},
    "enable_client_server_prefix": {
        "dimensions": ["http.method", "service.version"],
        "enable_client_server_prefix": True,
    },
    "enable_messaging_system_latency_histogram": {
        "enable_messaging_system_latency_histogram": True
    },
    "enable_virtual_node_label": {"enable_virtual_node_label": True},
    "enable_unpaired_spans_metric": {"enable_unpaired_spans_metric": True},
    "enable_span_links": {"enable_span_links": True},
    "filter_policies": {
        "filter_policies": [
            {
                "exclude": {
                    "match_type": "strict",
                    "attributes": [{"key": "resource.k8s.cluster.name", "value": "none"}],
                }
            }
        ]
    },
    "enable_tracestate_span_multiplier": {"enable_tracestate_span_multiplier": True},
}
"""What is measured of `metrics_generator.processor.service_graphs`."""

OVERRIDES: Mapping[str, Any] = {
    "processors: host-info too": {"processors": ["span-metrics", "service-graphs", "host-info"]},
    "generate_native_histograms: native": {"generate_native_histograms": "native"},
    "generate_native_histograms: both": {"generate_native_histograms": "both"},
    "max_exemplars: 0": {"max_exemplars": 0},
    "span_name_sanitization: enabled": {"span_name_sanitization": "enabled"},
    "span_name_sanitization: dry_run": {"span_name_sanitization": "dry_run"},
    "max_active_series, half of them": {"max_active_series": 60_000},
    "max_cardinality_per_label": {"max_cardinality_per_label": 100},
}
"""What is measured of `overrides.defaults.metrics_generator`."""


def documents() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and configuration of each that is measured, the default first."""
    yield DEFAULT, {}
    for block, options in (("span_metrics", SPAN_METRICS), ("service_graphs", SERVICE_GRAPHS)):
        for name, option in options.items():
            yield f"{block}: {name}", {"metrics_generator": {"processor": {block: option}}}
    for name, option in OVERRIDES.items():
        yield f"overrides: {name}", {"overrides": {"defaults": {"metrics_generator": option}}}


def lines(benches: Sequence[Bench], rounds: int) -> Iterator[dict[str, Any]]:
    """A line for each of ``benches``, the first of which is the default."""
    seconds: list[list[float]] = [[] for _ in benches]
    for bench in benches:
        bench.warm_up()
    for _ in range(rounds):
        for bench, own in zip(benches, seconds, strict=True):
            own.append(bench.measure(PIPELINE)[0])
    for bench, own in zip(benches, seconds, strict=True):
        ratios = [default / each for default, each in zip(seconds[0], own, strict=True)]
        spans = int(bench.case.records.spans.sum())
        yield {
            "workload": bench.case.workload,
            "option": bench.case.options,
            "decoder": bench.decoder.implementation,
            "spans_per_second": round(spans / median(own)),
            "ratio_to_default": round(median(ratios), 3),
            "ratio_to_default_spread": [round(min(ratios), 3), round(max(ratios), 3)],
            "rounds": rounds,
            "spans": spans,
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.options", description=__doc__)
    parser.add_argument("--spans", type=int, default=SPANS, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    arguments = parser.parse_args()
    if min(arguments.spans, arguments.rounds) < 1:
        parser.error("--spans and --rounds are numbers of at least 1")
    pin_to_one_core()
    tenants = ("single-tenant",)
    records = read_input(workload_file("shop", arguments.spans), Encoding.OTLP_PROTO, tenants)
    benches = []
    for name, document in documents():
        config = parse_config(orjson.dumps(document).decode(), environ={})
        benches.append(Bench(Case("shop", name, records, config, "auto", BATCH_SPANS)))
    for line in lines(benches, arguments.rounds):
        print(orjson.dumps(line).decode(), flush=True)


if __name__ == "__main__":
    main()
