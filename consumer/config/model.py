"""The whole configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import PrivateAttr

from consumer.config.blocks import KafkaConfig, ServerConfig
from consumer.config.checks import Block
from consumer.config.generator import MetricsGeneratorConfig
from consumer.config.overrides import OverridesConfig


@dataclass(frozen=True, slots=True)
class Notice:
    """A key that is taken but has no effect, and why."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class Config(Block):
    """Everything that a user can set. Frozen; state lives elsewhere."""

    kafka: KafkaConfig = KafkaConfig()
    """Where the spans come from."""
    server: ServerConfig = ServerConfig()
    """The HTTP server for metrics and probes, the log, and the way to stop."""
    metrics_generator: MetricsGeneratorConfig = MetricsGeneratorConfig()
    """What is made of the spans: Tempo's block."""
    overrides: OverridesConfig = OverridesConfig()
    """Limits and switches per tenant: Tempo's block."""
    processing_guarantee: Literal["at_least_once", "exactly_once"] = "at_least_once"
    """What a crash may do to the numbers."""

    _notices: tuple[Notice, ...] = PrivateAttr(())

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Keys that are taken for Tempo's sake and do nothing here."""
        return self._notices
