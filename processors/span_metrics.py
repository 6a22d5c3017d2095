"""Span metrics: request rate, errors, duration and size per operation.

Every span counts, whatever its kind. Rules: tempo-behaviour.md 1.1, 1.2 and 2.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from processors.batch import Codes, Mask, Projection, SpanBatch
from processors.delta import (
    DeltaFrame,
    Family,
    Instrument,
    Output,
    Schema,
    Stateless,
    count_by_tenant,
    count_discarded,
)
from processors.enums import kind_text, status_text
from processors.filters import Filter, FilterPolicy
from processors.grouping import Groups, group
from processors.histograms import HistogramSettings, Measured, count, duration_families, measure
from processors.labels import INTRINSIC_LABELS, Dictionary, label_name, prefer, without_empty
from processors.multiplier import Multiplier, MultiplierSettings
from processors.settings import Settings
from processors.span_names import template
from processors.sparse import Spans, choose
from processors.target_info import IDENTITY, target_info, target_labels

DEFAULT_BUCKETS = (
    0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128,
    0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384,
)  # fmt: skip
"""Seconds (tempo-behaviour.md 1.6)."""

COUNT, LATENCY, SIZE = "count", "latency", "size"
Told: TypeAlias = tuple[str, Instrument]
"""A part and the instrument that tells it: latency may have two."""

Sanitization: TypeAlias = Literal["", "dry_run", "enabled"]
"""Whether span names are replaced by their templates; ``dry_run`` only counts."""

PARTS = frozenset({COUNT, LATENCY, SIZE})
"""What the sub-processors ``span-metrics-count`` and so on switch on."""


class IntrinsicDimensions(Settings):
    """Which of the built-in labels are on."""

    service: bool = True
    span_name: bool = True
    span_kind: bool = True
    status_code: bool = True
    status_message: bool = False


class DimensionMapping(Settings):
    """A label made of several attributes: their non-empty values joined, or the first of them."""

    name: str
    source_labels: tuple[str, ...] = ()
    join: str = ""
    first_non_empty: bool = False


class SpanMetricsConfig(MultiplierSettings):
    """Tempo's block `metrics_generator.processor.span_metrics`: same keys, same defaults.

    Ours: ``metric_names`` and ``dimension_mappings[].first_non_empty``.
    """

    histogram_buckets: tuple[float, ...] = DEFAULT_BUCKETS
    intrinsic_dimensions: IntrinsicDimensions = IntrinsicDimensions()
    dimensions: tuple[str, ...] = ()
    dimension_mappings: tuple[DimensionMapping, ...] = ()
    enable_target_info: bool = False
    target_info_excluded_dimensions: tuple[str, ...] = ()
    enable_instance_label: bool = True
    filter_policies: tuple[FilterPolicy, ...] = ()
    metric_names: Literal["tempo", "otel", "both"] = "tempo"


class SpanMetrics(Stateless):
    """Emits ``traces_spanmetrics_{calls_total,latency,size_total}`` and ``traces_target_info``.

    Under OpenTelemetry's names: ``traces_span_metrics_{calls_total,duration_seconds}`` with
    the label ``service_name`` in place of ``service``.
    """

    name = "span-metrics"

    def __init__(
        self,
        config: SpanMetricsConfig,
        parts: Collection[str] = PARTS,
        *,
        sanitization: Sanitization = "",
        histograms: HistogramSettings | None = None,
    ) -> None:
        self._config = config
        self._sanitization = sanitization
        self._histograms = histograms or HistogramSettings()
        self._names = _names(config, self._histograms, parts)
        self._filter = Filter(config.filter_policies)
        self._multiplier = Multiplier(
            config.span_multiplier_key,
            from_trace_state=config.enable_tracestate_span_multiplier,
        )
        keys = list(config.dimensions)
        for mapping in config.dimension_mappings:
            keys += mapping.source_labels
        of_target = IDENTITY if config.enable_target_info else ()
        own = Projection(
            resource_keys=tuple(dict.fromkeys((*keys, *of_target))),
            span_keys=tuple(dict.fromkeys(keys)),
            all_resource_attributes=config.enable_target_info,
            status_message=config.intrinsic_dimensions.status_message,
        )
        self.projection = own.union(self._filter.projection).union(self._multiplier.projection)

    def push(self, batch: SpanBatch) -> Output:
        """Count the spans of ``batch`` that pass, once for each group of equal labels."""
        accepted = self._filter.accepts(batch)
        discarded = count_discarded(batch, ~accepted, "span_metrics_filtered")
        if not accepted.all():
            batch = batch.filter(accepted)
        dictionary = Dictionary(batch.strings)
        sanitized: Counter[str] = Counter()
        if self._sanitization:
            names, changed = _templates(batch, dictionary)
            sanitized = count_by_tenant(batch, changed)
            if self._sanitization == "enabled":
                batch = replace(batch, name=names)
        labels, target = self._labels(batch, dictionary)
        valid = dictionary.valid([*self._named(batch), *labels.values()], len(batch))
        discarded += count_discarded(batch, ~valid, "invalid_utf8")
        used = count_by_tenant(batch, valid)
        if not valid.all():
            batch = batch.filter(valid)
            labels = {name: codes[valid] for name, codes in labels.items()}
            target = {name: codes[valid] for name, codes in target.items()}
        frames: list[DeltaFrame] = []
        if len(batch):
            frames += self._count(batch, dictionary, labels)
        if len(batch) and self._config.enable_target_info:
            excluded = frozenset(self._config.target_info_excluded_dimensions)
            frames += target_info(batch, dictionary, target, excluded)
        return Output(frames=frames, used=used, discarded=discarded, sanitized=sanitized)

    def _named(self, batch: SpanBatch) -> Iterator[Codes]:
        """The columns of the built-in labels that are strings."""
        if self._config.intrinsic_dimensions.service:
            yield batch.service()
        if self._config.intrinsic_dimensions.span_name:
            yield batch.name

    def _labels(
        self, batch: SpanBatch, dictionary: Dictionary
    ) -> tuple[dict[str, Codes], dict[str, Codes]]:
        """The labels besides the built-in ones, and those of them that name the target."""
        labels: dict[str, Codes] = {}
        if batch.status_message is not None and self._config.intrinsic_dimensions.status_message:
            labels["status_message"] = batch.status_message
        for key in self._config.dimensions:
            name = label_name(key, INTRINSIC_LABELS)
            codes = batch.find(key)
            labels[name] = prefer(codes, labels[name]) if name in labels else codes
        for mapping in self._config.dimension_mappings:
            name = label_name(mapping.name, INTRINSIC_LABELS)
            labels[name] = _mapped(batch, dictionary, mapping)
        target: dict[str, Codes] = {}
        if self._config.enable_target_info:
            with_instance = self._config.enable_instance_label
            target = target_labels(batch, dictionary, with_instance=with_instance)
        for name, codes in target.items():
            labels[name] = prefer(codes, labels[name]) if name in labels else codes
        return labels, target

    def _count(
        self, batch: SpanBatch, dictionary: Dictionary, labels: Mapping[str, Codes]
    ) -> Iterator[DeltaFrame]:
        on = self._config.intrinsic_dimensions
        rest = {label: without_empty(codes) for label, codes in labels.items()}
        columns = {
            "service": without_empty(batch.service()) if on.service else None,
            "span_name": without_empty(batch.name) if on.span_name else None,
            "span_kind": batch.kind.view(np.uint32) if on.span_kind else None,
            "status_code": batch.status.view(np.uint32) if on.status_code else None,
            **rest,
        }
        used = {label: column for label, column in columns.items() if column is not None}
        groups = group([batch.tenant(), *used.values()])
        rows = {label: column[groups.first] for label, column in used.items()}
        if on.span_kind:
            rows["span_kind"] = dictionary.codes(batch.kind[groups.first], kind_text)
        if on.status_code:
            rows["status_code"] = dictionary.codes(batch.status[groups.first], status_text)
        measured, spans = self._measure(batch, groups), groups.count()
        for service_label, families in self._names:
            names = (service_label if label == "service" else label for label in rows)
            told = [measured[each] for each in families]
            yield DeltaFrame(
                schema=Schema(label_names=tuple(names), families=tuple(families.values())),
                tenants=batch.records.tenants,
                tenant=batch.tenant()[groups.first],
                strings=dictionary.text(),
                labels=_table(list(rows.values()), len(groups)),
                values=tuple(each.values for each in told),
                present=(None,) * len(families),
                first=groups.first,
                spans=spans,
                cells=tuple(each.cells for each in told),
                exemplars=tuple(each.exemplars for each in told),
            )

    def _measure(self, batch: SpanBatch, groups: Groups) -> Mapping[Told, Measured]:
        """What each family counts in each group; sizes are of the spans that came."""
        weights = None if self._multiplier.is_one else self._multiplier.of(batch)
        seconds = batch.duration_s()
        spans = None
        if self._histograms.exemplars:
            spans = Spans(batch.trace_id, batch.span_id, batch.end_ns)
        families = self._names[0][1]
        measured = {
            told: measure(family, groups, seconds, weights, spans)
            for told, family in families.items()
            if told[0] == LATENCY
        }
        slowest = None
        if spans is not None:
            by_bucket = next((each.exemplars for each in measured.values()), None)
            slowest = by_bucket.of_rows() if by_bucket else choose(spans, groups.of_row, seconds)
        for told in families:
            if told[0] == COUNT:
                measured[told] = count(groups, weights, slowest)
            elif told[0] == SIZE:
                measured[told] = Measured(groups.sum(batch.size_bytes)[:, np.newaxis])
        return measured


def _names(
    config: SpanMetricsConfig, histograms: HistogramSettings, parts: Collection[str]
) -> Sequence[tuple[str, Mapping[Told, Family]]]:
    """(label of the service, families) for each kind of names that is on; Tempo's first."""
    of_service = {"tempo": "service", "otel": "service_name"}
    kinds = of_service if config.metric_names == "both" else [config.metric_names]
    bounds = tuple(sorted(config.histogram_buckets))
    return [(of_service[kind], _families(kind, bounds, histograms, parts)) for kind in kinds]


def _families(
    kind: str, bounds: tuple[float, ...], histograms: HistogramSettings, parts: Collection[str]
) -> Mapping[Told, Family]:
    """The families of ``parts`` under Tempo's names or OpenTelemetry's, which have no size."""
    is_tempo = kind == "tempo"
    prefix = "traces_spanmetrics" if is_tempo else "traces_span_metrics"
    latency = f"{prefix}_latency" if is_tempo else f"{prefix}_duration_seconds"
    counter = Instrument.COUNTER
    families: dict[Told, Family] = {}
    if COUNT in parts:
        families[COUNT, counter] = Family(f"{prefix}_calls_total", counter, "Spans.")
    if LATENCY in parts:
        text = "Duration of spans."
        for instrument, family in duration_families(latency, text, bounds, histograms).items():
            families[LATENCY, instrument] = family
    if SIZE in parts and is_tempo:
        text = "Size of spans as they came."
        families[SIZE, counter] = Family(f"{prefix}_size_total", counter, text, "bytes")
    return families


def _templates(batch: SpanBatch, dictionary: Dictionary) -> tuple[Codes, Mask]:
    """The sanitised name of each span, and where it is another one."""
    text = batch.strings.text
    distinct, of_row = np.unique(batch.name, return_inverse=True)
    names = [text[code] for code in distinct.tolist()]
    templates = [template(name) for name in names]
    codes = np.array([dictionary.code(each) for each in templates], np.uint32)
    changed = np.array([a != b for a, b in zip(names, templates, strict=True)], np.bool_)
    return codes[of_row], changed[of_row]


def _mapped(batch: SpanBatch, dictionary: Dictionary, mapping: DimensionMapping) -> Codes:
    sources = [batch.find(key) for key in mapping.source_labels]
    if not sources:
        return np.zeros(len(batch), np.uint32)
    if mapping.first_non_empty:
        found = sources[-1]
        for codes in reversed(sources[:-1]):
            found = prefer(codes, found)
        return found

    def joined(*texts: str) -> str:
        return mapping.join.join(filter(None, texts))

    return dictionary.combine(sources, joined)


def _table(columns: Sequence[Codes], rows: int) -> Codes:
    return np.column_stack(columns) if columns else np.zeros((rows, 0), np.uint32)
