"""Cumulative state: the fold of all deltas, per tenant, and what a tick sends of it."""

from consumer.registry.admission import Changes, Usage
from consumer.registry.cardinality import LabelValues
from consumer.registry.holdings import Found, Holding
from consumer.registry.registry import Registry
from consumer.registry.settings import RegistrySettings, TenantLimits

__all__ = [
    "Changes",
    "Found",
    "Holding",
    "LabelValues",
    "Registry",
    "RegistrySettings",
    "TenantLimits",
    "Usage",
]
