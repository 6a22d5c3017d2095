"""How many series there are, what makes them, and what would make more or fewer.

Every number is counted, not modelled: a question is a configuration under which the spans go
through the pipeline once more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from consumer.config.tenants import Processing, TenantSettings
from consumer.forecast.answers import DimensionCost, FamilyCount, LabelCount, TableCount
from consumer.forecast.replay import Replay
from consumer.registry import Holding, Registry
from processors.batch import EMPTY, Codes
from processors.delta import Instrument
from processors.grouping import group
from processors.service_graphs import ServiceGraphs
from processors.span_metrics import SpanMetrics

WITH_DIMENSIONS = (SpanMetrics.name, ServiceGraphs.name)
"""The processors that attributes can be made labels of."""


class Estimator:
    """Answers for a tenant with ``settings``."""

    def __init__(self, replay: Replay, settings: TenantSettings) -> None:
        self._replay = replay
        self._settings = settings
        on = settings.processing.processors
        self.processors = tuple(
            name for name in WITH_DIMENSIONS if any(each.startswith(name) for each in on)
        )

    def all_series(self) -> Registry:
        """What there is as things are, were there no limits."""
        return self._replay.series(self._settings)

    def of_first_half(self) -> int:
        """The series that the first half of the spans makes."""
        half = self._replay.first(len(self._replay) // 2)
        return series_in(self._replay.series(self._settings, half))

    def of_processor(self, name: str) -> int:
        """The series of one processor."""
        return series_in(self._replay.series(self._alone(name)))

    def with_sanitized_names(self) -> int:
        """The series there would be if ids in span names were replaced."""
        return series_in(self._replay.series(self._changed(_sanitizing)))

    def with_native_histograms(self) -> int:
        """The series there would be with native histograms in place of classic ones."""
        return series_in(self._replay.series(self._changed(_going_native)))

    def cost_of(self, attribute: str) -> DimensionCost:
        """What ``attribute`` would cost as a dimension of each processor that has none of it."""
        texts: set[str] = set()
        spans = 0
        for batch in self._replay.batches():
            codes = batch.find(attribute)
            spans += int(np.count_nonzero(codes))
            texts.update(batch.strings.text[code] for code in np.unique(codes).tolist() if code)
        series = {
            name: series_in(self._replay.series(self._alone(name, attribute)))
            for name in self.processors
            if attribute not in dimensions_of(self._settings.processing, name)
        }
        return DimensionCost(attribute, spans, len(texts - {""}), series)

    def _alone(self, name: str, attribute: str = "") -> TenantSettings:
        """The settings with one processor, and with one more dimension of it."""

        def change(processing: Processing) -> Processing:
            on = tuple(each for each in processing.processors if each.startswith(name))
            changed = replace(processing, processors=on)
            if not attribute:
                return changed
            more = {"dimensions": (*dimensions_of(processing, name), attribute)}
            if name == SpanMetrics.name:
                return replace(
                    changed, span_metrics=processing.span_metrics.model_copy(update=more)
                )
            return replace(
                changed, service_graphs=processing.service_graphs.model_copy(update=more)
            )

        return self._changed(change)

    def _changed(self, change: Callable[[Processing], Processing]) -> TenantSettings:
        return replace(self._settings, processing=change(self._settings.processing))


def _sanitizing(processing: Processing) -> Processing:
    return replace(processing, span_name_sanitization="enabled")


def _going_native(processing: Processing) -> Processing:
    return replace(
        processing, histograms=replace(processing.histograms, classic=False, native=True)
    )


def dimensions_of(processing: Processing, processor: str) -> tuple[str, ...]:
    """The attributes that are labels of the series of ``processor``."""
    if processor == SpanMetrics.name:
        return processing.span_metrics.dimensions
    return processing.service_graphs.label_attributes


def series_in(registry: Registry) -> int:
    """Series of all tenants."""
    return registry.active_series().total()


def tables_in(registry: Registry) -> Sequence[TableCount]:
    """What ``registry`` holds, the largest first."""
    counts = [_table(holding) for holding in registry.holdings()]
    return sorted(counts, key=lambda table: -table.series)


def values_by_label(registry: Registry) -> dict[str, int]:
    """Label name -> distinct values, over all metrics whose values are limited."""
    texts: dict[str, set[str]] = {}
    for holding in registry.holdings():
        if _is_info(holding):
            continue
        for column, name in enumerate(holding.label_names):
            codes = np.unique(holding.labels[:, column]).tolist()
            texts.setdefault(name, set()).update(holding.strings[code] for code in codes if code)
    return {name: len(values) for name, values in texts.items()}


def series_with_one_value(registry: Registry, names: Collection[str]) -> int:
    """The series there would be if each label of ``names`` had one value where it has any."""
    series = 0
    for holding in registry.holdings():
        limited = [] if _is_info(holding) else [n in names for n in holding.label_names]
        columns = holding.labels.copy()
        columns[:, np.flatnonzero(limited)] = columns[:, np.flatnonzero(limited)] > EMPTY
        series += _series(holding, columns)
    return series


def _is_info(holding: Holding) -> bool:
    """Whether it tells about things, which has no limit of values."""
    return all(family.instrument is Instrument.GAUGE for family in holding.families)


def _table(holding: Holding) -> TableCount:
    families = [
        FamilyCount(family.name, family.instrument.value, int(alive.sum()), int(size))
        for family, alive, size in zip(
            holding.families, holding.alive.T, holding.sizes.tolist(), strict=True
        )
    ]
    labels = [
        LabelCount(
            name,
            values=int(np.count_nonzero(np.unique(holding.labels[:, column]))),
            series_without=_series(holding, np.delete(holding.labels, column, axis=1)),
        )
        for column, name in enumerate(holding.label_names)
    ]
    return TableCount(families, sorted(labels, key=lambda label: label.series_without))


def _series(holding: Holding, labels: Codes) -> int:
    """The series there would be of ``labels`` (uint32[g, any]) in place of those of ``holding``."""
    series = 0
    for alive, size in zip(holding.alive.T, holding.sizes.tolist(), strict=True):
        rows = np.flatnonzero(alive)
        if len(rows):
            series += size * (len(group([*labels[rows].T])) if labels.shape[1] else 1)
    return series
