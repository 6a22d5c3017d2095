"""What the configuration says of series: labels that all of them have, lengths, ages."""

from __future__ import annotations

from consumer.config.model import Config
from consumer.registry import RegistrySettings

INSTANCE_LABEL = "__metrics_gen_instance"
"""Who wrote a series: two workers may write the same labels (tempo-behaviour.md 3.3)."""


def registry_settings(config: Config, *, instance: str = "") -> RegistrySettings:
    """The registry's part of ``config``; ``instance`` names the worker, if it is one."""
    registry = config.metrics_generator.registry
    labels = dict(registry.external_labels)
    if instance:
        labels[INSTANCE_LABEL] = instance
    return RegistrySettings(
        interval_ms=registry.collection_interval,
        stale_ms=registry.stale_duration,
        constant_labels=tuple(sorted(labels.items())),
        tenant_label=registry.inject_tenant_id_as,
        max_name_bytes=registry.max_label_name_length,
        max_value_bytes=registry.max_label_value_length,
        limiter_type=config.metrics_generator.limiter_type,
    )
