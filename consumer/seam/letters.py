"""Offsets follow dead letters: a record that could not be read is written before it is passed."""

from __future__ import annotations

from consumer.kafka.dead_letters import DeadLetters
from consumer.telemetry.reporter import Reporter

TIMEOUT_S = 1.0
"""At each tick while the dead-letter topic takes nothing; a broker that works needs far less."""


def are_safe(letters: DeadLetters, reporter: Reporter) -> bool:
    """Whether every record that could not be read is in the dead-letter topic."""
    is_safe = letters.confirm(TIMEOUT_S)
    reporter.dead_lettered(letters.answers())
    return is_safe
