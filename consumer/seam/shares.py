"""What a tenant may have in one shard: its share of what it may have in all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from consumer.config.tenants import SettingsByTenant
from consumer.registry.settings import TenantLimits


def shares_of(
    tenants: SettingsByTenant, shards: int
) -> tuple[Mapping[str, TenantLimits], TenantLimits]:
    """The limits of each tenant, and of all others, in one of so many shards.

    Labels with too many values are dealt with before series have a shard.
    """
    named, default = tenants.limits()
    return {name: _share(limits, shards) for name, limits in named.items()}, _share(default, shards)


def _share(limits: TenantLimits, shards: int) -> TenantLimits:
    """At least 1 of what is limited; 0 is no limit."""
    return replace(
        limits,
        max_active_series=-(-limits.max_active_series // shards),
        max_active_entities=-(-limits.max_active_entities // shards),
        max_exemplars=-(-limits.max_exemplars // shards),
        max_cardinality_per_label=0,
    )
