"""Labels with too many values."""

from dataclasses import replace

import numpy as np
import pytest

from consumer.registry import Registry, RegistrySettings, TenantLimits
from consumer.registry.cardinality import DECIDE_MS, OVERFLOW_VALUE
from processors import strings
from tests.support.fakes import samples_of
from tests.unit.registry.frames import Row, frame

STALE_MS = 60_000
LIMIT = 20
MANY = [Row("north", "svc", f"/{at}") for at in range(2 * LIMIT)]
FEW = MANY[:3]


def registry(max_cardinality_per_label: int) -> Registry:
    series = Registry(RegistrySettings(stale_ms=STALE_MS), started_ms=0)
    series.limit({}, TenantLimits(max_cardinality_per_label=max_cardinality_per_label))
    return series


def paths(series: Registry, time_ms: int, tenant: str = "north") -> dict[str, float]:
    """Path -> calls of the series that are alive."""
    return {
        dict(labels).get("path", ""): told[-1][1]
        for block in series.collect(time_ms).tenants[tenant]
        for labels, told in samples_of(block, time_ms)
        if block.name == "calls_total" and not np.isnan(told[-1][1])
    }


def test_a_label_is_flagged_when_it_is_next_looked_at_and_keeps_the_others() -> None:
    series = registry(max_cardinality_per_label=LIMIT)
    series.fold([frame(MANY)], 1)
    series.fold([frame(MANY)], DECIDE_MS)
    assert len(paths(series, DECIDE_MS + 1)) == len(MANY)
    series.fold([replace(frame(FEW), spans=np.array([1.0, 2.0, 3.0]))], 1 + DECIDE_MS)
    told = paths(series, DECIDE_MS + 3)
    assert told[OVERFLOW_VALUE] == 3.0
    assert told["/0"] == 2.0
    assert series.take_label_values().limited == {("north", "path"): 6}


def test_labels_with_few_values_and_tenants_without_a_limit_are_left_alone() -> None:
    series = registry(max_cardinality_per_label=LIMIT)
    series.limit({"north": TenantLimits(max_cardinality_per_label=LIMIT)})
    rows = [*MANY, *(replace(row, tenant="south") for row in MANY)]
    for time_ms in (1, 1 + DECIDE_MS):
        series.fold([frame(rows)], time_ms)
    assert OVERFLOW_VALUE in paths(series, DECIDE_MS + 2)
    assert len(paths(series, DECIDE_MS + 3, "south")) == len(MANY)
    assert series.take_label_values().estimates.keys() == {("north", "service"), ("north", "path")}


def test_a_label_recovers_when_its_values_became_few_and_the_window_moved_on() -> None:
    series = registry(max_cardinality_per_label=LIMIT)
    for time_ms in (1, 1 + DECIDE_MS):
        series.fold([frame(MANY)], time_ms)
    recovered_ms = 0
    for time_ms in range(1 + DECIDE_MS, 3 * STALE_MS, 5_000):
        series.fold([frame(FEW)], time_ms)
        if not series.take_label_values().limited:
            recovered_ms = time_ms
            break
    last_ms = 1 + DECIDE_MS
    assert last_ms + STALE_MS <= recovered_ms <= last_ms + STALE_MS * 4 // 3 + 2 * DECIDE_MS
    assert series.take_label_values().estimates["north", "path"] == len(FEW)


def test_without_a_limit_any_more_values_are_themselves_again() -> None:
    series = registry(max_cardinality_per_label=LIMIT)
    for time_ms in (1, 1 + DECIDE_MS):
        series.fold([frame(MANY)], time_ms)
    series.take_label_values()
    series.limit({"south": TenantLimits(max_cardinality_per_label=1)})
    series.fold([frame(FEW)], 2 + DECIDE_MS)
    assert series.take_label_values().limited == {}
    assert series.take_label_values().estimates == {}


def test_a_flag_outlives_new_limits_of_other_tenants() -> None:
    limits = TenantLimits(max_cardinality_per_label=LIMIT)
    series = registry(max_cardinality_per_label=0)
    series.limit({"north": limits, "south": limits})
    rows = [*(replace(row, tenant="south") for row in MANY), *MANY]
    for time_ms in (1, 1 + DECIDE_MS):
        series.fold([frame(rows)], time_ms)
    series.take_label_values()
    series.limit({"north": limits})
    series.fold([frame(FEW)], 2 + DECIDE_MS)
    assert series.take_label_values().limited == {("north", "path"): 3}


def test_frames_that_tell_about_a_thing_have_no_limit_of_values() -> None:
    series = registry(max_cardinality_per_label=LIMIT)
    for time_ms in (1, 1 + DECIDE_MS):
        series.fold([replace(frame(MANY), is_info=True)], time_ms)
    assert series.take_label_values().limited == {}
    assert series.take_label_values().estimates == {}


def test_values_are_known_after_strings_went(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strings, "_COMPACT_AT", 30)
    series = registry(max_cardinality_per_label=1_000)
    for turn in range(12):
        time_ms = 1 + turn * STALE_MS
        rows = [Row("north", "svc", f"/{turn}/{at}") for at in range(30)]
        series.fold([frame([*rows, *FEW])], time_ms)
        assert paths(series, time_ms + 1)["/0"] == turn + 1
    assert 60 <= series.take_label_values().estimates["north", "path"] <= 160
