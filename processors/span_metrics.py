"""Span metrics: request rate, errors, duration and size per operation.

Every span counts, whatever its kind. Rules: tempo-behaviour.md 1.1 to 1.3 and 2.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from processors.batch import Codes, Projection, SpanBatch
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
from processors.grouping import Groups, group
from processors.histograms import observe
from processors.labels import Dictionary, label_name, prefer, without_empty
from processors.settings import Settings

DEFAULT_BUCKETS = (
    0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128,
    0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384,
)  # fmt: skip
"""Seconds (tempo-behaviour.md 1.6)."""

INTRINSIC_LABELS = ("service", "span_name", "span_kind", "status_code", "status_message")
"""Reserved, whether or not they are on."""

TARGET_RESERVED = (*INTRINSIC_LABELS, "job", "instance")
TARGET_LEFT_OUT = ("", "service.name", "service.namespace", "service.instance.id")
TARGET_INFO = Family(
    "traces_target_info", Instrument.GAUGE, "The resource attributes of a target; always 1."
)

_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUSES = ("UNSET", "OK", "ERROR")


class IntrinsicDimensions(Settings):
    """Which of the built-in labels are on."""

    service: bool = True
    span_name: bool = True
    span_kind: bool = True
    status_code: bool = True
    status_message: bool = False


class DimensionMapping(Settings):
    """A label joined from the non-empty values of several attributes."""

    name: str
    source_labels: tuple[str, ...] = ()
    join: str = ""


class SpanMetricsConfig(Settings):
    """Tempo's block `metrics_generator.processor.span_metrics`: same keys, same defaults."""

    histogram_buckets: tuple[float, ...] = DEFAULT_BUCKETS
    intrinsic_dimensions: IntrinsicDimensions = IntrinsicDimensions()
    dimensions: tuple[str, ...] = ()
    dimension_mappings: tuple[DimensionMapping, ...] = ()
    enable_target_info: bool = False
    target_info_excluded_dimensions: tuple[str, ...] = ()
    enable_instance_label: bool = True


class SpanMetrics(Stateless):
    """Emits ``traces_spanmetrics_{calls_total,latency,size_total}`` and ``traces_target_info``."""

    name = "span-metrics"

    def __init__(self, config: SpanMetricsConfig) -> None:
        self._config = config
        self._families = (
            Family("traces_spanmetrics_calls_total", Instrument.COUNTER, "Spans."),
            Family(
                "traces_spanmetrics_latency",
                Instrument.HISTOGRAM,
                "Duration of spans.",
                "seconds",
                tuple(sorted(config.histogram_buckets)),
            ),
            Family("traces_spanmetrics_size_total", Instrument.COUNTER, "Size of spans.", "bytes"),
        )
        keys = list(config.dimensions)
        for mapping in config.dimension_mappings:
            keys += mapping.source_labels
        of_target = (
            ["service.namespace", "service.instance.id"] if config.enable_target_info else []
        )
        self.projection = Projection(
            resource_keys=tuple(dict.fromkeys(keys + of_target)),
            span_keys=tuple(dict.fromkeys(keys)),
            all_resource_attributes=config.enable_target_info,
            status_message=config.intrinsic_dimensions.status_message,
        )

    def push(self, batch: SpanBatch) -> Output:
        """Count all spans of ``batch``, once for each group of equal labels."""
        dictionary = Dictionary(batch.strings)
        target = self._target_labels(batch, dictionary)
        labels = {**self._dimensions(batch, dictionary), **target}
        valid = dictionary.valid([batch.service(), batch.name, *labels.values()])
        kept = batch if valid.all() else batch.filter(valid)
        frames: list[DeltaFrame] = []
        if len(kept):
            labels = {name: codes[valid] for name, codes in labels.items()}
            frames.append(self._count(kept, dictionary, labels))
        if len(kept) and self._config.enable_target_info:
            target = {name: codes[valid] for name, codes in target.items()}
            frames += target_info(kept, dictionary, target, self._config)
        return Output(
            frames=frames,
            used=count_by_tenant(batch, valid),
            discarded=count_discarded(batch, ~valid, "invalid_utf8"),
        )

    def _dimensions(self, batch: SpanBatch, dictionary: Dictionary) -> dict[str, Codes]:
        """The labels that are configured: attributes, mappings, the status message."""
        labels: dict[str, Codes] = {}
        if batch.status_message is not None and self._config.intrinsic_dimensions.status_message:
            labels["status_message"] = batch.status_message
        for key in self._config.dimensions:
            name = label_name(key, INTRINSIC_LABELS)
            codes = batch.find(key)
            labels[name] = prefer(codes, labels[name]) if name in labels else codes
        for mapping in self._config.dimension_mappings:
            sources = [batch.find(key) for key in mapping.source_labels]
            labels[label_name(mapping.name, INTRINSIC_LABELS)] = dictionary.combine(
                sources, lambda *texts, join=mapping.join: join.join(filter(None, texts))
            )
        return labels

    def _target_labels(self, batch: SpanBatch, dictionary: Dictionary) -> dict[str, Codes]:
        """``job`` and ``instance`` of each span's resource (tempo-behaviour.md 1.1)."""
        if not self._config.enable_target_info or not len(batch.resources):
            return {}
        resources = batch.resources
        namespace = resources.attributes["service.namespace"]
        labels = {
            "job": dictionary.combine([namespace, resources.service], _job)[batch.resource],
        }
        if self._config.enable_instance_label:
            labels["instance"] = resources.attributes["service.instance.id"][batch.resource]
        return labels

    def _count(
        self, batch: SpanBatch, dictionary: Dictionary, labels: Mapping[str, Codes]
    ) -> DeltaFrame:
        on = self._config.intrinsic_dimensions
        service, name = without_empty(batch.service()), without_empty(batch.name)
        rest = {label: without_empty(codes) for label, codes in labels.items()}
        kind, status = batch.kind.view(np.uint32), batch.status.view(np.uint32)
        intrinsic = [
            column
            for column, is_on in (
                (service, on.service),
                (name, on.span_name),
                (kind, on.span_kind),
                (status, on.status_code),
            )
            if is_on
        ]
        groups = group([batch.tenant(), *intrinsic, *rest.values()])
        row = groups.first
        columns = {
            "service": service[row] if on.service else None,
            "span_name": name[row] if on.span_name else None,
            "span_kind": dictionary.codes(batch.kind[row], kind_text) if on.span_kind else None,
            "status_code": (
                dictionary.codes(batch.status[row], status_text) if on.status_code else None
            ),
            **{label: codes[row] for label, codes in rest.items()},
        }
        used = {label: codes for label, codes in columns.items() if codes is not None}
        return self._frame(batch, dictionary, groups, used)

    def _frame(
        self,
        batch: SpanBatch,
        dictionary: Dictionary,
        groups: Groups,
        labels: Mapping[str, Codes],
    ) -> DeltaFrame:
        _, latency, _ = self._families
        calls = groups.count()
        return DeltaFrame(
            schema=Schema(label_names=tuple(labels), families=self._families),
            tenants=batch.records.tenants,
            tenant=batch.tenant()[groups.first],
            strings=dictionary.text(),
            labels=_table(labels, len(groups)),
            values=(
                calls[:, np.newaxis],
                observe(groups, batch.duration_s(), latency.bounds),
                groups.sum(batch.size_bytes)[:, np.newaxis],
            ),
            present=(None, None, None),
        )


def target_info(
    batch: SpanBatch,
    dictionary: Dictionary,
    target: Mapping[str, Codes],
    config: SpanMetricsConfig,
) -> Iterator[DeltaFrame]:
    """One gauge per resource that has spans in ``batch`` and something to tell.

    ``target`` are the labels ``job`` and ``instance`` of each span. Resources with equal
    label names share a frame (tempo-behaviour.md 1.3).
    """
    text, valid = dictionary.text(), batch.strings.valid
    excluded = frozenset(config.target_info_excluded_dimensions)
    by_names: dict[tuple[str, ...], dict[tuple[int, ...], None]] = {}
    rows, first = np.unique(batch.resource, return_index=True)
    identities = np.column_stack(
        [batch.tenant()[first], *(codes[first] for codes in target.values())]
    )
    for resource, (tenant, *of_target) in zip(rows.tolist(), identities.tolist(), strict=True):
        identity = {name: code for name, code in zip(target, of_target, strict=True) if text[code]}
        labels = _resource_labels(batch, resource, text, excluded)
        is_valid = all(code >= len(valid) or valid[code] for code in labels.values())
        if identity and labels and is_valid:
            labels |= identity
            names = tuple(sorted(labels))
            row = (tenant, *(labels[name] for name in names))
            by_names.setdefault(names, {})[row] = None
    for names, distinct in by_names.items():
        table = np.array(list(distinct), dtype=np.uint32)
        yield DeltaFrame(
            schema=Schema(label_names=names, families=(TARGET_INFO,)),
            tenants=batch.records.tenants,
            tenant=table[:, 0],
            strings=dictionary.text(),
            labels=table[:, 1:],
            values=(np.ones((len(table), 1)),),
            present=(None,),
        )


def _resource_labels(
    batch: SpanBatch, resource: int, text: Sequence[str], excluded: Collection[str]
) -> dict[str, int]:
    """Label name -> code of the value, for each attribute that is told.

    Of attributes with one label name the last one wins, and an empty one wins by deleting.
    """
    table = batch.resources
    row = slice(int(table.all_offsets[resource]), int(table.all_offsets[resource + 1]))
    labels: dict[str, int] = {}
    for key, value in zip(
        table.all_keys[row].tolist(), table.all_values[row].tolist(), strict=True
    ):
        attribute = text[key]
        if attribute in TARGET_LEFT_OUT or attribute in excluded or attribute[0] in "0123456789":
            continue
        labels[label_name(attribute, TARGET_RESERVED)] = value
    return {name: value for name, value in labels.items() if text[value]}


def kind_text(kind: int) -> str:
    """``SPAN_KIND_SERVER``; an unknown number is written as it is."""
    return f"SPAN_KIND_{_KINDS[kind]}" if 0 <= kind < len(_KINDS) else str(kind)


def status_text(status: int) -> str:
    """``STATUS_CODE_ERROR``; an unknown number is written as it is."""
    return f"STATUS_CODE_{_STATUSES[status]}" if 0 <= status < len(_STATUSES) else str(status)


def _job(namespace: str, service: str) -> str:
    """Empty without a service name: a namespace alone never makes a job."""
    return f"{namespace}/{service}" if namespace and service else service


def _table(labels: Mapping[str, Codes], rows: int) -> Codes:
    return np.column_stack(list(labels.values())) if labels else np.zeros((rows, 0), np.uint32)
