from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from consumer.page.graph import Layouts
from consumer.page.traffic import FORGET_MS, MAX_TENANTS, Traffic
from consumer.page.views import traffic_view
from consumer.remote_write.series import MetricType, SeriesBlock, Tick
from tests.support.shown_shops import ShownShops

FINE_S = 0.008
"""From here on the classic buckets, which double, are fine enough to compare with."""
STRINGS = ["", "", "web", "shop"]


@pytest.fixture(scope="module")
def shops() -> ShownShops:
    shops = ShownShops()
    shops.run(120)
    return shops


def view(traffic: Traffic, tenant: str) -> dict[str, Any]:
    found = traffic.see(tenant, lambda seen: traffic_view(seen, Layouts()))
    assert found is not None
    return found


def block(value: float, *, newborn: bool = False, strings: list[str] | None = None) -> SeriesBlock:
    """One series of calls of the service ``web``."""
    strings = strings or STRINGS
    return SeriesBlock(
        name="traces_spanmetrics_calls_total",
        type=MetricType.COUNTER,
        help="",
        unit="",
        constant_labels=(),
        label_names=("service",),
        labels=np.array([[strings.index("web")]], np.uint32),
        strings=strings,
        values=np.array([value]),
        newborn=np.array([newborn]),
        start_ms=np.zeros(1, np.int64),
        ended=np.zeros(1, np.bool_),
    )


def test_the_rate_of_all_operations_is_that_of_the_spans(shops: ShownShops) -> None:
    (acme, globex) = shops.traffic.rows()
    seen = view(shops.traffic, "acme")
    assert acme.rate == pytest.approx(sum(each["rate"] for each in seen["operations"]))
    assert acme.rate > globex.rate > 0
    assert seen["rate"] == acme.rate
    assert seen["series"] == acme.series


def test_operations_have_rates_errors_and_quantiles(shops: ShownShops) -> None:
    operations = view(shops.traffic, "acme")["operations"]
    rates = [each["rate"] for each in operations]
    assert rates == sorted(rates, reverse=True)
    top = operations[0]
    assert 0 < top["p50_seconds"] < top["p95_seconds"] < 1
    assert any(0 < each["error_share"] < 1 for each in operations)
    assert len(top["history"]) == len(top["failed_history"]) == 24


def test_edges_have_rates_errors_and_means(shops: ShownShops) -> None:
    seen = view(shops.traffic, "acme")
    by_ends = {(each["client"], each["server"]): each for each in seen["edges"]}
    edge = by_ends["frontend", "auth"]
    assert edge["rate"] == pytest.approx(5, rel=0.2)
    assert 0 < edge["mean_seconds"] < 0.1
    assert edge["path"]
    kinds = {node["name"]: node["kind"] for node in seen["nodes"]}
    assert kinds["user"] == kinds["stripe.com"] == "virtual"
    assert kinds["redis.acme.internal"] == "database"
    assert kinds["frontend"] == "service"


def test_opentelemetrys_names_are_understood_too() -> None:
    shops = ShownShops("\n  processor: {span_metrics: {metric_names: otel}}")
    shops.run(20)
    seen = view(shops.traffic, "globex")
    assert {"storefront"} <= {each["service"] for each in seen["operations"]}
    assert seen["operations"][0]["p95_seconds"] > 0


@pytest.mark.parametrize("histograms", ["native", "both"])
def test_native_histograms_are_told_like_classic_ones(histograms: str) -> None:
    classic, native = (
        ShownShops(),
        ShownShops(
            "\noverrides: {defaults: {metrics_generator:"
            f" {{generate_native_histograms: {histograms}}}}}}}"
        ),
    )
    for each in (classic, native):
        each.run(60)
    expected, seen = view(classic.traffic, "acme"), view(native.traffic, "acme")
    assert seen["rate"] == expected["rate"]
    for one, other in zip(seen["operations"], expected["operations"], strict=True):
        assert one["span_name"] == other["span_name"]
        if other["p95_seconds"] > FINE_S:
            assert one["p95_seconds"] == pytest.approx(other["p95_seconds"], rel=0.5)
        else:
            assert 0 < one["p95_seconds"] <= FINE_S * 1.2
    for one, other in zip(seen["edges"], expected["edges"], strict=True):
        assert one["mean_seconds"] == pytest.approx(other["mean_seconds"])


def test_without_a_status_errors_are_not_known() -> None:
    dimensions = "{intrinsic_dimensions: {status_code: false}}"
    shops = ShownShops(f"\n  processor: {{span_metrics: {dimensions}}}")
    shops.run(20)
    seen = view(shops.traffic, "acme")
    assert seen["error_share"] is None
    assert {each["error_share"] for each in seen["operations"]} == {None}


def test_what_has_no_room_is_shown_as_overflow() -> None:
    limit = "\noverrides: {defaults: {metrics_generator: {max_active_series: 300}}}"
    shops = ShownShops(limit)
    shops.run(20)
    seen = view(shops.traffic, "acme")
    (overflow,) = [each for each in seen["operations"] if each["overflow"]]
    assert overflow["rate"] > 0
    assert seen["rate"] == pytest.approx(sum(each["rate"] for each in seen["operations"]))
    assert "" not in {node["name"] for node in seen["nodes"]}


def test_rates_go_on_when_the_registry_compacted_its_strings() -> None:
    traffic = Traffic()
    traffic.take(Tick(10_000, {"a": [block(100, newborn=True)]}))
    traffic.take(Tick(20_000, {"a": [block(300, strings=["", "", "web"])]}))
    seen = view(traffic, "a")
    assert seen["rate"] == 15.0
    assert [each["service"] for each in seen["operations"]] == ["web"]
    assert seen["operations"][0]["history"].tolist() == [10.0, 20.0]


def test_tenants_tick_at_their_own_pace() -> None:
    traffic = Traffic()
    traffic.take(Tick(10_000, {"a": [block(100, newborn=True)], "b": [block(1, newborn=True)]}))
    traffic.take(Tick(20_000, {"a": [block(200)]}))
    traffic.take(Tick(30_000, {"a": [block(300)], "b": [block(41)]}))
    assert view(traffic, "a")["rate"] == 10.0
    assert view(traffic, "b")["operations"][0]["history"].tolist() == [0.1, 2.0]


def test_the_largest_tenants_are_followed_and_who_is_asked_for() -> None:
    traffic = Traffic()
    names = [f"t{number:02}" for number in range(MAX_TENANTS + 5)]
    traffic.take(Tick(1_000, {name: [block(1)] for name in names}))
    assert [row.tenant for row in traffic.rows()] == names[:MAX_TENANTS]
    assert traffic.left_out == 5
    assert traffic.see(names[-1], lambda seen: seen) is None
    assert traffic.knows(names[-1])
    traffic.take(Tick(2_000, {name: [block(2)] for name in names}))
    assert traffic.see(names[-1], lambda seen: seen) is not None
    assert len(traffic.rows()) == MAX_TENANTS


def test_asking_for_nobody_costs_nothing() -> None:
    traffic = Traffic()
    for number in range(1_000):
        assert traffic.see(f"nobody-{number}", lambda seen: seen) is None
    assert not traffic.knows("nobody-1")
    assert len(traffic._wanted) == 0


def test_the_first_tick_of_a_tenant_tells_of_the_time_since_its_series_began() -> None:
    traffic = Traffic()
    first = replace(block(100, newborn=True), start_ms=np.array([3_600_000]))
    traffic.take(Tick(3_610_000, {"a": [first]}))
    assert view(traffic, "a")["rate"] == 10.0


def test_a_tick_that_comes_in_parts_is_one() -> None:
    traffic = Traffic(in_parts=True)
    for time_ms, values in ((10_000, (100, 50)), (20_000, (200, 150)), (30_000, (300, 250))):
        for value in values:
            first = block(value, newborn=time_ms == 10_000)
            traffic.take(Tick(time_ms, {"a": [first]}))
    seen = view(traffic, "a")
    assert seen["time_ms"] == 20_000
    assert seen["history"]["rate"].tolist() == [15.0, 20.0]
    assert seen["series"] == 2


def test_parts_with_other_strings_are_ticks_of_their_own() -> None:
    traffic = Traffic(in_parts=True)
    traffic.take(Tick(10_000, {"a": [block(100, newborn=True)]}))
    traffic.take(Tick(20_000, {"a": [block(200)]}))
    traffic.take(Tick(20_000, {"b": [block(1, strings=["", "", "web"])]}))
    assert view(traffic, "a")["history"]["rate"].tolist() == [10.0, 10.0]


def test_a_tenant_whose_series_have_ended_is_forgotten_after_a_while() -> None:
    traffic = Traffic()
    traffic.take(Tick(1_000, {"gone": [block(1)], "here": [block(1)]}))
    traffic.take(Tick(1_000 + FORGET_MS, {"gone": [], "here": [block(2)]}))
    assert traffic.knows("gone")
    traffic.take(Tick(1_001 + FORGET_MS, {"here": [block(3)]}))
    assert not traffic.knows("gone")
    assert [row.tenant for row in traffic.rows()] == ["here"]
