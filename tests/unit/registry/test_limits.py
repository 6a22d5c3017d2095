"""Limits of series and entities: who is admitted, and where the rest goes."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consumer.config.load import load_config
from consumer.decode import RawRecords
from consumer.files.otlp_files import read_records
from consumer.files.rehearsal import registry_of
from consumer.pipeline import open_pipeline
from consumer.registry import Registry, RegistrySettings, TenantLimits
from consumer.registry.limiter import first_that_fit
from processors import strings
from processors.delta import DeltaFrame
from tests.support.fakes import samples_of
from tests.unit.registry.frames import Row, frame, gauge

START_MS, INTERVAL_MS, STALE_MS = 1_000_000, 15_000, 60_000
OVERFLOW = (("metric_overflow", "true"),)
OBSERVED = (1.0, 0.0, 0.0, 0.1)
"""One observation: a histogram of five series."""


def registry(limits: TenantLimits, **settings: object) -> Registry:
    given: dict[str, object] = {"interval_ms": INTERVAL_MS, "stale_ms": STALE_MS, **settings}
    series = Registry(RegistrySettings(**given), started_ms=START_MS)  # type: ignore[arg-type]
    series.limit({}, limits)
    return series


def told(series: Registry, time_ms: int, tenant: str = "north") -> dict[tuple[str, str], float]:
    """(name, service or "overflow") -> last value; buckets are left out."""
    found: dict[tuple[str, str], float] = {}
    for block in series.collect(time_ms).tenants.get(tenant, ()):
        for labels, samples in samples_of(block, time_ms):
            name = "overflow" if labels == OVERFLOW else dict(labels).get("service", "")
            if "le" not in dict(labels):
                assert (block.name, name) not in found
                found[block.name, name] = samples[-1][1]
    return found


def calls(series: Registry, time_ms: int, tenant: str = "north") -> dict[str, float]:
    values = told(series, time_ms, tenant)
    return {service: value for (name, service), value in values.items() if name == "calls_total"}


def in_order(rows: list[Row], first: list[int]) -> DeltaFrame:
    return replace(frame(rows), first=np.array(first, np.intp))


def test_the_second_label_set_and_the_third_share_one_overflow_series() -> None:
    series = registry(TenantLimits(max_active_series=1))
    series.fold([frame([Row("north", "a"), Row("north", "b", calls=2)])], START_MS)
    series.fold([frame([Row("north", "c", calls=3), Row("north", "a")])], START_MS)
    assert calls(series, START_MS + 15_000) == {"a": 2.0, "overflow": 5.0}
    assert series.active_series() == {"north": 1}
    changes = series.changes()
    assert (changes.added, changes.limited) == ({"north": 1}, {"north": 2})


def test_an_overflow_series_begins_with_zero_and_ends_with_a_stale_marker() -> None:
    series = registry(TenantLimits(max_active_series=1))
    series.fold([frame([Row("north", "a"), Row("north", "b", calls=2)])], START_MS)
    tick = series.collect(START_MS + 15_000)
    samples = [told for block in tick.tenants["north"] for told in samples_of(block, tick.time_ms)]
    assert (OVERFLOW, [(START_MS + 1, 0.0), (START_MS + 15_000, 2.0)]) in samples
    assert all(math.isnan(v) for v in calls(series, START_MS + STALE_MS + 1).values())
    assert calls(series, START_MS + STALE_MS + 2) == {}
    assert series.changes().removed == {"north": 1}


def test_a_family_with_room_is_admitted_where_a_larger_one_is_not() -> None:
    series = registry(TenantLimits(max_active_series=8))
    rows = [Row("north", name, observed=OBSERVED) for name in ("a", "b", "c")]
    series.fold([frame(rows)], START_MS)
    values = told(series, START_MS + 15_000)
    assert values.keys() == {
        *(("calls_total", name) for name in ("a", "b", "c")),
        *(("latency_count", name) for name in ("a", "overflow")),
        *(("latency_sum", name) for name in ("a", "overflow")),
    }
    assert values["latency_count", "overflow"] == 2.0
    assert series.active_series() == {"north": 8}
    assert series.changes().limited == {"north": 10}


def test_label_sets_are_admitted_in_the_order_of_their_first_appearance() -> None:
    series = registry(TenantLimits(max_active_series=2))
    rows = [Row("north", name) for name in "abcd"]
    series.fold([in_order(rows, [7, 2, 9, 0])], START_MS)
    assert calls(series, START_MS + 15_000).keys() == {"d", "b", "overflow"}


def test_updates_are_counted_by_the_spans_behind_them() -> None:
    series = registry(TenantLimits(max_active_series=1))
    rows = [Row("north", "a"), Row("north", "b", observed=OBSERVED)]
    series.fold([replace(frame(rows), spans=np.array([4.0, 3.0]))], START_MS)
    assert series.changes().limited == {"north": 3 * (1 + 5)}


def test_equal_label_sets_of_one_frame_are_one_candidate() -> None:
    series = registry(TenantLimits(max_active_series=2))
    rows = [Row("north", name) for name in ("a", "a", "b", "b", "c", "c")]
    series.fold([frame(rows)], START_MS)
    assert calls(series, START_MS + 15_000) == {"a": 2.0, "b": 2.0, "overflow": 2.0}


def test_tenants_have_limits_of_their_own() -> None:
    series = registry(TenantLimits(max_active_series=1))
    series.limit({"wide": TenantLimits()}, TenantLimits(max_active_series=1))
    rows = [Row(tenant, name) for tenant in ("north", "wide", "south") for name in "abc"]
    series.fold([frame(rows)], START_MS)
    tick = series.collect(START_MS + 15_000)
    assert {tenant: sum(map(len, blocks)) for tenant, blocks in tick.tenants.items()} == {
        "north": 2,
        "wide": 3,
        "south": 2,
    }
    usage = series.usage()
    assert usage["wide"].limits == TenantLimits()
    assert usage["south"].limits == TenantLimits(max_active_series=1)


def test_a_higher_limit_has_an_effect_at_once_and_a_lower_one_takes_nothing_away() -> None:
    series = registry(TenantLimits(max_active_series=1))
    rows = frame([Row("north", name) for name in "abc"])
    series.fold([rows], START_MS)
    series.limit({}, TenantLimits(max_active_series=2))
    series.fold([rows], START_MS)
    assert calls(series, START_MS + 15_000) == {"a": 2.0, "b": 1.0, "overflow": 3.0}
    series.limit({"north": TenantLimits(max_active_series=1)})
    series.fold([rows], START_MS + 15_001)
    assert calls(series, START_MS + 30_000) == {"a": 3.0, "b": 2.0, "overflow": 4.0}
    series.limit({})
    series.fold([rows], START_MS + 30_001)
    assert calls(series, START_MS + 45_000) == {"a": 4.0, "b": 3.0, "c": 1.0, "overflow": 4.0}


@pytest.mark.parametrize("limiter", ["series", "entity"])
def test_what_ends_gives_room_again(limiter: str) -> None:
    limits = TenantLimits(max_active_series=1, max_active_entities=1)
    series = registry(limits, limiter_type=limiter)
    series.fold([frame([Row("north", "a"), Row("north", "b")])], START_MS)
    series.collect(START_MS + 15_000)
    ended_ms = START_MS + STALE_MS + 1
    series.collect(ended_ms)
    series.fold([frame([Row("north", "b", calls=5), Row("north", "a")])], ended_ms + 1)
    assert calls(series, ended_ms + 15_000) == {"b": 5.0, "overflow": 1.0}


def test_a_gauge_without_room_goes_to_overflow_too() -> None:
    series = registry(TenantLimits(max_active_series=1))
    series.fold([gauge("north", "a", 1.0), gauge("north", "b", 3.0)], START_MS)
    assert told(series, START_MS + 15_000) == {("info", "a"): 1.0, ("info", "overflow"): 3.0}


def test_an_entity_is_a_label_set_with_all_its_metrics() -> None:
    series = registry(TenantLimits(max_active_entities=2), limiter_type="entity")
    rows = [Row("north", name, observed=OBSERVED) for name in ("a", "b", "c")]
    series.fold([frame(rows)], START_MS)
    values = told(series, START_MS + 15_000)
    assert values["calls_total", "overflow"] == values["latency_count", "overflow"] == 1.0
    assert ("calls_total", "c") not in values
    assert ("latency_count", "b") in values
    changes = series.changes()
    assert (changes.entities_added, changes.entities_limited) == ({"north": 2}, {"north": 2})
    assert series.usage()["north"].entities == 2


def test_one_label_set_in_two_tables_is_one_entity_until_both_are_gone() -> None:
    series = registry(TenantLimits(max_active_entities=1), limiter_type="entity")
    series.fold([frame([Row("north", "a")]), gauge("north", "a", 1.0)], START_MS)
    assert series.usage()["north"].entities == 1
    series.collect(START_MS + 15_000)
    series.fold([gauge("north", "a", 1.0)], START_MS + STALE_MS)
    series.collect(START_MS + STALE_MS + 1)
    assert series.changes().entities_removed == {}
    series.fold([frame([Row("north", "b")])], START_MS + STALE_MS + 2)
    assert calls(series, START_MS + STALE_MS + 3) == {"overflow": 1.0}
    series.collect(START_MS + 3 * STALE_MS)
    assert series.changes().entities_removed == {"north": 1}
    assert series.usage()["north"].entities == 0


def test_overflow_series_keep_their_label_when_strings_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strings, "_COMPACT_AT", 20)
    series = registry(TenantLimits(max_active_series=3))
    for turn in range(8):
        at_ms = START_MS + turn * STALE_MS
        rows = [Row("north", "stays"), *(Row("north", f"s{turn}-{at}") for at in range(15))]
        series.fold([frame(rows)], at_ms + 1)
        values = calls(series, at_ms + 15_000)
        # Two of each other turn's series have room: those before have ended by then.
        assert values["overflow"] == sum(13 if each % 2 == 0 else 15 for each in range(turn + 1))
        assert values["stays"] == turn + 1
    assert len(series._strings) < 80


@pytest.mark.parametrize(
    ("sizes", "room", "admitted"),
    [
        ([], 5, []),
        ([1, 1, 1], 2, [1, 1, 0]),
        ([5, 1, 5, 1], 6, [1, 1, 0, 0]),
        ([1, 17, 1, 1, 17, 1], 4, [1, 0, 1, 1, 0, 1]),
        ([17, 17, 3, 17, 2], 40, [1, 1, 1, 0, 1]),
        ([1], -3, [0]),
    ],
)
def test_each_that_fits_is_admitted_in_turn(
    sizes: list[int], room: int, admitted: list[int]
) -> None:
    assert first_that_fit(np.array(sizes, np.int64), room).tolist() == [bool(x) for x in admitted]


@pytest.mark.parametrize("case", ["sm_max_active_series", "sm_max_active_entities"])
def test_counts_are_those_of_tempo(case: str) -> None:
    series, stats = folded(case)
    changes, usage = series.changes(), series.usage()["single-tenant"]
    counted = {
        "series_limited_total": changes.limited,
        "entities_limited_total": changes.entities_limited,
        "entities_added_total": changes.entities_added,
        "series_added_total": changes.added,
    }
    for name, ours in counted.items():
        theirs = stats.get(f"registry_{name}{{}}")
        assert theirs is None or ours == Counter({"single-tenant": theirs}), name
    assert stats.get("registry_active_series{}", usage.series) == usage.series
    assert stats.get("registry_active_entities{}", usage.entities) == usage.entities


def folded(case: str) -> tuple[Registry, dict[str, int]]:
    """The registry after a golden case and a tick, and what Tempo counted."""
    folder = Path(__file__).parents[2] / "golden" / case
    config = load_config(folder / "config.yaml", environ={})
    pipeline = open_pipeline(config)
    series = registry_of(config)
    for value in read_records(folder / "input.otlp")[1]:
        series.fold(pipeline.push(one_record(value, 1_700_000_000_000)).frames, 0)
    series.collect(1)
    return series, json.loads((folder / "expected.stats.json").read_text())


def one_record(value: bytes, time_ms: int) -> RawRecords:
    return RawRecords(
        values=[value],
        tenants=("single-tenant",),
        tenant=np.zeros(1, np.uint32),
        time_ms=np.array([time_ms], np.int64),
        lane=np.zeros(1, np.uint32),
    )
