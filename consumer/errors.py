"""The errors of the shell. Each type says what to do.

SpanmillError
├── ConfigError      stop: the user mends the configuration (exit code 2)
├── InputError       stop: a file the user named is missing or broken (exit code 2)
└── DecodeError      drop: the record goes to the dead-letter topic, the worker goes on
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


class DecodeError(SpanmillError):
    """A record cannot be decoded. ``reason`` is a short, bounded word for metrics."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
