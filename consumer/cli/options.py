"""What the commands have in common: the configuration, and how it is given."""

# ruff: noqa: PLC0415  a command imports what it needs when it runs

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from consumer.config import Config

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The configuration, a YAML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one key: kafka.topic=spans. Repeatable."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done; do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


def load(path: Path | None, settings: list[str] | None) -> Config:
    """The configuration in force. Raises ``ConfigError`` and ``InputError``."""
    from consumer.config import load_config
    from consumer.config.environment import environment

    return load_config(path, overrides=settings or (), environ=environment())
