"""The errors of the shell. Each type says what to do.

SpanmillError
├── ConfigError      stop: the user mends the configuration (exit code 2)
└── InputError       stop: a file the user named is missing or broken (exit code 2)

Modules that speak to something outside add their own, such as ``kafka.KafkaError``. A record
that cannot be decoded is no error: see ``decode.Failure``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SpanmillError(Exception):
    """Base of all errors that spanmill raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration: where, and what was found and expected."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class ConfigError(SpanmillError):
    """The configuration has problems; all of them, not just the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class InputError(SpanmillError):
    """A file given on the command line cannot be used."""
