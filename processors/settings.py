"""The vocabulary of configuration models: frozen, strict about keys, exact about durations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer
from pydantic_core import PydanticCustomError

SEVERAL = "several_problems"
"""Type of the pydantic error that carries problems with their own paths."""

Finding = tuple[tuple[str | int, ...], str]
"""A path below the block that is checked, and the text of the problem."""

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


class Settings(BaseModel):
    """Base of every block of the configuration: frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def refuse(findings: Sequence[Finding]) -> None:
    """Raise all ``findings`` as one pydantic error; nothing when there are none."""
    if findings:
        raise PydanticCustomError(SEVERAL, "several problems", {"findings": tuple(findings)})


def parse_duration_ms(text: object) -> int:
    """``1m30s`` -> 90000. Raises :class:`ValueError` for anything else than such text."""
    if isinstance(text, int) and not isinstance(text, bool) and text == 0:
        return 0
    if not isinstance(text, str):
        raise ValueError("expected a duration such as 15s, 1m30s or 500ms")  # noqa: TRY004  pydantic reports ValueError only
    parts = _PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text or not parts:
        raise ValueError("expected a duration such as 15s, 1m30s or 500ms")
    return round(sum(float(number) * _UNIT_MS[unit] for number, unit in parts))


def format_duration(milliseconds: int) -> str:
    """90000 -> ``1m30s``; the inverse of :func:`parse_duration_ms`."""
    if milliseconds == 0:
        return "0s"
    text = ""
    for unit in ("h", "m", "s", "ms"):
        count, milliseconds = divmod(milliseconds, _UNIT_MS[unit])
        text += f"{count}{unit}" if count else ""
    return text


DurationMs = Annotated[
    int, BeforeValidator(parse_duration_ms), PlainSerializer(format_duration, return_type=str)
]
"""Milliseconds; written as Go and Prometheus write durations."""
