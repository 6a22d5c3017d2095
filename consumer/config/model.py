"""The whole configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import PrivateAttr

from consumer.config.blocks import KafkaConfig, ServerConfig
from consumer.config.checks import Block
from consumer.config.generator import MetricsGeneratorConfig
from consumer.config.overrides import DEFAULT_PROCESSORS, OverridesConfig, ProcessorName


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

    @property
    def processors(self) -> tuple[ProcessorName, ...]:
        """The names of the processors that run, sorted."""
        names = self.overrides.defaults.metrics_generator.processors
        return DEFAULT_PROCESSORS if names is None else names

    @property
    def collection_interval_ms(self) -> int:
        """Time between two ticks."""
        limits = self.overrides.defaults.metrics_generator
        return limits.collection_interval or self.metrics_generator.registry.collection_interval

    @property
    def slack_ms(self) -> int:
        """Greatest distance between a span's end and its record's timestamp."""
        limits = self.overrides.defaults.metrics_generator
        slack = self.metrics_generator.metrics_ingestion_time_range_slack
        return limits.ingestion_time_range_slack or slack
