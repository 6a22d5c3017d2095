import pytest

from consumer.config import parse_config
from consumer.errors import ConfigError

URL = "metrics_generator: {storage: {remote_write: [%s]}}"


def problems(text: str, *overrides: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="f.yaml", overrides=overrides, environ=environ)
    return [str(problem) for problem in caught.value.problems]


def test_every_problem_is_told_at_once() -> None:
    text = """
kafka: {topik: spans, poll_timeout: soon, encoding: xml}
server: {port: "80"}
metrics_generator: {processor: {span_metrics: {enable_target_info: maybe}}}
processing_guarantee: twice
"""
    assert problems(text) == [
        "kafka.encoding: found 'xml', expected otlp_proto, otlp_json or tempo",
        "kafka.poll_timeout: found 'soon', expected a duration such as 15s, 1m30s or 500ms",
        "kafka.topik: unknown key; did you mean topic?",
        (
            "metrics_generator.processor.span_metrics.enable_target_info:"
            " found 'maybe', expected true or false"
        ),
        "processing_guarantee: found 'twice', expected at_least_once or exactly_once",
        "server.port: found '80', expected a whole number",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kafka: 3", "kafka: found a value, expected keys with values"),
        ("kafka: {topic: 3}", "kafka.topic: found 3, expected text; quote it"),
        ("kafka: {topic: }", None),
        ("kafka: {topic: ''}", "kafka.topic: found '', expected text that is not empty"),
        ("kafka: {client: [a]}", "kafka.client: found a list, expected keys with values"),
        ("server: {port: 70000}", "server.port: found 70000, expected a number of at most 65535"),
        ("server: {port: -1}", "server.port: found -1, expected a number of at least 0"),
        ("server: {port: 1.5}", "server.port: found 1.5, expected a whole number"),
        (
            "server: {shutdown_timeout: 10ms}",
            "server.shutdown_timeout: found '10ms', expected a duration from 1s to 1h",
        ),
        (
            "server: {shutdown_timeout: 10}",
            "server.shutdown_timeout: found 10, expected a duration such as 15s, 1m30s or 500ms",
        ),
        (
            "remote_write: []",
            "remote_write: unknown key here; did you mean metrics_generator.storage.remote_write?",
        ),
        (
            "ingester: {}",
            (
                "ingester: unknown key; known are kafka, server, metrics_generator, overrides,"
                " processing_guarantee, exactly_once, record_time"
            ),
        ),
        (
            "metrics_generator: {processor: {span_metrics: {filter_policy: []}}}",
            (
                "metrics_generator.processor.span_metrics.filter_policy:"
                " unknown key; did you mean filter_policies?"
            ),
        ),
        (
            "metrics_generator: {processor: {service_graphs: {histogram_buckets: [1, x]}}}",
            (
                "metrics_generator.processor.service_graphs.histogram_buckets[1]:"
                " found 'x', expected a number"
            ),
        ),
        (
            "metrics_generator: {processor: {service_graphs: {histogram_buckets: [.nan]}}}",
            (
                "metrics_generator.processor.service_graphs.histogram_buckets[0]:"
                " found nan, expected a finite number"
            ),
        ),
        (
            "metrics_generator: {processor: {service_graphs: {wait: 0s}}}",
            (
                "metrics_generator.processor.service_graphs.wait:"
                " found 0s, expected a duration above 0s"
            ),
        ),
        (
            "metrics_generator: {processor: {service_graphs: {max_items: -1}}}",
            (
                "metrics_generator.processor.service_graphs.max_items:"
                " found -1, expected a number of at least 0"
            ),
        ),
        (
            "metrics_generator: {processor: {span_metrics: {dimensions: [a, '']}}}",
            (
                "metrics_generator.processor.span_metrics.dimensions[1]:"
                " found '', expected the name of an attribute"
            ),
        ),
        (
            "metrics_generator: {registry: {external_labels: {a-b: x}}}",
            (
                "metrics_generator.registry.external_labels.a-b: found 'a-b', expected"
                " a label name: letters, digits and _, no digit in front"
            ),
        ),
        (
            "metrics_generator: {registry: {inject_tenant_id_as: __name__}}",
            (
                "metrics_generator.registry.inject_tenant_id_as: found '__name__', expected another"
                " label name; __name__ has a meaning of its own"
            ),
        ),
        (
            "overrides: {defaults: {metrics_generator: {collection_interval: 1s}}}",
            (
                "overrides.defaults.metrics_generator.collection_interval:"
                " found '1s', expected a duration from 15s to 5m"
            ),
        ),
        (
            "overrides: {defaults: {metrics_generator: {ingestion_time_range_slack: 13h}}}",
            (
                "overrides.defaults.metrics_generator.ingestion_time_range_slack:"
                " found '13h', expected a duration from 0s to 12h"
            ),
        ),
        (
            "overrides: {defaults: {metrics_generator: {processors: x}}}",
            "overrides.defaults.metrics_generator.processors: found 'x', expected a list",
        ),
        (
            "kafka: {client: {group.id: x}}",
            "kafka.client.group.id: spanmill sets this property itself; use kafka.group_id",
        ),
        (
            "kafka: {client: {enable.auto.commit: true}}",
            (
                "kafka.client.enable.auto.commit: spanmill sets this property itself,"
                " since offsets follow delivery; leave it out"
            ),
        ),
        (
            URL % "{name: x}",
            "metrics_generator.storage.remote_write[0].url: expected a value, found none",
        ),
        (
            URL % "{url: 'tcp://a/b?token=hunter2'}",
            (
                "metrics_generator.storage.remote_write[0].url: found 'tcp://a/b',"
                " expected an address such as http://prometheus:9090/api/v1/write"
            ),
        ),
        (
            URL % "{url: 'http://u:hunter2@a/b'}",
            (
                "metrics_generator.storage.remote_write[0].url:"
                " an address holds no user or password here; use basic_auth"
            ),
        ),
        (
            URL % "{url: 'http://a/x', bearer_token: x, basic_auth: {username: u}}",
            (
                "metrics_generator.storage.remote_write[0].bearer_token:"
                " expected only one login; basic_auth is given too"
            ),
        ),
        (
            URL % "{url: 'http://a/x', authorization: {type: Basic, credentials: x}}",
            (
                "metrics_generator.storage.remote_write[0].authorization.type:"
                " found 'Basic', expected a scheme such as Bearer; for Basic use basic_auth"
            ),
        ),
        (
            URL % "{url: 'http://a/x', authorization: {}}",
            (
                "metrics_generator.storage.remote_write[0].authorization.credentials_file:"
                " expected either credentials or credentials_file"
            ),
        ),
        (
            URL % "{url: 'http://a/x', basic_auth: {username: u, password: a, password_file: b}}",
            (
                "metrics_generator.storage.remote_write[0].basic_auth.password_file:"
                " expected either password or password_file, not both"
            ),
        ),
        (
            URL % "{url: 'http://a/x', headers: {Content-Type: text/plain}}",
            (
                "metrics_generator.storage.remote_write[0].headers.Content-Type:"
                " this header cannot be set; the protocol decides"
            ),
        ),
        (
            URL % "{url: 'http://a/x', queue_config: {min_backoff: 2s, max_backoff: 1s}}",
            (
                "metrics_generator.storage.remote_write[0].queue_config.max_backoff:"
                " expected at least min_backoff"
            ),
        ),
        (
            URL % "{url: 'http://a/x', name: n}, {url: 'http://b/x', name: n}",
            "metrics_generator.storage.remote_write[1].name: found 'n' twice, expected a name each",
        ),
    ],
)
def test_a_mistake_is_told_with_its_path(text: str, problem: str | None) -> None:
    if problem is None:
        parse_config(text, environ={})
    else:
        assert problems(text) == [problem]


def test_a_mapping_that_gives_the_label_of_a_dimension_is_refused() -> None:
    text = """
metrics_generator:
  processor:
    span_metrics:
      dimensions: [http.method]
      dimension_mappings:
      - {name: http_method, source_labels: [x]}
      - {name: "", source_labels: []}
      - {name: service, source_labels: [x]}
      - {name: span.kind, source_labels: [x]}
      - {name: span_kind, source_labels: [x]}
"""
    path = "metrics_generator.processor.span_metrics.dimension_mappings"
    assert problems(text) == [
        (
            f"{path}[0].name: found 'http_method', which gives the same label as"
            " the dimension 'http.method': http_method"
        ),
        f"{path}[1].name: found '', expected the name of a label",
        f"{path}[1].source_labels: found an empty list, expected the names of attributes",
        (
            f"{path}[4].name: found 'span_kind', which gives the same label as"
            " the mapping 'span.kind': __span_kind"
        ),
    ]


def test_a_key_that_is_given_twice_is_told_with_its_line() -> None:
    text = "kafka:\n  topic: a\n  topic: b\nserver: {}\nserver: {}\n"
    assert problems(text) == [
        "kafka.topic: the key is given twice (line 3)",
        "server: the key is given twice (line 5)",
    ]


def test_a_value_from_outside_the_file_is_told_with_its_source() -> None:
    assert problems("", "server.port=x", SPANMILL_KAFKA__TOPIK="x") == [
        "kafka.topik: unknown key; did you mean topic? (set by SPANMILL_KAFKA__TOPIK)",
        "server.port: found 'x', expected a whole number (set by --set server.port)",
    ]


def test_a_flag_without_a_value_is_told() -> None:
    assert problems("", "kafka.topic") == [
        "--set kafka.topic: expected KEY=VALUE, such as kafka.topic=spans"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kafka: [", "f.yaml: no valid YAML at line 1, column 9: expected the node content"),
        ("- a\n- b\n", "f.yaml: expected keys such as kafka: at the top"),
        ("just text", "f.yaml: expected keys such as kafka: at the top"),
        ("a: 1\n---\nb: 2\n", "f.yaml: no valid YAML at line 2, column 1: but found"),
        ("kafka: &a {client: *a}", "kafka.client: found an alias of itself"),
        ("kafka: !!python/name:os.system {}", "kafka: found the tag"),
        ("kafka: {[a]: b}", "kafka: found a key that is no text (line 1)"),
        ("kafka: {<<: 3}", "kafka.<<: expected an alias of a block (line 1)"),
        ("server: {port: !secret 3}", "server.port: found the tag !secret"),
        ("[" * 2000, "f.yaml: the values are nested too deeply"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(text: str, problem: str) -> None:
    assert problems(text)[0].startswith(problem)


def test_aliases_cannot_blow_up_a_file() -> None:
    lines = ["x-0: &a0 {k: v}"]
    lines += [f"x-{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    found = problems("\n".join([*lines, "kafka: {client: {k: *a8}}"]))
    assert "too many values" in found[0]
