"""The limits of tenants, as the configuration has them and the registry takes them."""

from __future__ import annotations

from consumer.config.model import Config
from consumer.registry import TenantLimits


def default_limits(config: Config) -> TenantLimits:
    """What a tenant may have of which nothing else is said."""
    limits = config.overrides.defaults.metrics_generator
    return TenantLimits(
        max_active_series=limits.max_active_series or 0,
        max_active_entities=limits.max_active_entities or 0,
        max_cardinality_per_label=limits.max_cardinality_per_label or 0,
    )
