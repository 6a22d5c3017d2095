"""Limits against a model that takes one span after the other, as Tempo does."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.registry import Registry, RegistrySettings, TenantLimits
from consumer.registry.settings import LimiterType
from processors.delta import DeltaFrame, Family, Instrument, Schema
from processors.grouping import group
from tests.support.fakes import samples_of

CALLS = Family("calls_total", Instrument.COUNTER, "")
LATENCY = Family("latency", Instrument.HISTOGRAM, "", "seconds", (1.0,))
FAMILIES = (CALLS, LATENCY)
SIZES = (1, 4)
SERVICES = [f"s{at}" for at in range(12)]
TENANTS = ("north", "south")
OVERFLOW = "overflow"

Span = tuple[int, int]
"""(tenant, service)."""
Key = tuple[str, str, str]
"""(tenant, name, service)."""


def frame_of(spans: Sequence[Span]) -> DeltaFrame:
    """What a processor makes of ``spans``: groups in the order of their keys."""
    tenant, service = (np.array(column, np.uint32) for column in zip(*spans, strict=True))
    groups = group([tenant, service])
    count = groups.count()
    return DeltaFrame(
        schema=Schema(("service",), FAMILIES),
        tenants=TENANTS,
        tenant=tenant[groups.first],
        strings=["", "", *SERVICES],
        labels=service[groups.first, np.newaxis] + np.uint32(2),
        values=(
            count[:, np.newaxis],
            np.column_stack([count, np.zeros(len(count)), 0.5 * count]),
        ),
        present=(None, None),
        first=groups.first,
        spans=count,
    )


@dataclass
class Model:
    """Tempo's rule, span by span."""

    limiter: LimiterType
    limit: int
    alive: set[Key] = field(default_factory=set)
    values: defaultdict[Key, float] = field(default_factory=lambda: defaultdict(float))
    limited: Counter[str] = field(default_factory=Counter)

    def take(self, tenant: str, service: str) -> None:
        entities = {known for t, _, known in self.alive if t == tenant}
        has_entity = service in entities or len(entities) < self.limit or not self.limit
        for family, size in zip(FAMILIES, SIZES, strict=True):
            key = (tenant, family.name, service)
            has_room = has_entity
            if self.limiter == "series":
                has_room = self.active(tenant) + size <= self.limit or not self.limit
            if key not in self.alive and not has_room:
                self.limited[tenant] += size if self.limiter == "series" else 1
                key = (tenant, family.name, OVERFLOW)
            else:
                self.alive.add(key)
            self.values[key] += 1.0

    def active(self, tenant: str) -> int:
        size = dict(zip((family.name for family in FAMILIES), SIZES, strict=True))
        return sum(size[name] for t, name, _ in self.alive if t == tenant)


_spans = st.tuples(st.integers(0, 1), st.integers(0, len(SERVICES) - 1))
_batches = st.lists(st.lists(_spans, min_size=1, max_size=30), max_size=5)


def told(registry: Registry, time_ms: int) -> dict[Key, float]:
    """The last value of each counter and of each histogram's count that is alive."""
    found: dict[Key, float] = {}
    for tenant, blocks in registry.collect(time_ms).tenants.items():
        for block in blocks:
            if block.name in {"calls_total", "latency_count"}:
                for labels, samples in samples_of(block, time_ms):
                    name = block.name.removesuffix("_count")
                    service = dict(labels).get("service", OVERFLOW)
                    if not math.isnan(samples[-1][1]):
                        found[tenant, name, service] = samples[-1][1]
    return found


def limits_of(limiter: LimiterType, limit: int) -> TenantLimits:
    if limiter == "series":
        return TenantLimits(max_active_series=limit)
    return TenantLimits(max_active_entities=limit)


@settings(max_examples=150, deadline=None)
@given(_batches, st.sampled_from(["series", "entity"]), st.integers(0, 25))
def test_spans_are_admitted_as_one_after_the_other(
    batches: list[list[Span]], limiter: LimiterType, limit: int
) -> None:
    registry = Registry(RegistrySettings(limiter_type=limiter), started_ms=0)
    registry.limit({}, limits_of(limiter, limit))
    model = Model(limiter, limit)
    for at, spans in enumerate(batches):
        registry.fold([frame_of(spans)], at)
        for tenant, service in spans:
            model.take(TENANTS[tenant], SERVICES[service])
    assert told(registry, 10) == dict(model.values)
    changes = registry.changes()
    limited = changes.limited if limiter == "series" else changes.entities_limited
    assert limited == model.limited
    for name, usage in registry.usage().items():
        assert usage.series == model.active(name)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.lists(_spans, min_size=1, max_size=20), st.integers(0, 25)), max_size=12),
    st.sampled_from(["series", "entity"]),
)
def test_nothing_is_lost_and_what_is_there_is_counted_while_series_come_and_go(
    turns: list[tuple[list[Span], int]], limiter: LimiterType
) -> None:
    registry = Registry(RegistrySettings(limiter_type=limiter, stale_ms=25), started_ms=0)
    told_before: dict[Key, float] = {}
    spans_in, counted = 0, 0.0
    for at, (spans, limit) in enumerate(turns, 1):
        registry.limit({}, limits_of(limiter, limit))
        before = registry.active_series()
        registry.fold([frame_of(spans)], 10 * at - 5)
        spans_in += len(spans)
        for tenant, series in registry.active_series().items():
            if limiter == "series" and limit:
                assert series <= max(limit, before[tenant])
        now = told(registry, 10 * at)
        for key, value in now.items():
            earlier = told_before.get(key, 0.0)
            counted += (value - earlier) * (key[1] == "calls_total")
        told_before = now
        check_counts(registry)
    assert counted == spans_in


def check_counts(registry: Registry) -> None:
    """What is kept count of is what the tables hold."""
    series: Counter[str] = Counter()
    entities: defaultdict[str, set[bytes]] = defaultdict(set)
    for table in registry._tables.values():
        for slot in table.occupied().tolist():
            tenant = registry._tenants.text[int(table.rows[slot, 0])]
            series[tenant] += int((table.life[slot] > 0) @ table.sizes)
            entities[tenant].add(table.rows[slot].tobytes())
    assert registry.active_series() == series
    if registry._settings.limiter_type == "entity":
        active = {tenant: usage.entities for tenant, usage in registry.usage().items()}
        assert {t: n for t, n in active.items() if n} == {t: len(s) for t, s in entities.items()}
