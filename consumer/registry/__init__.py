"""Cumulative state: the fold of all deltas, per tenant, and what a tick sends of it."""

from consumer.registry.registry import Registry, RegistrySettings

__all__ = ["Registry", "RegistrySettings"]
