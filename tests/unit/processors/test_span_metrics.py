from collections import Counter
from typing import Any, Literal

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from consumer.decode import Encoding, open_decoder
from processors.delta import Output
from processors.filters import FilterPolicy
from processors.span_metrics import (
    COUNT,
    LATENCY,
    SIZE,
    DimensionMapping,
    IntrinsicDimensions,
    SpanMetrics,
    SpanMetricsConfig,
)
from tests.support.otlp import raw_records, record, resource_spans, span

CALLS, DURATION = "traces_spanmetrics_calls_total", "traces_spanmetrics_latency"
SIZES = "traces_spanmetrics_size_total"


def push(processor: SpanMetrics, *parts: ResourceSpans) -> Output:
    decoder = open_decoder(Encoding.OTLP_PROTO, processor.projection, implementation="python")
    return processor.push(decoder.decode(raw_records([record(*parts)], tenants=("acme",))).batch)


def series(output: Output, family: str) -> list[tuple[dict[str, str], list[float]]]:
    """The labels and the delta of each label set of ``family``."""
    return [
        (
            {
                name: frame.strings[code]
                for name, code in zip(frame.schema.label_names, row, strict=True)
                if code
            },
            values,
        )
        for frame in output.frames
        for index, each in enumerate(frame.schema.families)
        if each.name == family
        for row, values in zip(frame.labels.tolist(), frame.values[index].tolist(), strict=True)
    ]


def families(output: Output) -> set[str]:
    return {family.name for frame in output.frames for family in frame.schema.families}


def labels_of(config: SpanMetricsConfig, *parts: ResourceSpans) -> dict[str, str]:
    [(labels, _)] = series(push(SpanMetrics(config), *parts), CALLS)
    return labels


def service(**fields: Any) -> ResourceSpans:
    resource = fields.pop("resource", {})
    return resource_spans([span(**fields)], resource=resource)


def test_spans_of_equal_labels_count_together_whatever_their_kind() -> None:
    spans = [span(kind=1), span(kind=1, duration_s=1.0), span(kind=2), span(kind=1, name="b")]
    output = push(SpanMetrics(SpanMetricsConfig()), resource_spans(spans))
    counts = {
        (labels["span_name"], labels["span_kind"]): value
        for labels, [value] in series(output, CALLS)
    }
    assert counts == {
        ("op", "SPAN_KIND_INTERNAL"): 2.0,
        ("op", "SPAN_KIND_SERVER"): 1.0,
        ("b", "SPAN_KIND_INTERNAL"): 1.0,
    }
    assert output.used == Counter(acme=4)


def test_without_any_label_all_spans_are_one_series() -> None:
    off = IntrinsicDimensions(service=False, span_name=False, span_kind=False, status_code=False)
    config = SpanMetricsConfig(intrinsic_dimensions=off)
    output = push(SpanMetrics(config), resource_spans([span(name=name) for name in "abc"]))
    assert series(output, CALLS) == [({}, [3.0])]


@pytest.mark.parametrize(
    ("parts", "expected"), [({COUNT}, {CALLS}), ({LATENCY}, {DURATION}), ({SIZE}, {SIZES})]
)
def test_a_part_writes_its_family_alone(parts: set[str], expected: set[str]) -> None:
    assert families(push(SpanMetrics(SpanMetricsConfig(), parts), service())) == expected


def test_parts_keep_the_configured_buckets() -> None:
    config = SpanMetricsConfig(histogram_buckets=(0.01, 0.1))
    [(_, values)] = series(push(SpanMetrics(config, {LATENCY}), service()), DURATION)
    assert values == [0.0, 1.0, 0.0, 0.05]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("tempo", {CALLS, DURATION, SIZES}),
        ("otel", {"traces_span_metrics_calls_total", "traces_span_metrics_duration_seconds"}),
    ],
)
def test_names_are_those_of_the_configuration(
    names: Literal["tempo", "otel"], expected: set[str]
) -> None:
    output = push(SpanMetrics(SpanMetricsConfig(metric_names=names)), service())
    assert families(output) == expected
    [frame] = output.frames
    label = {"tempo": "service", "otel": "service_name"}[names]
    assert frame.schema.label_names[0] == label


def test_both_kinds_of_names_tell_the_same() -> None:
    output = push(SpanMetrics(SpanMetricsConfig(metric_names="both")), service())
    [(tempo, count)] = series(output, CALLS)
    [(otel, same)] = series(output, "traces_span_metrics_calls_total")
    assert count == same == [1.0]
    assert otel.pop("service_name") == tempo.pop("service") == "svc"
    assert otel == tempo
    assert output.used == Counter(acme=1)


def test_a_mapping_joins_what_is_not_empty_or_takes_the_first_of_it() -> None:
    sources = ("a", "b", "c")
    joined = DimensionMapping(name="joined", source_labels=sources, join="/")
    first = DimensionMapping(name="first", source_labels=sources, first_non_empty=True)
    config = SpanMetricsConfig(dimension_mappings=(joined, first))
    labels = labels_of(config, service(attrs={"a": "", "b": "x"}, resource={"c": "y"}))
    assert (labels["joined"], labels["first"]) == ("x/y", "x")
    labels = labels_of(config, service())
    assert not {"joined", "first"} & labels.keys()


def test_of_dimensions_with_one_label_the_last_that_is_not_empty_wins() -> None:
    config = SpanMetricsConfig(dimensions=("a.b", "a_b"))
    assert labels_of(config, service(attrs={"a.b": "x", "a_b": "y"}))["a_b"] == "y"
    assert labels_of(config, service(attrs={"a.b": "x", "a_b": ""}))["a_b"] == "x"


def test_filtered_spans_are_counted_as_such() -> None:
    policy = {
        "exclude": {"match_type": "strict", "attributes": ({"key": "name", "value": "health"},)}
    }
    config = SpanMetricsConfig(filter_policies=(FilterPolicy.model_validate(policy),))
    output = push(SpanMetrics(config), service(), service(name="health"))
    assert output.discarded == Counter({("acme", "span_metrics_filtered"): 1})
    assert output.used == Counter(acme=1)
    assert [labels["span_name"] for labels, _ in series(output, CALLS)] == ["op"]


def test_when_all_spans_are_filtered_nothing_is_written() -> None:
    policy = {
        "include": {"match_type": "strict", "attributes": ({"key": "name", "value": "other"},)}
    }
    config = SpanMetricsConfig(
        filter_policies=(FilterPolicy.model_validate(policy),), enable_target_info=True
    )
    output = push(SpanMetrics(config, sanitization="enabled"), service(resource={"a": "b"}))
    assert not output.frames
    assert not output.used


def test_weights_count_in_calls_and_latency_but_not_in_sizes() -> None:
    config = SpanMetricsConfig(span_multiplier_key="ratio", histogram_buckets=(0.1,))
    output = push(SpanMetrics(config), service(attrs={"ratio": 0.25}), service())
    [(_, calls)] = series(output, CALLS)
    [(_, latency)] = series(output, DURATION)
    [(_, sizes)] = series(output, SIZES)
    assert calls == [5.0]
    assert latency == [5.0, 0.0, pytest.approx(0.25)]
    assert sizes[0] < 200


@pytest.mark.parametrize(
    ("sanitization", "names"),
    [("", {"a 1", "a 2", "b"}), ("dry_run", {"a 1", "a 2", "b"}), ("enabled", {"a <_>", "b"})],
)
def test_span_names_become_templates_when_that_is_wanted(
    sanitization: Literal["", "dry_run", "enabled"], names: set[str]
) -> None:
    spans = resource_spans([span(name=name) for name in ("a 1", "a 2", "a 2", "b")])
    output = push(SpanMetrics(SpanMetricsConfig(), sanitization=sanitization), spans)
    assert {labels["span_name"] for labels, _ in series(output, CALLS)} == names
    assert output.sanitized == (Counter(acme=3) if sanitization else Counter())


def test_a_template_that_a_span_has_as_its_name_is_the_same_series() -> None:
    spans = resource_spans([span(name="a <_>"), span(name="a 1")])
    output = push(SpanMetrics(SpanMetricsConfig(), sanitization="enabled"), spans)
    [(labels, count)] = series(output, CALLS)
    assert (labels["span_name"], count) == ("a <_>", [2.0])


def test_filters_see_the_name_as_it_came() -> None:
    policy = {"exclude": {"match_type": "strict", "attributes": ({"key": "name", "value": "a 1"},)}}
    config = SpanMetricsConfig(filter_policies=(FilterPolicy.model_validate(policy),))
    spans = resource_spans([span(name="a 2"), span(name="a 1")])
    output = push(SpanMetrics(config, sanitization="enabled"), spans)
    assert [values for _, values in series(output, CALLS)] == [[1.0]]


def test_target_info_leaves_out_what_it_is_told_to() -> None:
    config = SpanMetricsConfig(
        enable_target_info=True, target_info_excluded_dimensions=("secret.key",)
    )
    resource = {"service.namespace": "ns", "zone": "eu", "secret.key": "x"}
    output = push(SpanMetrics(config), service(resource=resource))
    [(labels, value)] = series(output, "traces_target_info")
    assert (labels, value) == ({"job": "ns/svc", "zone": "eu"}, [1.0])
    [(labels, _)] = series(output, CALLS)
    assert labels["job"] == "ns/svc"
