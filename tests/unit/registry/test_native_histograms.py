"""Native histograms and exemplars in the registry: what adds up, what is halved, what is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.registry import Registry, RegistrySettings, TenantLimits
from consumer.remote_write.series import NativeHistograms, SeriesBlock
from processors.delta import DeltaFrame, Family, Instrument, NativeShape, Schema
from processors.grouping import group
from processors.histograms import measure
from processors.sparse import Spans

MINUTE_MS = 60_000
FEW = NativeShape(schema=3, max_buckets=4, min_reset_ms=10 * MINUTE_MS)
MANY = NativeShape(schema=3, max_buckets=160, min_reset_ms=10 * MINUTE_MS)


def registry(**limits: int) -> Registry:
    series = Registry(RegistrySettings(), started_ms=0)
    series.limit({}, TenantLimits(**limits))  # type: ignore[arg-type]
    return series


def frame(
    seconds: Sequence[float],
    *,
    shape: NativeShape = MANY,
    weights: Sequence[float] | None = None,
    service: str = "web",
    labels: Mapping[str, str] | None = None,
) -> DeltaFrame:
    """One label set that took ``seconds``; each span is told as the second it lasted."""
    family = Family("latency", Instrument.NATIVE_HISTOGRAM, "", "seconds", shape=shape)
    named = labels or {"service": service}
    values = np.array(seconds)
    numbers = np.arange(1, len(values) + 1, dtype=np.uint64)
    spans = Spans(np.column_stack([numbers, numbers]), numbers, numbers * np.uint64(1_000_000))
    groups = group([np.zeros(len(values), np.uint32)])
    weight = None if weights is None else np.array(weights)
    measured = measure(family, groups, values, weight, spans)
    return DeltaFrame(
        schema=Schema(tuple(named), (family,)),
        tenants=("north",),
        tenant=np.zeros(1, np.uint32),
        strings=["", "", *named.values()],
        labels=np.arange(2, 2 + len(named), dtype=np.uint32)[np.newaxis, :],
        values=(measured.values,),
        present=(None,),
        cells=(measured.cells,),
        exemplars=(measured.exemplars,),
    )


def told(series: Registry, time_ms: int) -> SeriesBlock:
    (block,) = series.collect(time_ms).tenants["north"]
    return block


def buckets(one: NativeHistograms) -> dict[int, float]:
    return dict(zip(one.bucket.tolist(), one.bucket_count.tolist(), strict=True))


def histogram(series: Registry, time_ms: int) -> NativeHistograms:
    found = told(series, time_ms).histograms
    assert found is not None
    return found


def test_deltas_of_one_series_add_up_bucket_by_bucket() -> None:
    series = registry()
    series.fold([frame([0.5, 1.0]), frame([1.0, 0.0])], 1)
    found = histogram(series, 15_000)
    assert buckets(found) == {-8: 1.0, 0: 2.0}
    assert (found.count.tolist(), found.sum.tolist()) == ([4.0], [2.5])
    assert found.zero_count.tolist() == [1.0]
    series.fold([frame([0.5], weights=[0.75])], 15_001)
    assert buckets(histogram(series, 30_000)) == {-8: 1.75, 0: 2.0}


def test_too_many_buckets_halve_the_resolution_and_lose_no_count() -> None:
    series = registry()
    values = [2.0 ** (at / 8) for at in range(12)]
    series.fold([frame(values, shape=FEW)], 1)
    found = histogram(series, 15_000)
    assert found.schema.tolist() == [1]
    assert sum(buckets(found).values()) == found.count.tolist()[0] == 12.0
    series.fold([frame([2.0 ** (11 / 8)], shape=FEW)], 15_001)
    again = histogram(series, 30_000)
    assert again.schema.tolist() == [1]
    assert sum(buckets(again).values()) == 13.0


@given(st.lists(st.lists(st.integers(1, 10**9), min_size=1, max_size=30), min_size=1, max_size=6))
def test_what_is_told_does_not_depend_on_how_deltas_were_grouped(parts: list[list[int]]) -> None:
    one_by_one, at_once = registry(), registry()
    for part in parts:
        one_by_one.fold([frame([nanos / 1e9 for nanos in part], shape=FEW)], 1)
    at_once.fold([frame([nanos / 1e9 for part in parts for nanos in part], shape=FEW)], 1)
    mine, other = histogram(one_by_one, 15_000), histogram(at_once, 15_000)
    assert buckets(mine) == buckets(other)
    assert mine.schema.tolist() == other.schema.tolist()
    assert len(buckets(mine)) <= FEW.max_buckets


def test_after_the_reset_duration_a_coarse_histogram_begins_anew_with_what_came_since() -> None:
    series = registry()
    series.fold([frame([2.0 ** (at / 8) for at in range(12)], shape=FEW)], 1)
    assert told(series, MINUTE_MS).newborn.tolist() == [True]
    series.fold([frame([1.0], shape=FEW)], MINUTE_MS + 1)
    assert histogram(series, 11 * MINUTE_MS).count.tolist() == [13.0]
    series.fold([frame([2.0], shape=FEW)], 11 * MINUTE_MS + 1)
    block = told(series, 12 * MINUTE_MS)
    assert block.newborn.tolist() == [True]
    assert block.start_ms.tolist()[0] > 11 * MINUTE_MS
    assert block.histograms is not None
    assert block.histograms.schema.tolist() == [3]
    assert buckets(block.histograms) == {8: 1.0}
    changes = series.changes()
    assert (changes.added["north"], changes.removed["north"]) == (2, 1)
    assert series.active_series()["north"] == 1


def test_another_shape_succeeds_the_one_before_after_its_last_sample() -> None:
    series = registry()
    series.fold([frame([1.0], shape=FEW)], 1)
    histogram(series, 15_000)
    series.fold([frame([1.0], shape=FEW), frame([4.0], shape=MANY)], 15_001)
    assert histogram(series, 30_000).count.tolist() == [2.0]
    block = told(series, 45_000)
    assert (block.newborn.tolist(), block.values.tolist()) == ([True], [1.0])


def test_a_histogram_goes_on_when_an_empty_dimension_joins_its_labels() -> None:
    series = registry()
    series.fold([frame([0.5])], 1)
    histogram(series, 15_000)
    joined = frame([1.0], labels={"service": "web", "zone": ""})
    series.fold([joined], 15_001)
    assert buckets(histogram(series, 30_000)) == {-8: 1.0, 0: 1.0}


def test_exemplars_are_told_once_and_the_slowest_of_a_tick() -> None:
    series = registry()
    series.fold([frame([0.6, 0.9]), frame([0.7])], 1)
    found = told(series, 15_000).exemplars
    assert found is not None
    assert found.value.tolist() == [0.9]
    assert [labels for *_, labels in found.texts()] == [
        (("span_id", "0000000000000002"), ("traceID", "0000000000000002" * 2))
    ]
    assert told(series, 30_000).exemplars is None


def test_a_tenant_gets_no_more_exemplars_than_it_may_have() -> None:
    series = registry(max_exemplars=2)
    series.fold([frame([0.1, 0.4, 1.5, 7.0])], 1)
    found = told(series, 15_000).exemplars
    assert found is not None
    assert found.value.tolist() == [1.5, 7.0]


def test_a_tenant_may_let_series_end_sooner_than_others() -> None:
    series = registry(stale_ms=MINUTE_MS)
    series.fold([frame([0.5])], 1)
    assert told(series, 15_000).ended.tolist() == [False]
    assert told(series, 2 * MINUTE_MS).ended.tolist() == [True]
    assert series.collect(3 * MINUTE_MS).tenants == {}


@pytest.mark.parametrize("refused", [1, 2])
def test_what_has_no_room_is_added_up_in_the_overflow_series(refused: int) -> None:
    series = registry(max_active_series=1)
    series.fold([frame([0.5])], 1)
    for number in range(refused):
        series.fold([frame([1.0], service=f"other-{number}")], 2)
    blocks = series.collect(15_000).tenants["north"]
    by_label = {block.label_names: block.histograms for block in blocks}
    overflow = by_label["metric_overflow",]
    assert overflow is not None
    assert buckets(overflow) == {0: float(refused)}
