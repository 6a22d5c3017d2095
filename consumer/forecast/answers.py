"""What a forecast says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consumer.registry.settings import TenantLimits


@dataclass(frozen=True, slots=True)
class FamilyCount:
    """A metric with its label sets, each of which is ``series_each`` series.

    ``instrument`` tells a native histogram from a classic one of the same name.
    """

    name: str
    instrument: str
    label_sets: int
    series_each: int

    @property
    def series(self) -> int:
        """All of them."""
        return self.label_sets * self.series_each


@dataclass(frozen=True, slots=True)
class LabelCount:
    """A label with its distinct values, and the series there would be without it."""

    name: str
    values: int
    series_without: int


@dataclass(frozen=True, slots=True)
class TableCount:
    """Metrics with the same label names."""

    families: Sequence[FamilyCount]
    labels: Sequence[LabelCount]

    @property
    def series(self) -> int:
        """Of all metrics."""
        return sum(family.series for family in self.families)


@dataclass(frozen=True, slots=True)
class DimensionCost:
    """What an attribute would cost as one more dimension.

    ``series``: by processor, how many there would be of it in all.
    """

    attribute: str
    spans: int
    values: int
    series: dict[str, int]


@dataclass(frozen=True, slots=True)
class LimitsForecast:
    """What the limits of the tenant do. ``kept``: the series that there is room for.

    ``too_many``: labels with more values than one may have, and their number.
    ``with_one_value``: the series there would be, without other limits, once all values of
    those are replaced.
    """

    limiter: str
    limits: TenantLimits
    kept: int
    too_many: Mapping[str, int]
    with_one_value: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """The answers, for one tenant; ``series`` is without limits."""

    tenant: str
    spans: int
    series: int
    series_of_first_half: int
    tables: Sequence[TableCount]
    limits: LimitsForecast
    of_processor: Mapping[str, int]
    """What :attr:`dimensions` compare with."""
    dimensions: Sequence[DimensionCost]
    attributes_left_out: int
    series_with_sanitized_names: int | None
    """``None`` where span names are no label, or sanitised already."""
    series_with_native_histograms: int | None
    """``None`` where there are no classic histograms."""
