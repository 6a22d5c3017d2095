from pathlib import Path

import pytest

from consumer.config import Config, load_config, parse_config, require_remote_write
from consumer.config.tenants import settings_by_tenant
from consumer.errors import ConfigError, InputError


def read(text: str, *overrides: str, **environ: str) -> Config:
    return parse_config(text, overrides=overrides, environ=environ)


def processors(config: Config) -> tuple[str, ...]:
    return settings_by_tenant(config).default.processing.processors


def times(config: Config) -> tuple[int, int]:
    default = settings_by_tenant(config).default
    return default.interval_ms, default.slack_ms


def test_without_a_file_everything_has_its_default() -> None:
    config = load_config(None, environ={})
    assert config.kafka.bootstrap_servers == "localhost:9092"
    assert config.kafka.encoding == "otlp_proto"
    assert processors(config) == ("service-graphs", "span-metrics")
    assert times(config) == (15_000, 30_000)
    assert config.notices == ()


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "spanmill.yaml"
    file.write_text("kafka: {topic: spans}\n")
    assert load_config(file, environ={}).kafka.topic == "spans"


def test_a_missing_file_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.yaml: cannot read the configuration: No such"):
        load_config(tmp_path / "absent.yaml", environ={})


def test_a_file_that_is_no_text_is_told_by_name(tmp_path: Path) -> None:
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.yaml: .* no UTF-8"):
        load_config(file, environ={})


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n", "~\n"])
def test_an_empty_file_means_the_defaults(text: str) -> None:
    assert read(text) == read("{}")


def test_blocks_with_all_lines_commented_out_keep_their_defaults() -> None:
    config = read("metrics_generator:\n  processor:\n    service_graphs:\n  storage:\nkafka:\n")
    assert config == read("")


def test_whole_numbers_serve_as_decimals_and_exponents_as_numbers() -> None:
    buckets = "metrics_generator: {processor: {span_metrics: {histogram_buckets: [1, 5e-1, 1e3]}}}"
    config = read(buckets)
    assert config.metrics_generator.processor.span_metrics.histogram_buckets == (0.5, 1.0, 1000.0)


def test_static_buckets_are_sorted_and_repeated_ones_counted_once() -> None:
    config = read(
        "metrics_generator: {processor: {service_graphs: {histogram_buckets: [1, 0.5, 2, 0.5]}}}"
    )
    assert config.metrics_generator.processor.service_graphs.histogram_buckets == (0.5, 1, 2)


def test_nothing_is_read_as_a_date_or_as_a_number_to_base_sixty() -> None:
    config = read("kafka: {topic: 2020-01-01, group_id: '1:30', tenant_header: 12:30:00}")
    assert config.kafka.topic == "2020-01-01"
    assert config.kafka.tenant_header == "12:30:00"


def test_a_variable_is_expanded_inside_text() -> None:
    config = read('kafka: {bootstrap_servers: "${HOST}:${PORT:9092}"}', HOST="broker")
    assert config.kafka.bootstrap_servers == "broker:9092"


@pytest.mark.parametrize("written", ["${PORT}", '"${PORT}"', "${UNSET:9000}", "${EMPTY:-9000}"])
def test_a_variable_on_its_own_is_a_number_where_a_number_belongs(written: str) -> None:
    assert read(f"server:\n  port: {written}\n", PORT="9000", EMPTY="").server.port == 9000


def test_a_variable_on_its_own_may_be_a_list() -> None:
    text = "overrides: {defaults: {metrics_generator: {processors: '${P}'}}}"
    assert processors(read(text, P="[span-metrics]")) == ("span-metrics",)


def test_a_variable_on_its_own_stays_text_where_text_belongs() -> None:
    assert read("kafka:\n  topic: ${TOPIC}\n", TOPIC="007").kafka.topic == "007"


def test_a_doubled_dollar_and_a_numbered_group_stand_for_themselves() -> None:
    config = read("kafka: {topic: '$${A}', group_id: '${1}', default_tenant: '$A'}")
    assert config.kafka.topic == "${A}"
    assert config.kafka.group_id == "${1}"
    assert config.kafka.default_tenant == "$A"


def test_a_missing_variable_without_a_default_is_a_problem_at_its_key() -> None:
    with pytest.raises(ConfigError) as caught:
        read("kafka:\n  topic: ${TOPIC}\n  client: {sasl.username: 'x-${USER_NAME}'}\n")
    assert [str(problem) for problem in caught.value.problems] == [
        (
            "kafka.client.sasl.username: the variable USER_NAME is not set;"
            " set it or write ${USER_NAME:default}"
        ),
        "kafka.topic: the variable TOPIC is not set; set it or write ${TOPIC:default}",
    ]


def test_anchors_live_in_keys_that_begin_with_x() -> None:
    config = read(
        """
x-shared: &shared
  topic: ${NOT_SET_BUT_ONLY_USED_WHERE_THE_ANCHOR_IS:spans}
  group_id: theirs
x-unused: {topic: "${NOT_SET}"}
golden: {codec: push-bytes}
kafka:
  <<: *shared
  group_id: ours
"""
    )
    assert (config.kafka.topic, config.kafka.group_id) == ("spans", "ours")


def test_the_environment_wins_over_the_file_and_flags_over_both() -> None:
    text = "kafka: {topic: file, group_id: file, default_tenant: file}"
    config = read(
        text,
        "kafka.topic=flag",
        SPANMILL_KAFKA__TOPIC="environment",
        SPANMILL_KAFKA__GROUP_ID="environment",
    )
    assert config.kafka.topic == "flag"
    assert config.kafka.group_id == "environment"
    assert config.kafka.default_tenant == "file"


def test_values_from_outside_are_read_as_what_belongs_there() -> None:
    config = read(
        "",
        "server.port=1",
        "kafka.poll_timeout=20ms",
        "metrics_generator.processor.service_graphs.dimensions=[a, b]",
        "metrics_generator.processor.span_metrics.enable_target_info=true",
        "kafka.topic=123",
        SPANMILL_PROCESSING_GUARANTEE="at_least_once",
    )
    assert config.server.port == 1
    assert config.kafka.poll_timeout == 20
    assert config.metrics_generator.processor.service_graphs.dimensions == ("a", "b")
    assert config.metrics_generator.processor.span_metrics.enable_target_info is True
    assert config.kafka.topic == "123"


def test_entries_of_lists_are_set_by_number() -> None:
    text = "metrics_generator: {storage: {remote_write: [{url: 'http://a/x'}]}}"
    config = read(
        text,
        "metrics_generator.storage.remote_write.0.name=first",
        "metrics_generator.storage.remote_write[1].url=http://b/x",
        SPANMILL_METRICS_GENERATOR__STORAGE__REMOTE_WRITE__0__REMOTE_TIMEOUT="1s",
    )
    first, second = config.metrics_generator.storage.remote_write
    assert (first.url, first.name, first.remote_timeout) == ("http://a/x", "first", 1000)
    assert second.url == "http://b/x"


def test_keys_of_free_blocks_may_hold_dots() -> None:
    config = read(
        "",
        "kafka.client.security.protocol=SASL_SSL",
        "metrics_generator.registry.external_labels.cluster=1",
        SPANMILL_KAFKA__CLIENT__SASL_MECHANISM="PLAIN",
    )
    assert config.kafka.client_properties() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
    }
    assert config.metrics_generator.registry.external_labels == {"cluster": "1"}


def test_variables_that_kubernetes_makes_of_a_service_are_not_meant() -> None:
    config = read("", SPANMILL_PORT="tcp://10.0.0.1:80", SPANMILL_SERVICE_HOST="10.0.0.1")
    assert config == read("")


def test_properties_of_librdkafka_are_passed_on_as_text() -> None:
    config = read("kafka: {client: {fetch.max.bytes: 1048576, allow.auto.create.topics: true}}")
    assert config.kafka.client_properties() == {
        "fetch.max.bytes": "1048576",
        "allow.auto.create.topics": "true",
    }


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("metrics_generator: {codec: push-bytes}", "tempo"),
        ("metrics_generator: {codec: otlp}", "otlp_proto"),
        ("{metrics_generator: {codec: push-bytes}, kafka: {encoding: otlp_json}}", "otlp_json"),
    ],
)
def test_tempos_codec_decides_unless_the_encoding_is_given(text: str, encoding: str) -> None:
    assert read(text).kafka.encoding == encoding


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics_generator: {leave_consumer_group_on_shutdown: true}", ""),
        (
            "metrics_generator: {leave_consumer_group_on_shutdown: true, instance_id: pod-7}",
            "pod-7",
        ),
        (
            (
                "{metrics_generator: {leave_consumer_group_on_shutdown: true}, "
                "kafka: {group_instance_id: pod-8}}"
            ),
            "pod-8",
        ),
    ],
)
def test_who_leaves_the_group_at_once_is_no_static_member(text: str, expected: str) -> None:
    assert parse_config(text, environ={}).kafka.group_instance_id == expected


def test_tempos_instance_id_is_the_static_member_id() -> None:
    assert read("metrics_generator: {instance_id: pod-0}").kafka.group_instance_id == "pod-0"


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("[span-metrics, service-graphs, span-metrics]", ("service-graphs", "span-metrics")),
        ("{span-metrics: , service-graphs: {}}", ("service-graphs", "span-metrics")),
        ("[]", ()),
    ],
)
def test_processors_are_a_set(written: str, names: tuple[str, ...]) -> None:
    text = f"overrides: {{defaults: {{metrics_generator: {{processors: {written}}}}}}}"
    assert processors(read(text)) == names


def test_overrides_win_over_static_settings_unless_they_are_zero() -> None:
    defaults = "overrides: {defaults: {metrics_generator: %s}}"
    config = read(defaults % "{collection_interval: 1m, ingestion_time_range_slack: 2h}")
    assert times(config) == (60_000, 7_200_000)
    config = read(defaults % "{collection_interval: 0s, ingestion_time_range_slack: 0}")
    assert times(config) == (15_000, 30_000)


def test_the_static_slack_may_be_years() -> None:
    text = "metrics_generator: {metrics_ingestion_time_range_slack: 87600h}"
    assert times(read(text))[1] == 87_600 * 3_600_000


def test_only_a_worker_needs_an_endpoint() -> None:
    with pytest.raises(ConfigError, match=r"^metrics_generator\.storage\.remote_write: expected"):
        require_remote_write(read(""))
    text = "metrics_generator: {storage: {remote_write: [{url: 'http://a/x'}]}}"
    require_remote_write(read(text))


def test_configuration_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read("").kafka.topic = "other"
