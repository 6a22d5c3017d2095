import re
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from consumer.registry import Changes, LabelValues, TenantLimits, Usage
from consumer.remote_write.observer import Observer
from consumer.telemetry.metrics import Metrics, reference

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


def exposed(registry: CollectorRegistry) -> dict[str, float]:
    """Every series with its value, without the creation times."""
    lines = generate_latest(registry).decode().splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs if "_created" not in name}


def test_two_sets_of_metrics_do_not_share_anything() -> None:
    first, second = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    first.ticks.skipped()
    assert exposed(first.registry)["spanmill_ticks_skipped_total"] == 1
    assert exposed(second.registry)["spanmill_ticks_skipped_total"] == 0


def test_what_comes_in_is_counted_by_tenant(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.intake.received("a", records=2, spans=30, size_bytes=400)
    metrics.intake.received("a", records=1, spans=0, size_bytes=5)
    metrics.intake.undecodable("truncated")
    metrics.intake.dead_lettered(written=2, failed=1)
    series = exposed(registry)
    assert series['spanmill_records_received_total{tenant="a"}'] == 3
    assert series['spanmill_spans_received_total{tenant="a"}'] == 30
    assert series['spanmill_received_bytes_total{tenant="a"}'] == 405
    assert series['spanmill_records_undecodable_total{reason="truncated"}'] == 1
    assert series["spanmill_records_dead_lettered_total"] == 2
    assert series["spanmill_dead_letter_failures_total"] == 1


def test_one_decoder_is_in_use_at_a_time(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.intake.decoder_is("native", "otlp_proto")
    metrics.intake.decoder_is("python", "otlp_json")
    metrics.intake.build_is("1.2.3")
    series = exposed(registry)
    assert series['spanmill_decoder_info{encoding="otlp_json",implementation="python"}'] == 1
    assert sum("decoder_info" in name for name in series) == 1
    assert any('version="1.2.3"' in name for name in series)


def test_partitions_that_were_given_up_are_not_shown(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.partitions.rebalanced("assigned", 2)
    metrics.partitions.lags(0, records=10, seconds=1.5)
    metrics.partitions.lags(1, records=0, seconds=0)
    metrics.partitions.rebalanced("lost", 1)
    metrics.partitions.forget([0, 5])
    series = exposed(registry)
    assert 'spanmill_partition_lag_records{partition="0"}' not in series
    assert series['spanmill_partition_lag_records{partition="1"}'] == 0
    assert series['spanmill_partition_lag_seconds{partition="1"}'] == 0
    assert series["spanmill_assigned_partitions"] == 1
    assert series['spanmill_rebalances_total{kind="lost"}'] == 1


def test_pauses_are_shown_and_counted(metrics: Metrics, registry: CollectorRegistry) -> None:
    for _ in range(2):
        metrics.partitions.paused("sink")
        assert exposed(registry)['spanmill_paused{reason="sink"}'] == 1
        metrics.partitions.resumed("sink")
    metrics.partitions.commit_failed()
    metrics.partitions.turned(12.5)
    series = exposed(registry)
    assert series['spanmill_paused{reason="sink"}'] == 0
    assert series['spanmill_pauses_total{reason="sink"}'] == 2
    assert series["spanmill_commit_failures_total"] == 1
    assert series["spanmill_loop_last_turned_timestamp_seconds"] == 12.5


def test_what_became_of_spans_is_counted(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.processing.used("span-metrics", {"a": 3})
    metrics.processing.discarded("service-graphs", {("a", "no_kind"): 2})
    metrics.processing.edges(paired={"database": 1}, expired={"client": 2}, pending=7)
    series = exposed(registry)
    assert series['spanmill_spans_used_total{processor="span-metrics",tenant="a"}'] == 3
    labels = '{processor="service-graphs",reason="no_kind",tenant="a"}'
    assert series[f"spanmill_spans_discarded_total{labels}"] == 2
    assert series['spanmill_edges_paired_total{kind="database"}'] == 1
    assert series['spanmill_edges_expired_total{kind="client"}'] == 2
    assert series["spanmill_edges_pending"] == 7


def test_what_tenants_have_is_shown_beside_what_they_may_have(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    limits = TenantLimits(max_active_series=9, max_active_entities=4)
    metrics.series.uses("a", Usage("series", limits, 5, 8, 0, 0))
    metrics.series.uses("b", Usage("entity", limits, 5, 5, 2, 6))
    series = exposed(registry)
    assert series['spanmill_active_series{tenant="a"}'] == 5
    assert series['spanmill_active_series_demand_estimate{tenant="a"}'] == 8
    assert series['spanmill_max_active_series{tenant="a"}'] == 9
    assert 'spanmill_active_entities{tenant="a"}' not in series
    assert series['spanmill_max_active_series{tenant="b"}'] == 0
    assert series['spanmill_active_entities{tenant="b"}'] == 2
    assert series['spanmill_active_entities_demand_estimate{tenant="b"}'] == 6
    assert series['spanmill_max_active_entities{tenant="b"}'] == 4


def test_what_came_went_and_was_kept_out_is_counted(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    metrics.series.changed(
        Changes(
            added=Counter(a=1),
            removed=Counter(a=2),
            limited=Counter(a=3),
            entities_added=Counter(a=4),
            entities_removed=Counter(a=5),
            entities_limited=Counter(a=6),
        )
    )
    of_path = ("a", "path")
    metrics.series.label_values(LabelValues({of_path: 8}, {of_path: 7}, {"a": 6}))
    series = exposed(registry)
    names = [
        f"spanmill_{noun}_{what}_total"
        for noun in ("series", "entities")
        for what in ("added", "removed", "limited")
    ]
    assert [series[f'{name}{{tenant="a"}}'] for name in names] == [1, 2, 3, 4, 5, 6]
    of_label = '{label_name="path",tenant="a"}'
    assert series[f"spanmill_label_values_limited_total{of_label}"] == 7
    assert series[f"spanmill_label_cardinality_demand_estimate{of_label}"] == 8
    assert series['spanmill_max_cardinality_per_label{tenant="a"}'] == 6
    metrics.series.label_values(LabelValues({}, {}, {}))
    assert f"spanmill_label_cardinality_demand_estimate{of_label}" not in exposed(registry)


def test_ticks_are_timed(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.ticks.ticked(0.03)
    metrics.ticks.skipped(2)
    series = exposed(registry)
    assert series["spanmill_ticks_total"] == 1
    assert series['spanmill_tick_seconds_bucket{le="0.05"}'] == 1
    assert series["spanmill_ticks_skipped_total"] == 2


def test_the_sender_is_observed(metrics: Metrics, registry: CollectorRegistry) -> None:
    observer: Observer = metrics.remote_write
    observer.samples_sent("e", "a", 10)
    observer.samples_retried("e", "a", 9)
    observer.samples_failed("e", "a", "http_400", 8)
    observer.samples_dropped("e", "a", "shutdown", 7)
    observer.bytes_sent("e", "a", 6)
    observer.request_finished("e", "a", 0.2)
    observer.pending_changed("e", "a", 5, 4)
    observer.internal_error("e", "a")
    series = exposed(registry)
    who = 'endpoint="e",tenant="a"'
    name = "spanmill_remote_write"
    assert series[f"{name}_samples_sent_total{{{who}}}"] == 10
    assert series[f"{name}_samples_retried_total{{{who}}}"] == 9
    assert series[f'{name}_samples_failed_total{{endpoint="e",reason="http_400",tenant="a"}}'] == 8
    assert series[f'{name}_samples_dropped_total{{endpoint="e",reason="shutdown",tenant="a"}}'] == 7
    assert series[f"{name}_sent_bytes_total{{{who}}}"] == 6
    assert series[f'{name}_request_seconds_bucket{{endpoint="e",le="0.25"}}'] == 1
    assert series[f"{name}_samples_pending{{{who}}}"] == 5
    assert series[f"{name}_ticks_pending{{{who}}}"] == 4
    assert series[f"{name}_internal_errors_total{{{who}}}"] == 1


def test_the_process_and_python_are_measured_too(registry: CollectorRegistry) -> None:
    Metrics.of_process(registry)
    series = exposed(registry)
    assert series["process_resident_memory_bytes"] > 0
    assert any(name.startswith("python_info") for name in series)


def test_every_metric_is_described_and_bears_the_prefix(metrics: Metrics) -> None:
    families = {family.name for family in metrics.registry.collect()}
    described = {each.name.removesuffix("_total") for each in metrics.descriptions}
    assert families == described
    for each in metrics.descriptions:
        assert re.fullmatch(r"spanmill_[a-z_]+", each.name)
        assert each.help.endswith(".")
        assert (each.type == "counter") == each.name.endswith("_total")


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m consumer.telemetry.metrics > docs/metrics.md"
    )
