"""pydantic's errors in the words of the configuration."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from consumer.config import shape
from consumer.config.document import Document
from consumer.errors import Problem
from processors.settings import SEVERAL

_EXPECTED: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "finite_number": "a finite number",
    "string_too_short": "text that is not empty",
    "too_short": "at least {min_length}",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "literal_error": "{expected}",
}
_LONGEST_VALUE = 60


def problems_of(
    error: ValidationError, document: Document, sources: Mapping[shape.Path, str]
) -> list[Problem]:
    """Every mistake in ``error``; ``sources`` says which keys came from outside the file."""
    found: list[Problem] = []
    for details in error.errors(include_url=False):
        path = tuple(part for part in details["loc"] if part != "[key]")
        if details["type"] == SEVERAL:
            for below, text in details["ctx"]["findings"]:
                found.append(_problem((*path, *below), text, sources))
        else:
            found.append(_problem(path, _text(details, document, path), sources))
    return found


def _problem(path: shape.Path, text: str, sources: Mapping[shape.Path, str]) -> Problem:
    source = sources.get(path)
    return Problem(shape.render(path) or "(top)", f"{text} (set by {source})" if source else text)


def _text(details: ErrorDetails, document: Document, path: shape.Path) -> str:
    kind = details["type"]
    if kind == "extra_forbidden":
        return _unknown(document, path)
    if kind == "missing":
        return "expected a value, found none"
    context: dict[str, Any] = details.get("ctx", {})
    if kind == "value_error":
        rule = str(context["error"])
    elif kind in _EXPECTED:
        rule = "expected " + _EXPECTED[kind].format(**context).replace("'", "")
    else:
        rule = details["msg"]
    if not rule.startswith("expected "):
        return rule
    hint = (
        "; quote it" if kind == "string_type" and isinstance(details["input"], int | float) else ""
    )
    found = _value(details["input"], is_secret=shape.is_secret(document.root, path))
    return f"found {found}, {rule}{hint}"


def _value(value: object, *, is_secret: bool) -> str:
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if is_secret:
        return "text" if isinstance(value, str) else "a value"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _unknown(document: Document, path: shape.Path) -> str:
    """Name the key that was probably meant."""
    key = str(path[-1])
    known = _keys_beside(document, path)
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    elsewhere = [each.pattern for each in shape.keys(document.root) if _last(each.pattern) == key]
    elsewhere += [pattern for pattern in document.not_yet if _last(pattern) == key]
    if elsewhere:
        return f"unknown key here; did you mean {elsewhere[0]}?"
    return f"unknown key; known are {', '.join(known)}"


def _keys_beside(document: Document, path: Sequence[str | int]) -> list[str]:
    model = shape.as_model(shape.at(document.root, path[:-1]))
    here = shape.pattern(document.root, path[:-1])
    known = [] if model is None else list(shape.fields(model))
    return known + [_last(key) for key in document.not_yet if key.rpartition(".")[0] == here]


def _last(pattern: str) -> str:
    return pattern.rpartition(".")[2]
