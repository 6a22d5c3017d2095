"""How a registry is set up, and what a tenant may have in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LimiterType = Literal["series", "entity"]


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """``constant_labels`` are on every series; ``tenant_label``, if any, holds the tenant.

    Names and values of other labels are cut to the given bytes of UTF-8; 0 is no limit.
    What a tenant has no room for has ``overflow_labels`` alone. ``limiter_type`` says which
    limit of :class:`TenantLimits` counts, that of series or that of entities.
    """

    interval_ms: int = 15_000
    stale_ms: int = 900_000
    constant_labels: tuple[tuple[str, str], ...] = ()
    tenant_label: str = ""
    max_name_bytes: int = 1_024
    max_value_bytes: int = 2_048
    limiter_type: LimiterType = "series"
    overflow_labels: tuple[tuple[str, str], ...] = (("metric_overflow", "true"),)


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """What one tenant may have in one worker; 0 is no limit (tempo-behaviour.md 3.8, 3.10).

    An entity is a label set, whatever metrics it has. Cardinality is the number of values
    of a label.
    """

    max_active_series: int = 0
    max_active_entities: int = 0
    max_cardinality_per_label: int = 0
    max_exemplars: int = 10_000
    """In one tick; 0 is none at all."""
    stale_ms: int = 0
    """When a series without deltas ends; 0: as the registry's settings say."""
    trace_id_label: str = "traceID"
    """The label of an exemplar that holds the trace id."""


NO_LIMITS = TenantLimits()
