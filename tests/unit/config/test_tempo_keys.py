import pytest

from consumer.config import parse_config
from consumer.errors import ConfigError

TEMPO = """
metrics_generator:
  ring: {kvstore: {store: memberlist}}
  ring_mode: partition
  override_ring_key: metrics-generator
  codec: push-bytes
  ingest_concurrency: 16
  instance_id: generator-0
  limiter_type: series
  leave_consumer_group_on_shutdown: false
  skip_stale_backlog_on_startup: false
  metrics_ingestion_time_range_slack: 30s
  processor:
    service_graphs:
      wait: 10s
      max_items: 10000
      workers: 10
      span_multiplier_key: ""
      enable_tracestate_span_multiplier: false
      filter_policies: []
    span_metrics:
      intrinsic_dimensions: {service: true, status_message: false}
    host_info:
      host_identifiers: [k8s.node.name, host.id]
  registry:
    collection_interval: 15s
    stale_duration: 15m
    external_labels: {source: tempo}
  storage:
    path: /var/tempo/generator/wal
    wal: {wal_segment_size: 134217728, truncate_frequency: 2h}
    remote_write_flush_deadline: 1m
    remote_write:
    - url: http://prometheus:9090/api/v1/write
      send_exemplars: true
      queue_config: {capacity: 10000, min_shards: 1, sample_age_limit: 0s}
overrides:
  defaults:
    ingestion: {rate_limit_bytes: 15000000}
    global: {max_bytes_per_trace: 5000000}
    metrics_generator:
      processors: [service-graphs, span-metrics]
      max_active_series: 0
      generate_native_histograms: classic
      processor: {span_metrics: {}}
"""


def test_a_block_of_tempo_can_be_pasted() -> None:
    config = parse_config(TEMPO, environ={})
    assert config.kafka.encoding == "tempo"
    assert config.metrics_generator.registry.external_labels == {"source": "tempo"}


def test_keys_without_effect_are_told_with_the_reason() -> None:
    notices = {notice.path: notice.text for notice in parse_config(TEMPO, environ={}).notices}
    path = "metrics_generator.storage.remote_write[0].send_exemplars"
    assert notices[path] == "no effect: overrides decide about exemplars (max_exemplars)"
    assert set(notices) == {
        "metrics_generator.ring",
        "metrics_generator.ring_mode",
        "metrics_generator.override_ring_key",
        "metrics_generator.ingest_concurrency",
        "metrics_generator.skip_stale_backlog_on_startup",
        "metrics_generator.processor.service_graphs.workers",
        "metrics_generator.storage.path",
        "metrics_generator.storage.wal",
        path,
        "metrics_generator.storage.remote_write[0].queue_config.capacity",
        "overrides.defaults.ingestion",
        "overrides.defaults.global",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "metrics_generator: {storage: {remote_write: [{url: 'http://a/x', sigv4: {a: b}}]}}",
            "metrics_generator.storage.remote_write[0].sigv4:",
        ),
    ],
)
def test_what_is_not_supported_yet_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, environ={})
    assert str(caught.value) == f"{problem} not supported yet"
