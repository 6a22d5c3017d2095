"""The configuration in force, as it may be shown to anybody: without secrets."""

from __future__ import annotations

from typing import Any

import yaml

from consumer.config.model import Config
from consumer.config.tempo import NO_EFFECT, find


def as_tree(config: Config) -> dict[str, Any]:
    """Plain values under the keys of the YAML; without keys that are not given or do nothing."""
    tree = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    for pattern in NO_EFFECT:
        for _, block, key in find(tree, pattern):
            del block[key]
    return tree


def as_yaml(config: Config) -> str:
    """The same as text that can be read again, but for the secrets in it."""
    return yaml.safe_dump(as_tree(config), sort_keys=False, allow_unicode=True, width=100)
