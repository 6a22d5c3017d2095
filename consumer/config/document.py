"""The two files that are read, and what is said of the keys in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consumer.config.checks import Block
from consumer.config.model import Config
from consumer.config.overrides import OverridesFile
from consumer.config.tempo import DEFAULTS, NO_EFFECT, NOT_YET, VALUES_NOT_YET

_TENANT = "overrides.*."


@dataclass(frozen=True, slots=True)
class Document:
    """``root`` says which keys there are; the rest is as in ``tempo.py``."""

    root: type[Block]
    not_yet: Mapping[str, object]
    values_not_yet: Mapping[str, frozenset[str]]
    no_effect: Mapping[str, str]


CONFIGURATION = Document(Config, NOT_YET, VALUES_NOT_YET, NO_EFFECT)


def _of_tenants(table: Mapping[str, object]) -> dict[str, object]:
    """What is said of the keys of the defaults, said of those of each tenant."""
    return {
        _TENANT + pattern.removeprefix(DEFAULTS): value
        for pattern, value in table.items()
        if pattern.startswith(DEFAULTS)
    }


TENANTS = Document(
    OverridesFile,
    _of_tenants(NOT_YET),
    {k: v for k, v in _of_tenants(VALUES_NOT_YET).items() if isinstance(v, frozenset)},
    {k: str(v) for k, v in _of_tenants(NO_EFFECT).items()},
)
