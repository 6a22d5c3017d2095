"""What counts for a tenant. Walks the models, so that a new key is covered without being named."""

import json
from typing import Any, Literal, get_args, get_origin

import pytest

from consumer.config import parse_config, shape
from consumer.config.document import TENANTS
from consumer.config.load import parse_tenants
from consumer.config.overrides import GeneratorLimits, Limits
from consumer.config.reference import is_duration
from consumer.config.tempo import DEFAULTS, NO_EFFECT
from consumer.config.tenants import SettingsByTenant, TenantSettings
from consumer.errors import ConfigError

BLOCK = "metrics_generator."
SAMPLES: dict[str, object] = {
    "processors": ["span-metrics"],
    "trace_id_label_name": "trace_id",
    "remote_write_headers": {"X-Key": "b"},
    "remote_write": [{"url": "http://a/x"}],
    "processor.span_metrics.dimension_mappings": [{"name": "n", "source_labels": ["a"]}],
    "processor.span_metrics.filter_policies": [
        {"exclude": {"match_type": "strict", "attributes": [{"key": "name", "value": "x"}]}}
    ],
    "processor.service_graphs.filter_policies": [
        {"exclude": {"match_type": "strict", "attributes": [{"key": "name", "value": "x"}]}}
    ],
}


def told(key: shape.Key) -> bool:
    """Whether the key is one to set by itself and has an effect."""
    is_block = key.block is not None and not shape.is_list(key.field.annotation)
    what_for = NO_EFFECT.get(f"{DEFAULTS}{BLOCK}{key.pattern}")
    return not (is_block or what_for is not None or "[]" in key.pattern)


LEAVES = [key for key in shape.keys(GeneratorLimits) if told(key)]
KEYS = [key for key in shape.keys(Limits) if not key.pattern.endswith(".workers")]


def sample(key: shape.Key) -> object:
    """A value that is not the default."""
    if key.pattern in SAMPLES:
        return SAMPLES[key.pattern]
    kind = shape.unwrap(key.field.annotation)
    if get_origin(kind) is Literal:
        return get_args(kind)[-1]
    if shape.is_list(kind):
        return [0.5, 1] if get_args(kind)[0] is float else ["other"]
    if is_duration(key):
        return "1m30s"
    default: Any = parsed({}).default.processing
    if kind is bool:
        for part in key.pattern.removeprefix("processor.").split("."):
            default = getattr(default, part, False)
        return not default
    return {str: "other", int: 7, float: 1.5}[kind]  # type: ignore[index]


def tree(pattern: str, value: object) -> dict[str, Any]:
    for part in reversed(pattern.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def parsed(
    entries: dict[str, object], defaults: object = None, static: object = None
) -> SettingsByTenant:
    """The settings with ``entries`` of the file, each what is below ``metrics_generator``."""
    config = {
        "metrics_generator": static,
        "overrides": {"defaults": {"metrics_generator": defaults}},
    }
    file = {"overrides": {name: {"metrics_generator": entry} for name, entry in entries.items()}}
    return parse_tenants(parse_config(json.dumps(config), environ={}), json.dumps(file), environ={})


def problems(text: str, config: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_tenants(parse_config(config, environ={}), text, environ={})
    return [str(problem) for problem in caught.value.problems]


PLAIN = parsed({}).default


@pytest.mark.parametrize("key", LEAVES, ids=lambda key: str(key.pattern))
def test_each_key_of_a_tenant_counts_for_that_tenant_alone(key: shape.Key) -> None:
    given = tree(key.pattern, sample(key))
    settings = parsed({"acme": given})
    assert settings.for_tenant("acme") != PLAIN
    assert settings.for_tenant("other") == settings.default == PLAIN
    assert parsed({"*": given}).default == settings.for_tenant("acme")
    assert parsed({}, given).default == settings.for_tenant("acme")


@pytest.mark.parametrize("key", LEAVES, ids=lambda key: str(key.pattern))
def test_each_key_is_merged_by_itself(key: shape.Key) -> None:
    others: dict[str, Any] = {}
    for other in LEAVES:
        if other.pattern != key.pattern:
            merge(others, tree(other.pattern, sample(other)))
    everything = json.loads(json.dumps(others))
    merge(everything, tree(key.pattern, sample(key)))
    whole = parsed({"acme": everything}).for_tenant("acme")
    assert parsed({"acme": tree(key.pattern, sample(key))}, others).for_tenant("acme") == whole
    assert parsed({"acme": others, "*": tree(key.pattern, sample(key))}).for_tenant("acme") == whole


def merge(into: dict[str, Any], other: dict[str, Any]) -> None:
    for name, value in other.items():
        if isinstance(value, dict):
            merge(into.setdefault(name, {}), value)
        else:
            into[name] = value


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key.pattern))
def test_a_wrong_type_is_refused_at_its_path_in_the_file(key: shape.Key) -> None:
    annotation = key.field.annotation
    takes_keys = shape.as_model(annotation) is not None or shape.is_mapping(annotation)
    path = "overrides.acme." + key.pattern
    found = problems(tree_text(path, 7.5 if takes_keys else {"wrong": 1}))
    assert any(each.startswith(path.replace("[]", "[0]")) for each in found), found


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key.pattern))
def test_an_unknown_neighbour_in_the_file_is_refused(key: shape.Key) -> None:
    path = f"overrides.acme.{key.pattern}x"
    name = key.pattern.rpartition(".")[2]
    expected = f"{path.replace('[]', '[0]')}: unknown key; did you mean {name}?"
    assert expected in problems(tree_text(path, 1))


@pytest.mark.parametrize("pattern", TENANTS.not_yet)
def test_what_is_not_supported_yet_is_not_so_for_a_tenant_either(pattern: str) -> None:
    path = pattern.replace("*", "acme")
    found = problems(tree_text(path, 123456.5))
    assert f"{path.replace('[]', '[0]')}: not supported yet" in found
    entry, _, key = path.rpartition(".")
    value = {key: TENANTS.not_yet[pattern]} | ({"url": "http://a/x"} if "[]" in path else {})
    parse_tenants(parse_config("", environ={}), tree_text(entry, value), environ={})


def tree_text(pattern: str, value: object) -> str:
    for part in reversed(pattern.split(".")):
        name = part.removesuffix("[]")
        value = {name: [value] if part.endswith("[]") else value}
    return json.dumps(value)


def of(entry: object, defaults: object = None, static: object = None) -> TenantSettings:
    return parsed({"acme": entry}, defaults, static).for_tenant("acme")


def test_the_tenant_wins_over_any_tenant_over_the_defaults_over_the_static_settings() -> None:
    def dimensions(*names: str) -> object:
        return {"processor": {"span_metrics": {"dimensions": list(names)}}}

    layers: list[Any] = [dimensions("tenant"), dimensions("any"), dimensions("default")]
    static: Any = dimensions("static")
    for first, name in enumerate(["tenant", "any", "default", "static"]):
        acme, any_tenant, defaults = [None] * first + layers[first:]
        settings = parsed({"acme": acme, "*": any_tenant}, defaults, static)
        assert settings.for_tenant("acme").processing.span_metrics.dimensions == (name,)


def test_an_empty_list_is_given_and_nothing_is_not() -> None:
    static = {"processor": {"span_metrics": {"dimensions": ["a"]}}}
    empty = {"processor": {"span_metrics": {"dimensions": []}}, "processors": []}
    assert of(empty, static=static).processing.span_metrics.dimensions == ()
    assert of(empty).processing.processors == ()
    nothing = {"processor": {"span_metrics": {"dimensions": None}}, "processors": None}
    assert of(nothing, static=static).processing.span_metrics.dimensions == ("a",)
    assert of(nothing, {"processors": ["host-info"]}).processing.processors == ("host-info",)


def test_what_was_switched_on_can_be_switched_off() -> None:
    static = {"processor": {"service_graphs": {"enable_client_server_prefix": True}}}
    off = {"processor": {"service_graphs": {"enable_client_server_prefix": False}}}
    assert not of(off, static=static).processing.service_graphs.enable_client_server_prefix


def test_zero_times_mean_the_static_ones_and_zero_limits_none() -> None:
    defaults = {
        "collection_interval": "1m",
        "ingestion_time_range_slack": "1h",
        "max_active_series": 5,
    }
    zero = {"collection_interval": 0, "ingestion_time_range_slack": 0, "max_active_series": 0}
    settings = of(zero, defaults, {"metrics_ingestion_time_range_slack": "7s"})
    assert (settings.interval_ms, settings.slack_ms) == (15_000, 7_000)
    assert settings.limits.max_active_series == 0


def test_tenants_with_equal_settings_are_equal_and_hash_alike() -> None:
    settings = parsed(
        {
            "a": {"processor": {"span_metrics": {"dimensions": ["x"]}}},
            "b": {"processor": {"span_metrics": {"dimensions": ["x"]}}, "max_active_series": 1},
        }
    )
    a, b = settings.for_tenant("a"), settings.for_tenant("b")
    assert a != b
    assert len({a.processing, b.processing}) == 1


def test_filter_values_that_are_equal_numbers_of_other_types_are_not_the_same() -> None:
    def policy(value: object) -> object:
        block = {"match_type": "strict", "attributes": [{"key": "span.a", "value": value}]}
        return {"processor": {"span_metrics": {"filter_policies": [{"include": block}]}}}

    settings = parsed({str(i): policy(value) for i, value in enumerate([1, 1.0, True])})
    assert len({settings.for_tenant(name).processing for name in "012"}) == 3


def test_parts_of_a_processor_run_when_it_is_not_listed_itself() -> None:
    processing = of({"processors": ["span-metrics-count", "span-metrics-size"]}).processing
    assert processing.parts("span-metrics", ["count", "latency", "size"]) == {"count", "size"}
    assert processing.parts("service-graphs", ["request"]) == set()
    both = of({"processors": {"span-metrics": None, "span-metrics-count": None}}).processing
    assert both.parts("span-metrics", ["count", "latency"]) == {"count", "latency"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("overrides:\n  acme:\n  other: {metrics_generator: }\n", None),
        ("tenants: {}", "tenants: unknown key; known are overrides"),
        ("overrides: [acme]", "overrides: found a list, expected keys with values"),
        (
            "overrides: {acme: {metrics_generator: {collection_interval: 1s}}}",
            (
                "overrides.acme.metrics_generator.collection_interval:"
                " found '1s', expected a duration from 15s to 5m"
            ),
        ),
        (
            "overrides: {acme: {metrics_generator: {processors: [span-metric]}}}",
            "overrides.acme.metrics_generator.processors[0]: found 'span-metric', expected",
        ),
        (
            (
                "overrides: {a.b: {metrics_generator: {processor: {span_metrics:"
                " {histogram_buckets: [1, 2, 2]}}}}}"
            ),
            (
                "overrides.a.b.metrics_generator.processor.span_metrics.histogram_buckets[2]:"
                " found 2.0, expected a number above 2.0"
            ),
        ),
        (
            (
                "overrides: {acme: {metrics_generator: {processor: {span_metrics:"
                " {dimension_mappings: [{name: a_b, source_labels: [x]}]}}}}}"
            ),
            (
                "overrides.acme.metrics_generator.processor.span_metrics.dimension_mappings[0].name:"
                " found 'a_b', which gives the same label as the dimension 'a.b': a_b"
            ),
        ),
        (
            "overrides: {acme: {metrics_generator: {trace_id_label_name: a-b}}}",
            "overrides.acme.metrics_generator.trace_id_label_name: found 'a-b', expected a label",
        ),
        (
            "overrides: {acme: {metrics_generator: {span_name_sanitization: on}}}",
            "overrides.acme.metrics_generator.span_name_sanitization: found true, expected",
        ),
    ],
)
def test_mistakes_in_the_file_have_its_paths(text: str, expected: str | None) -> None:
    config = "metrics_generator: {processor: {span_metrics: {dimensions: [a.b]}}}"
    if expected is None:
        parse_tenants(parse_config(config, environ={}), text, environ={})
    else:
        assert problems(text, config)[0].startswith(expected)
