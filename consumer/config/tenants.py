"""What counts for each tenant: static settings, defaults, ``*``, its own; key by key (D17)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from consumer.config import shape
from consumer.config.checks import check_service_graphs, check_span_metrics
from consumer.config.generator import ProcessorConfig, RemoteWrite
from consumer.config.model import Config, Notice
from consumer.config.overrides import (
    DEFAULT_PROCESSORS,
    GeneratorLimits,
    OverridesFile,
    ProcessorName,
)
from consumer.config.partial import merged
from consumer.errors import ConfigError, Problem
from consumer.registry.settings import TenantLimits
from processors.delta import NativeShape
from processors.histograms import HistogramSettings, schema_of
from processors.host_info import HostInfoConfig
from processors.service_graphs import ServiceGraphsConfig
from processors.span_metrics import Sanitization, SpanMetricsConfig

ANY_TENANT = "*"


@dataclass(frozen=True, slots=True)
class Processing:
    """What the processors do for a tenant. Tenants of whom it is equal share them."""

    processors: tuple[ProcessorName, ...]
    span_metrics: SpanMetricsConfig
    service_graphs: ServiceGraphsConfig
    """Without ``workers``, which has no effect."""
    host_info: HostInfoConfig
    span_name_sanitization: Sanitization
    histograms: HistogramSettings

    def parts(self, processor: str, whole: Sequence[str]) -> frozenset[str]:
        """The parts of ``processor`` that run: ``whole`` if it is listed, and those listed.

        tempo-behaviour.md 0.7; ``span-metrics-count`` is the part ``count``.
        """
        prefix = f"{processor}-"
        listed = {n.removeprefix(prefix) for n in self.processors if n.startswith(prefix)}
        return frozenset(listed | set(whole if processor in self.processors else ()))


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """Everything that may differ from tenant to tenant."""

    processing: Processing
    limits: TenantLimits
    slack_ms: int
    """Greatest distance between a span's end and its record's timestamp."""
    interval_ms: int
    """Time between two collections."""
    disable_collection: bool
    remote_write: RemoteWrite
    remote_write_headers: Mapping[str, SecretStr]


@dataclass(frozen=True, slots=True)
class SettingsByTenant:
    """The settings of every tenant; ``default`` counts for those that have no entry."""

    default: TenantSettings
    entries: Mapping[str, TenantSettings] = field(default_factory=dict)
    notices: Sequence[Notice] = field(default=(), compare=False)
    """Keys of the file that are taken for Tempo's sake and do nothing here."""

    def for_tenant(self, name: str) -> TenantSettings:
        """What counts for the tenant ``name``."""
        return self.entries.get(name, self.default)

    def limits(self) -> tuple[Mapping[str, TenantLimits], TenantLimits]:
        """What tenants may have: those with an entry, and all others."""
        named = {name: settings.limits for name, settings in self.entries.items()}
        return named, self.default.limits

    def all(self) -> Sequence[TenantSettings]:
        """The settings that somebody may have, the default first."""
        return (self.default, *self.entries.values())


@dataclass(frozen=True, slots=True)
class _Layer:
    """Overrides, and the path at which they stand."""

    path: str
    limits: GeneratorLimits


def settings_by_tenant(config: Config, file: OverridesFile | None = None) -> SettingsByTenant:
    """Merge ``config`` and the ``file`` of overrides.

    Raises :class:`ConfigError` for settings that are right by themselves but not together.
    """
    entries = {} if file is None else dict(file.overrides)
    layers = [
        _Layer("overrides.defaults.metrics_generator", config.overrides.defaults.metrics_generator)
    ]
    if ANY_TENANT in entries:
        layers.append(_layer(ANY_TENANT, entries.pop(ANY_TENANT).metrics_generator))
    problems: list[Problem] = []
    default = _settings(config, layers, problems)
    named = {
        name: _settings(config, [*layers, _layer(name, entry.metrics_generator)], problems)
        for name, entry in entries.items()
    }
    if problems:
        raise ConfigError(sorted(set(problems), key=lambda problem: problem.path))
    return SettingsByTenant(default, named)


def _layer(tenant: str, limits: GeneratorLimits) -> _Layer:
    return _Layer(f"overrides.{tenant}.metrics_generator", limits)


def _settings(config: Config, layers: Sequence[_Layer], problems: list[Problem]) -> TenantSettings:
    static = config.metrics_generator
    limits = GeneratorLimits()
    processor = static.processor
    for layer in layers:
        limits = merged(limits, layer.limits)
        processor = merged(processor, layer.limits.processor)
    processor = _checked(processor, layers[-1].path, problems)
    names = DEFAULT_PROCESSORS if limits.processors is None else limits.processors
    return TenantSettings(
        processing=Processing(
            processors=names,
            span_metrics=processor.span_metrics,
            service_graphs=processor.service_graphs.model_copy(update={"workers": 0}),
            host_info=processor.host_info,
            span_name_sanitization=limits.span_name_sanitization or "",
            histograms=_histograms(limits),
        ),
        limits=TenantLimits(
            max_active_series=limits.max_active_series or 0,
            max_active_entities=limits.max_active_entities or 0,
            max_cardinality_per_label=limits.max_cardinality_per_label or 0,
            max_exemplars=_max_exemplars(limits),
            stale_ms=limits.stale_duration or 0,
            trace_id_label=limits.trace_id_label_name or "traceID",
        ),
        slack_ms=limits.ingestion_time_range_slack or static.metrics_ingestion_time_range_slack,
        interval_ms=limits.collection_interval or static.registry.collection_interval,
        disable_collection=limits.disable_collection or False,
        remote_write=(
            static.storage.remote_write if limits.remote_write is None else limits.remote_write
        ),
        remote_write_headers=limits.remote_write_headers or {},
    )


def _histograms(limits: GeneratorLimits) -> HistogramSettings:
    """tempo-behaviour.md 3.13; what is 0 is as by default."""
    kinds = limits.generate_native_histograms or "classic"
    shape = NativeShape(
        schema=schema_of(limits.native_histogram_bucket_factor or 1.1),
        max_buckets=limits.native_histogram_max_bucket_number or 100,
        min_reset_ms=limits.native_histogram_min_reset_duration or 900_000,
    )
    return HistogramSettings(
        classic=kinds != "native",
        native=kinds != "classic",
        shape=shape,
        exemplars=_max_exemplars(limits) > 0,
    )


def _max_exemplars(limits: GeneratorLimits) -> int:
    return 10_000 if limits.max_exemplars is None else limits.max_exemplars


def _checked(processor: ProcessorConfig, path: str, problems: list[Problem]) -> ProcessorConfig:
    """``processor`` as if it had been written as a whole."""
    rules = {"span_metrics": check_span_metrics, "service_graphs": check_service_graphs}
    changes = {}
    for name, rule in rules.items():
        try:
            changes[name] = rule(getattr(processor, name))  # type: ignore[operator]
        except PydanticCustomError as error:
            for below, text in (error.context or {})["findings"]:
                where = shape.render(("processor", name, *below))
                problems.append(Problem(f"{path}.{where}", text))
    return processor.model_copy(update=changes)
