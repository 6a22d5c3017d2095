"""Two workers of one group, and what PromQL says about what they wrote.

Every series begins with a zero sample and all workers write at the same moments, so at
such a moment PromQL extrapolates nothing: ``increase`` and ``rate`` over a range that
holds all of it are exact, and so are the shares and quantiles that are made of them.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import pytest

from processors.span_metrics import DEFAULT_BUCKETS
from tests.support.histories import History, of_prometheus, totals
from tests.support.kafka_broker import KafkaCluster
from tests.support.processes import wait_until
from tests.support.prometheus import Prometheus
from tests.support.span_load import NORTH, SOUTH, Shop, Truth
from tests.support.workers import Stage, metric, open_stage

OPERATION = ("tenant", "service", "span_name", "span_kind", "status_code")
EDGE = ("tenant", "client", "server", "connection_type")
CALLS = "traces_spanmetrics_calls_total"
RANGE_S = 600
"""Of every query; longer than the test, so that it holds the first zero sample."""

EXACT = 1e-9


@dataclass(frozen=True, slots=True)
class Written:
    """What is in Prometheus when all is done, seen from ``time_s``: a tick of both workers."""

    server: Prometheus
    stage: Stage
    truth: Truth
    time_s: float

    def histories(self, name: str) -> list[History]:
        return of_prometheus(self.server, self._selector(name), self.time_s)

    def ask(self, promql: str, *by: str) -> dict[tuple[str, ...], float]:
        """``promql``, in which ``name[]`` is the range of a metric of this test, by labels."""
        text = promql
        for name in ("calls_total", "latency_bucket", "latency_sum", "latency_count"):
            selector = self._selector(f"traces_spanmetrics_{name}")
            text = text.replace(f" {name}[]", f" {selector}[{RANGE_S}s]")
        found = self.server.query(text, self.time_s)
        return {tuple(each.labels.get(label, "") for label in by): each.value for each in found}

    def _selector(self, name: str) -> str:
        return f'{name}{{stage="{self.stage.topic}"}}'


@pytest.fixture(scope="module")
def written(
    kafka: KafkaCluster, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Written]:
    """Three waves; in the middle of the second, one of two workers is restarted in good order."""
    folder: Path = tmp_path_factory.mktemp("promql")
    with open_stage(folder, kafka, prometheus.remote_write_url) as stage:
        shop = Shop(kafka.bootstrap, stage.topic)
        first, second = stage.start("pod-0", "pod-1")
        wait_until(
            lambda: metric(first, "spanmill_assigned_partitions") == 2.0, "an even assignment"
        )
        shop.sell((NORTH, SOUTH), range(200), time.time_ns())
        stage.wait_committed()
        shop.sell((NORTH, SOUTH), range(200, 300), time.time_ns())
        assert first.stop() == 0, first.describe()
        shop.sell((NORTH, SOUTH), range(300, 400), time.time_ns())
        first.start_ready()
        shop.sell((NORTH, SOUTH), range(400, 600), time.time_ns())
        stage.wait_committed()
        assert metric(second, "spanmill_rebalances_total", kind="lost") == 0.0
        selector = f'{CALLS}{{stage="{stage.topic}"}}'
        ends = [each.samples[-1][0] for each in of_prometheus(prometheus, selector, time.time())]
        yield Written(prometheus, stage, shop.truth, min(ends) / 1000)


def test_every_call_is_counted_once_across_a_graceful_restart(written: Written) -> None:
    histories = written.histories(CALLS)
    assert totals(histories, *OPERATION) == written.truth.calls
    lives = {
        each.labels["__metrics_gen_instance"]: each.lives()
        for each in histories
        if each.labels["span_name"] == "SELECT"
    }
    assert lives == {"pod-0": 2, "pod-1": 1}


def test_every_edge_is_counted_once_across_a_graceful_restart(written: Written) -> None:
    request = "traces_service_graph_request"
    assert whole_edges(written.histories(f"{request}_total")) == written.truth.edges
    assert whole_edges(written.histories(f"{request}_failed_total")) == +written.truth.failed


def test_increase_and_rate_say_the_truth_for_each_operation(written: Written) -> None:
    by = ", ".join(OPERATION)
    increase = written.ask(f"sum by ({by}) (increase( calls_total[]))", *OPERATION)
    assert increase == pytest.approx(dict(written.truth.calls), rel=EXACT)
    rate = written.ask(f"sum by ({by}) (rate( calls_total[]))", *OPERATION)
    true = {operation: count / RANGE_S for operation, count in written.truth.calls.items()}
    assert rate == pytest.approx(true, rel=EXACT)


def test_the_share_of_errors_is_the_true_one_for_each_tenant(written: Written) -> None:
    calls = f'{CALLS}{{stage="{written.stage.topic}", span_name="POST /orders"'
    share = written.ask(
        f'sum by (tenant) (rate({calls}, status_code="STATUS_CODE_ERROR"}}[{RANGE_S}s]))'
        f"/ sum by (tenant) (rate({calls}}}[{RANGE_S}s]))",
        "tenant",
    )
    assert share == pytest.approx({("north",): 1 / 4, ("south",): 1 / 10}, rel=EXACT)


def test_mean_durations_are_the_true_ones(written: Written) -> None:
    by = "tenant, service, span_name"
    mean = written.ask(
        f"sum by ({by}) (rate( latency_sum[])) / sum by ({by}) (rate( latency_count[]))",
        *by.split(", "),
    )
    true = seconds_by_operation(written.truth)
    expected = {operation: sum(each) / len(each) for operation, each in true.items()}
    assert mean == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_quantiles_are_those_of_the_true_histogram(written: Written, quantile: float) -> None:
    by = "tenant, service, span_name"
    found = written.ask(
        f"histogram_quantile({quantile}, sum by (le, {by}) (rate( latency_bucket[])))",
        *by.split(", "),
    )
    true = seconds_by_operation(written.truth)
    for operation, seconds in true.items():
        assert found[operation] == pytest.approx(bucket_quantile(quantile, seconds), rel=1e-6)
        true_value = sorted(seconds)[ceil(quantile * len(seconds)) - 1]
        assert bucket_of(found[operation]) == bucket_of(true_value)
    assert found.keys() == true.keys()


def whole_edges(histories: Sequence[History]) -> Counter[tuple[str, ...]]:
    """By edge; without the callers of roots, which a restart forgets while it waits for them."""
    known = [each for each in histories if each.labels.get("connection_type") != "virtual_node"]
    return +totals(known, *EDGE)


def seconds_by_operation(truth: Truth) -> dict[tuple[str, ...], list[float]]:
    found: dict[tuple[str, ...], list[float]] = {}
    for operation, seconds in truth.seconds.items():
        found.setdefault(operation[:3], []).extend(seconds)
    return found


def bucket_of(seconds: float) -> int:
    return bisect_left(DEFAULT_BUCKETS, seconds)


def bucket_quantile(quantile: float, seconds: Sequence[float]) -> float:
    """What Prometheus makes of the buckets that ``seconds`` fall into: linear between bounds."""
    counts = Counter(map(bucket_of, seconds))
    rank = quantile * len(seconds)
    below = 0
    for index, bound in enumerate(DEFAULT_BUCKETS):
        if below + counts[index] >= rank:
            lower = DEFAULT_BUCKETS[index - 1] if index else 0.0
            return lower + (bound - lower) * (rank - below) / counts[index]
        below += counts[index]
    return DEFAULT_BUCKETS[-1]
