"""The block ``overrides``: Tempo's limits and switches per tenant (tempo-behaviour.md 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from consumer.config.checks import Block, LabelName, duration, within
from consumer.config.generator import ProcessorConfig, RemoteWrite
from consumer.config.partial import partial
from consumer.config.remote_write import TenantHeaders
from processors.settings import DurationMs

if TYPE_CHECKING:

    class ProcessorOverrides(Block):
        """Any keys of :class:`ProcessorConfig`."""

else:
    ProcessorOverrides = partial(ProcessorConfig)

ProcessorName = Literal[
    "service-graphs",
    "service-graphs-request",
    "service-graphs-latency",
    "service-graphs-connection-info",
    "span-metrics",
    "span-metrics-count",
    "span-metrics-latency",
    "span-metrics-size",
    "host-info",
]
DEFAULT_PROCESSORS: tuple[ProcessorName, ...] = ("service-graphs", "span-metrics")


def _names(value: object) -> object:
    """Tempo takes a list, or a map whose keys are the names."""
    if isinstance(value, Mapping):
        return tuple(value)
    return tuple(value) if isinstance(value, list) else value


def _as_set(names: tuple[ProcessorName, ...]) -> tuple[ProcessorName, ...]:
    return tuple(sorted(set(names)))


def _zero_or(least: str, most: str) -> AfterValidator:
    """0 stands for "as the static setting says"."""
    rule = within(least, most)

    def check(milliseconds: int) -> int:
        return milliseconds and rule(milliseconds)

    return AfterValidator(check)


def _check_factor(factor: float) -> float:
    """0 stands for the default."""
    if factor and not factor > 1:
        raise ValueError("expected a number over 1")
    return factor


class GeneratorLimits(Block):
    """What may differ from tenant to tenant; what is not given is as it is for all."""

    processors: (
        Annotated[tuple[ProcessorName, ...], BeforeValidator(_names), AfterValidator(_as_set)]
        | None
    ) = None
    """Which processors run; an empty list: none. If not given: `service-graphs` and
    `span-metrics` (Tempo: none). The longer names, such as `span-metrics-count`, run a part."""
    processor: ProcessorOverrides | None = None
    """Any keys of `metrics_generator.processor`."""
    collection_interval: Annotated[DurationMs, _zero_or("15s", "5m")] | None = None
    """Time between two ticks; 0: as in `metrics_generator.registry`."""
    disable_collection: bool | None = None
    """Count, but write nothing."""
    ingestion_time_range_slack: Annotated[DurationMs, duration("0s", "12h")] | None = None
    """The slack; 0: as in `metrics_generator`."""
    span_name_sanitization: Literal["", "dry_run", "enabled"] | None = None
    """Replace what looks like an id in span names by `<_>`, so that one operation has one name;
    `dry_run` only counts the spans whose name would change."""
    generate_native_histograms: Literal["classic", "native", "both"] | None = None
    """Which histograms durations make; if not given: `classic`."""
    native_histogram_bucket_factor: Annotated[float, AfterValidator(_check_factor)] | None = None
    """How much a bucket of a native histogram may grow over the one before; 0 or not given: 1.1."""
    native_histogram_max_bucket_number: Annotated[int, Field(ge=0)] | None = None
    """Most buckets of a native histogram before its resolution is halved; 0 or not given: 100."""
    native_histogram_min_reset_duration: Annotated[DurationMs, duration("0s", "876000h")] | None = (
        None
    )
    """A native histogram of reduced resolution begins anew after this time; 0 or not given: 15m."""
    trace_id_label_name: LabelName | None = None
    """The label of an exemplar that holds the trace id; if not given: `traceID`."""
    max_exemplars: Annotated[int, Field(ge=0)] | None = None
    """Most exemplars of a tenant in a tick, the slowest first; 0: none; if not given: 10000."""
    stale_duration: Annotated[DurationMs, _zero_or("1s", "876000h")] | None = None
    """A series without news for this long ends; 0: as in `metrics_generator.registry`."""
    max_active_series: Annotated[int, Field(ge=0)] | None = None
    """Most series of a tenant in one worker, with `limiter_type: series`; 0: no limit. What has no
    room counts in one series a metric with the label `metric_overflow="true"`."""
    max_active_entities: Annotated[int, Field(ge=0)] | None = None
    """Most label sets of a tenant in one worker, whatever metrics they have, with
    `limiter_type: entity`; 0: no limit."""
    max_cardinality_per_label: Annotated[int, Field(ge=0)] | None = None
    """Most values of a label (about, within a `stale_duration`); while there are more, each value
    of that label becomes `__cardinality_overflow__`; 0: no limit."""
    remote_write_headers: TenantHeaders | None = None
    """Headers of the tenant's requests to each endpoint, in place of those of the same name; they
    may hold its `Authorization`. (`X-Scope-OrgID` in place of the tenant's name.)"""
    remote_write: RemoteWrite | None = None
    """The tenant's own endpoints, in place of those of `metrics_generator.storage`; an empty list:
    none. (Not in Tempo.)"""
    ring_size: int | None = None
    """Tempo's ring."""
    forwarder: Mapping[str, object] | None = Field(default=None, repr=False)
    """Tempo's queue in its distributor."""


class Limits(Block):
    """Limits and switches of a tenant, or of all."""

    metrics_generator: GeneratorLimits = GeneratorLimits()
    """What is made of the spans."""
    ingestion: Mapping[str, object] | None = Field(default=None, repr=False)
    """Tempo's distributor."""
    read: Mapping[str, object] | None = Field(default=None, repr=False)
    """Tempo's queries."""
    compaction: Mapping[str, object] | None = Field(default=None, repr=False)
    """Tempo's blocks."""
    global_: Mapping[str, object] | None = Field(default=None, alias="global", repr=False)
    """Tempo's blocks."""
    storage: Mapping[str, object] | None = Field(default=None, repr=False)
    """Tempo's blocks."""
    forwarders: tuple[str, ...] | None = None
    """Tempo's distributor."""
    cost_attribution: Mapping[str, object] | None = Field(default=None, repr=False)
    """Tempo's distributor."""


class OverridesConfig(Block):
    """Limits and switches per tenant."""

    defaults: Limits = Limits()
    """The limits of every tenant."""
    per_tenant_override_config: str = ""
    """A file with what differs from tenant to tenant, see below; empty: none."""
    per_tenant_override_period: Annotated[DurationMs, duration("1s", "1h")] = 10_000
    """Time between two looks at that file."""
    user_configurable_overrides: Mapping[str, object] | None = Field(default=None, repr=False)
    """Tempo's HTTP API for limits."""
    enable_legacy_overrides: bool | None = None
    """Tempo's older form of limits."""


class OverridesFile(Block):
    """The file that `per_tenant_override_config` names."""

    overrides: Mapping[str, Limits] = Field(default_factory=dict)
    """By tenant; `*` is any tenant, before what is said of one by name."""
