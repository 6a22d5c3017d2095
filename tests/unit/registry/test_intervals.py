"""Tenants that are collected at times of their own."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.delta import Schema
from tests.unit.registry.frames import Row, frame
from tests.unit.registry.test_registry import (
    INTERVAL_MS,
    STALE_MS,
    START_MS,
    calls,
    registry,
    samples,
)

NORTH, SOUTH = {"north": INTERVAL_MS}, {"south": 4 * INTERVAL_MS}


def test_only_the_series_of_the_tenants_asked_for_are_told() -> None:
    series = registry()
    series.fold([frame([Row("north", "a"), Row("south", "b")])], START_MS)
    tick = series.collect(START_MS + INTERVAL_MS, NORTH)
    assert tick.tenants.keys() == {"north"}
    assert calls(series.collect(START_MS + 2 * INTERVAL_MS), "south")["b"][-1][1] == 1.0


def test_what_was_left_out_is_still_newborn_and_begins_after_its_own_last_collection() -> None:
    series = registry()
    series.fold([frame([Row("north", "a"), Row("south", "b")])], START_MS)
    series.collect(START_MS + INTERVAL_MS, NORTH)
    end_ms = START_MS + 4 * INTERVAL_MS
    tick = series.collect(end_ms, NORTH | SOUTH)
    assert calls(tick, "north") == {"a": [(end_ms, 1.0)]}
    assert calls(tick, "south") == {"b": [(START_MS + 1, 0.0), (end_ms, 1.0)]}
    series.fold([frame([Row("south", "c")])], end_ms)
    later_ms = end_ms + 5 * INTERVAL_MS
    series.collect(later_ms - 1, NORTH)
    assert calls(series.collect(later_ms, SOUTH), "south")["c"][0] == (
        later_ms - 4 * INTERVAL_MS,
        0.0,
    )


def test_what_was_left_out_is_told_before_it_ends() -> None:
    series = registry()
    series.fold([frame([Row("north", "a"), Row("south", "b")])], START_MS)
    end_ms = START_MS + STALE_MS + 1
    series.collect(end_ms - 1, NORTH)
    told = samples(series.collect(end_ms, SOUTH))
    [values] = [each for (_, name, _), each in told.items() if name == "calls_total"]
    assert values[-1] == (end_ms, 1.0)
    [(_, value)] = calls(series.collect(end_ms + 1, NORTH), "north")["a"]
    assert math.isnan(value)
    assert series.active_series() == {"south": 1}


def test_what_histograms_with_other_bounds_hold_back_waits_for_their_tenant() -> None:
    series = registry()
    old = frame([Row("south", "b", observed=(1.0, 0.0, 0.0, 0.1))])
    count, latency = old.schema.families
    families = (count, replace(latency, bounds=(0.2, 2.0)))
    series.fold([old, replace(old, schema=Schema(old.schema.label_names, families))], START_MS)
    assert not series.is_holding(NORTH)
    assert series.is_holding(SOUTH)
    series.collect(START_MS + INTERVAL_MS, NORTH)
    assert series.is_holding(SOUTH)
    series.collect(START_MS + 2 * INTERVAL_MS, SOUTH)
    assert not series.is_holding()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ns"), st.booleans(), st.booleans()), max_size=20))
def test_a_tenant_is_told_the_same_whoever_else_is_collected(
    steps: list[tuple[str, bool, bool]],
) -> None:
    """Each step: a delta of one tenant, then perhaps a collection of each."""
    both, alone = registry(), registry()
    for step, (tenant, north_due, south_due) in enumerate(steps, start=1):
        time_ms = START_MS + step * INTERVAL_MS
        row = frame([Row({"n": "north", "s": "south"}[tenant], "a")])
        both.fold([row], time_ms - 1)
        if tenant == "n":
            alone.fold([row], time_ms - 1)
        due = (NORTH if north_due else {}) | (SOUTH if south_due else {})
        told = both.collect(time_ms, due)
        assert calls(told) == calls(alone.collect(time_ms, NORTH if north_due else {}))
