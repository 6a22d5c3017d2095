"""Families, bounds and label names that change while series live."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from consumer.registry import Registry, RegistrySettings, TenantLimits
from processors.delta import DeltaFrame, Family, Instrument, Schema
from tests.support.fakes import Labels, Sample, samples_of

INTERVAL_MS, STALE_MS = 15_000, 60_000
CALLS = Family("calls_total", Instrument.COUNTER, "Calls.")
SIZE = Family("size_total", Instrument.COUNTER, "Size.")
OLD, NEW, THIRD = (
    Family("latency", Instrument.HISTOGRAM, "Latency.", "seconds", bounds)
    for bounds in ((0.1, 1.0), (0.1, 2.0, 4.0), (8.0,))
)


def delta(families: Sequence[Family], labels: dict[str, str], tenant: str = "north") -> DeltaFrame:
    """One label set; each family counts one, a histogram in its first bucket with sum 0.05."""
    values = []
    for family in families:
        row = np.zeros((1, family.width))
        row[0, 0] = 1.0
        if family.instrument is Instrument.HISTOGRAM:
            row[0, -1] = 0.05
        values.append(row)
    texts = ["", "", *labels.values()]
    codes = [texts.index(text, 1) if text else 0 for text in labels.values()]
    return DeltaFrame(
        schema=Schema(tuple(labels), tuple(families)),
        tenants=(tenant,),
        tenant=np.zeros(1, np.uint32),
        strings=texts,
        labels=np.array([codes], np.uint32).reshape(1, len(labels)),
        values=tuple(values),
        present=(None,) * len(families),
    )


class Told:
    """A registry, and everything it told: checked as a receiver would."""

    def __init__(self, limits: TenantLimits | None = None, limiter: str = "series") -> None:
        settings = RegistrySettings(
            interval_ms=INTERVAL_MS,
            stale_ms=STALE_MS,
            limiter_type=limiter,  # type: ignore[arg-type]
        )
        self.registry = Registry(settings, started_ms=0)
        self.registry.limit({}, limits or TenantLimits())
        self.time_ms = 0
        self.last: dict[tuple[str, Labels], Sample] = {}

    def fold(self, families: Sequence[Family], **labels: str) -> None:
        self.registry.fold([delta(families, labels or {"service": "a"})], self.time_ms + 1)

    def tick(self) -> dict[tuple[str, Labels], list[Sample]]:
        self.time_ms += INTERVAL_MS
        tick = self.registry.collect(self.time_ms)
        now: dict[tuple[str, Labels], list[Sample]] = {}
        for block in tick.tenants.get("north", ()):
            for labels, samples in samples_of(block, tick.time_ms):
                key = (block.name, labels)
                assert key not in now, "two samples of one series at one tick"
                before_ms = self.last.get(key, (-1, 0.0))[0]
                assert before_ms < samples[0][0], "a sample that is not later"
                now[key] = samples
                self.last[key] = samples[-1]
        return now

    def value(self, name: str, **labels: str) -> float:
        return self.last[name, tuple(sorted((labels or {"service": "a"}).items()))][1]


def buckets(told: dict[tuple[str, Labels], list[Sample]], *, stale: bool = False) -> set[str]:
    return {
        dict(labels)["le"]
        for (name, labels), samples in told.items()
        if name == "latency_bucket" and math.isnan(samples[-1][1]) == stale
    }


def test_a_family_goes_on_counting_whatever_comes_and_goes_beside_it() -> None:
    told = Told()
    for families in ((CALLS,), (CALLS, SIZE), (SIZE, CALLS, OLD), (CALLS, NEW), (CALLS,)):
        told.fold(families)
        told.tick()
    assert told.value("calls_total") == 5.0
    assert told.value("size_total") == 2.0


def test_a_histogram_with_new_bounds_begins_anew_and_buckets_that_went_get_stale_markers() -> None:
    told = Told()
    told.fold([CALLS, OLD])
    told.tick()
    told.fold([CALLS, NEW])
    now = told.tick()
    assert buckets(now) == {"0.1", "1", "+Inf"}
    now = told.tick()
    assert buckets(now) == {"0.1", "2", "4", "+Inf"}
    assert buckets(now, stale=True) == {"1"}
    labels = (("service", "a"),)
    assert now["latency_count", labels] == [(2 * INTERVAL_MS + 1, 0.0), (3 * INTERVAL_MS, 1.0)]
    assert now["calls_total", labels] == [(3 * INTERVAL_MS, 2.0)]
    now = told.tick()
    assert buckets(now, stale=True) == set()
    assert told.value("latency_sum") == 0.05


def test_what_was_not_told_yet_when_bounds_changed_is_told_first() -> None:
    told = Told()
    told.fold([OLD])
    told.fold([NEW])
    told.fold([OLD])
    told.tick()
    assert told.value("latency_count") == 2.0
    told.tick()
    assert told.value("latency_count") == 1.0


def test_bounds_may_change_several_times_between_ticks_and_back() -> None:
    told = Told()
    total = 0.0
    for family in (OLD, NEW, THIRD, OLD, NEW, OLD):
        told.fold([family])
    before: dict[Labels, float] = {}
    for _ in range(6):
        for (name, labels), samples in told.tick().items():
            if name == "latency_count":
                value = samples[-1][1]
                total += value - (0.0 if len(samples) == 2 else before.get(labels, 0.0))
                before[labels] = value
    assert total == 6.0
    told.fold([THIRD])
    told.tick()
    told.fold([NEW])
    told.fold([THIRD])
    told.tick()
    told.tick()
    told.tick()
    assert told.registry.active_series() == {"north": 6}


def test_other_tenants_keep_their_bounds() -> None:
    told = Told()
    told.registry.fold([delta([OLD], {"service": "a"}, "south")], 1)
    told.fold([OLD])
    told.tick()
    told.fold([NEW])
    told.registry.fold([delta([OLD], {"service": "a"}, "south")], told.time_ms + 1)
    for time_ms in (2 * INTERVAL_MS, 3 * INTERVAL_MS):
        tick = told.registry.collect(time_ms)
    (count,) = [b for b in tick.tenants["south"] if b.name == "latency_count"]
    assert (count.values.tolist(), count.newborn.tolist()) == ([2.0], [False])


def test_series_of_both_bounds_are_counted_while_both_are_there() -> None:
    told = Told(TenantLimits(max_active_series=5))
    told.fold([OLD])
    told.tick()
    told.fold([NEW])
    assert told.registry.active_series() == {"north": 5 + 6}
    assert told.registry.changes().limited == {}
    told.tick()
    assert told.registry.active_series() == {"north": 6}
    told.tick()
    changes = told.registry.changes()
    assert (changes.added, changes.removed) == ({"north": 6}, {"north": 5})


def test_a_family_that_is_fed_no_more_ends_while_others_of_its_label_set_live() -> None:
    told = Told()
    told.fold([CALLS, SIZE])
    for _ in range(STALE_MS // INTERVAL_MS + 2):
        told.tick()
        told.fold([CALLS])
    assert math.isnan(told.value("size_total"))
    now = told.tick()
    assert {name for name, _ in now} == {"calls_total"}
    told.fold([SIZE])
    told.tick()
    assert told.value("size_total") == 1.0


@pytest.mark.parametrize("limiter", ["series", "entity"])
def test_a_label_that_comes_or_goes_resets_nothing_that_has_no_value_of_it(limiter: str) -> None:
    told = Told(TenantLimits(max_active_series=7, max_active_entities=1), limiter)
    told.fold([CALLS, OLD], service="a")
    told.tick()
    told.fold([CALLS, OLD], region="", service="a")
    told.tick()
    assert told.value("calls_total") == told.value("latency_count") == 2.0
    told.fold([CALLS], service="a", path="")
    told.fold([CALLS], path="", service="a")
    told.tick()
    assert told.value("calls_total") == 4.0
    assert told.registry.active_series() == {"north": 6}
    changes = told.registry.changes()
    assert not changes.removed
    assert not changes.limited
    assert not changes.entities_limited
    for _ in range(STALE_MS // INTERVAL_MS + 1):
        told.tick()
    assert told.registry.active_series() == {}
    assert told.registry.usage() == {}


def test_a_label_set_with_the_new_label_is_another_series() -> None:
    told = Told()
    told.fold([CALLS], service="a")
    told.tick()
    told.fold([CALLS], service="a", region="west")
    told.tick()
    assert told.value("calls_total") == 1.0
    assert told.value("calls_total", service="a", region="west") == 1.0


def test_a_label_set_may_move_and_change_its_bounds_at_once() -> None:
    told = Told()
    told.fold([CALLS, OLD], service="a")
    told.tick()
    told.fold([CALLS, NEW], service="a", region="")
    told.tick()
    now = told.tick()
    assert buckets(now, stale=True) == {"1"}
    assert told.value("calls_total") == 2.0
    assert told.value("latency_count") == 1.0
