"""What spanmill tells Prometheus about the series of its tenants, and about their limits."""

from __future__ import annotations

from collections.abc import Mapping

from consumer.registry import Changes, LabelValues, Usage
from consumer.telemetry.metric_maker import Maker


class SeriesMetrics:
    """What the tenants have, and what their limits keep out."""

    def __init__(self, maker: Maker) -> None:
        tenant = ("tenant",)
        self._series = _Limited(maker, "series", "Series that are written at a tick")
        self._entities = _Limited(
            maker, "entities", "Label sets that have series (with `limiter_type: entity`)"
        )
        self._max_values = maker.gauge(
            "max_cardinality_per_label", "Limit of the values of a label; 0: none.", tenant
        )
        self._values_limited = maker.counter(
            "label_values_limited",
            "Spans of which the value of a label became `__cardinality_overflow__`.",
            (*tenant, "label_name"),
        )
        self._values_demand = maker.gauge(
            "label_cardinality_demand_estimate",
            "Values that a label has, about, where their number is limited.",
            (*tenant, "label_name"),
        )

    def uses(self, tenant: str, usage: Usage) -> None:
        """Say what ``tenant`` has, may have, and would have."""
        limits = usage.limits
        if usage.limiter == "entity":
            most = 0
            self._entities.set(
                tenant, usage.entities, usage.entities_demand, limits.max_active_entities
            )
        else:
            most = limits.max_active_series
        self._series.set(tenant, usage.series, usage.series_demand, most)

    def changed(self, changes: Changes) -> None:
        """Count what came, went and was kept out."""
        self._series.count(changes.added, changes.removed, changes.limited)
        self._entities.count(
            changes.entities_added, changes.entities_removed, changes.entities_limited
        )

    def label_values(self, values: LabelValues) -> None:
        """Say how many values labels have and may have; count what was replaced."""
        self._values_demand.clear()
        for (tenant, name), number in values.estimates.items():
            self._values_demand.labels(tenant, name).set(number)
        for (tenant, name), spans in values.limited.items():
            self._values_limited.labels(tenant, name).inc(spans)
        for tenant, most in values.maxima.items():
            self._max_values.labels(tenant).set(most)


class _Limited:
    """Series or entities: how many there are, may be and would be, and what became of them."""

    def __init__(self, maker: Maker, noun: str, text: str) -> None:
        tenant = ("tenant",)
        self._active = maker.gauge(f"active_{noun}", f"{text}, but for those of overflow.", tenant)
        self._max = maker.gauge(f"max_active_{noun}", "Limit of them; 0: none.", tenant)
        self._demand = maker.gauge(
            f"active_{noun}_demand_estimate", "What there would be without a limit, about.", tenant
        )
        name = noun.capitalize()
        self._added = maker.counter(f"{noun}_added", f"{name} that began.", tenant)
        self._removed = maker.counter(f"{noun}_removed", f"{name} that ended.", tenant)
        self._limited = maker.counter(
            f"{noun}_limited",
            f"Updates of {noun} that had no room and went to an overflow series.",
            tenant,
        )

    def set(self, tenant: str, active: int, demand: int, most: int) -> None:
        """Say how many ``tenant`` has, would have and may have."""
        self._active.labels(tenant).set(active)
        self._demand.labels(tenant).set(demand)
        self._max.labels(tenant).set(most)

    def count(
        self, added: Mapping[str, int], removed: Mapping[str, int], limited: Mapping[str, int]
    ) -> None:
        """Count by tenant."""
        counted = ((self._added, added), (self._removed, removed), (self._limited, limited))
        for counter, by_tenant in counted:
            for tenant, number in by_tenant.items():
                counter.labels(tenant).inc(number)
