"""The whole configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, PrivateAttr

from consumer.config.blocks import KafkaConfig, ServerConfig
from consumer.config.checks import Block
from consumer.config.exactly_once import ExactlyOnceConfig, check_exactly_once
from consumer.config.generator import MetricsGeneratorConfig
from consumer.config.overrides import OverridesConfig
from consumer.config.record_time import RecordTimeConfig


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
    exactly_once: Annotated[ExactlyOnceConfig, AfterValidator(check_exactly_once)] = (
        ExactlyOnceConfig()
    )
    """What `processing_guarantee: exactly_once` needs besides the span topic."""

    record_time: RecordTimeConfig = RecordTimeConfig()
    """How the timestamps of records become ticks."""

    _notices: tuple[Notice, ...] = PrivateAttr(())

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Keys that are taken for Tempo's sake and do nothing here."""
        return self._notices

    @property
    def repartition_topic(self) -> str:
        """The topic in which deltas go to the owners of their series."""
        return self.exactly_once.repartition_topic or f"{self.kafka.topic}-spanmill-deltas"

    @property
    def snapshot_topic(self) -> str:
        """The compacted topic that holds the owners' snapshots."""
        return self.exactly_once.snapshot_topic or f"{self.kafka.topic}-spanmill-snapshots"
