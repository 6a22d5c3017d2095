"""The configuration in force, as it may be shown to anybody: without secrets."""

from __future__ import annotations

from typing import Any

import yaml

from consumer.config.model import Config


def as_tree(config: Config) -> dict[str, Any]:
    """Plain values, the keys as they are written in YAML; what is not given is left out."""
    return config.model_dump(mode="json", by_alias=True, exclude_none=True)


def as_yaml(config: Config) -> str:
    """The same as text that can be read again, but for the secrets in it."""
    return yaml.safe_dump(as_tree(config), sort_keys=False, allow_unicode=True, width=100)
