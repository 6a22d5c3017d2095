"""The block ``overrides``: Tempo's limits and switches per tenant (tempo-behaviour.md 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from consumer.config.checks import Block, duration, within
from processors.settings import DurationMs

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
PROCESSOR_NAMES: tuple[str, ...] = get_args(ProcessorName)
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


class GeneratorLimits(Block):
    """What may differ from tenant to tenant."""

    processors: (
        Annotated[tuple[ProcessorName, ...], BeforeValidator(_names), AfterValidator(_as_set)]
        | None
    ) = None
    """Which processors run; an empty list: none. If not given: `service-graphs` and
    `span-metrics` (Tempo: none)."""
    collection_interval: Annotated[DurationMs, _zero_or("15s", "5m")] = 0
    """Time between two ticks; 0: as in `metrics_generator.registry`."""
    ingestion_time_range_slack: Annotated[DurationMs, duration("0s", "12h")] = 0
    """The slack; 0: as in `metrics_generator`."""
    max_active_series: Annotated[int, Field(ge=0)] = 0
    """Most series of a tenant in one worker, with `limiter_type: series`; 0: no limit. What has no
    room counts in one series a metric with the label `metric_overflow="true"`."""
    max_active_entities: Annotated[int, Field(ge=0)] = 0
    """Most label sets of a tenant in one worker, whatever metrics they have, with
    `limiter_type: entity`; 0: no limit."""
    max_cardinality_per_label: Annotated[int, Field(ge=0)] = 0
    """Most values of a label (about, within a `stale_duration`); while there are more, each value
    of that label becomes `__cardinality_overflow__`; 0: no limit."""
    ring_size: int | None = None
    """Tempo's ring."""
    forwarder: Mapping[str, object] | None = Field(default=None, repr=False)
    """Tempo's queue in its distributor."""


class DefaultLimits(Block):
    """The limits of every tenant."""

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

    defaults: DefaultLimits = DefaultLimits()
    """The limits of every tenant."""
    user_configurable_overrides: Mapping[str, object] | None = Field(default=None, repr=False)
    """Tempo's HTTP API for limits."""
    enable_legacy_overrides: bool | None = None
    """Tempo's older form of limits."""
