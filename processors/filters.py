"""Filter policies: which spans a processor takes (tempo-behaviour.md 2.4).

A condition is decided once per distinct value of its column, not once per span.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import re2
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, ValidationError, WrapValidator, model_validator

from processors.batch import ABSENT, TYPE_MARKS, Mask, Projection, SpanBatch
from processors.enums import KINDS, STATUSES, kind_text, status_text
from processors.settings import Settings, refuse

RESOURCE, SPAN = "resource.", "span."
INTRINSICS = ("kind", "status", "name")

Value = str | int | float | bool
_Validator = Callable[[object], Value]


def _check_key(key: str) -> str:
    scoped = key.startswith((RESOURCE, SPAN)) and not key.endswith((RESOURCE, SPAN))
    if key in INTRINSICS or scoped:
        return key
    raise ValueError("expected kind, status, name, resource.<attribute> or span.<attribute>")


def _check_value(value: object, validate: _Validator) -> Value:
    try:
        return validate(value)
    except ValidationError:
        raise ValueError("expected text, a number, true or false") from None


class PolicyAttribute(Settings):
    """One condition: the value that an attribute or intrinsic has to have."""

    key: Annotated[str, AfterValidator(_check_key)]
    value: Annotated[Value, WrapValidator(_check_value)]

    def __eq__(self, other: object) -> bool:
        """1, 1.0 and true are equal numbers, but different values."""
        return isinstance(other, PolicyAttribute) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, type, Value]:
        return self.key, type(self.value), self.value


class PolicyMatch(Settings):
    """A block of conditions; it matches a span that meets all of them."""

    match_type: Literal["strict", "regex"]
    attributes: Annotated[tuple[PolicyAttribute, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_values(self) -> PolicyMatch:
        problems = [_problem(self.match_type, attribute) for attribute in self.attributes]
        refuse(
            [(("attributes", i, "value"), problem) for i, problem in enumerate(problems) if problem]
        )
        return self


class FilterPolicy(Settings):
    """At least one block. See :class:`Filter` for what they mean together."""

    include: PolicyMatch | None = None
    include_any: PolicyMatch | None = None
    exclude: PolicyMatch | None = None

    @model_validator(mode="after")
    def _has_a_block(self) -> FilterPolicy:
        if self.include is None and self.include_any is None and self.exclude is None:
            raise ValueError("expected at least one of include, include_any and exclude")
        return self


def _problem(match_type: str, attribute: PolicyAttribute) -> str:
    """What is wrong with the value of ``attribute``; empty when nothing is."""
    if match_type == "regex":
        if not isinstance(attribute.value, str):
            return f"found {attribute.value!r}, expected a regular expression, which is text"
        try:
            _compile(attribute.value)
        except re2.error as error:
            return (
                f"found {attribute.value!r}, expected a regular expression (RE2): "
                f"{_error_text(error)}"
            )
        return ""
    names = {"kind": KINDS, "status": STATUSES}.get(attribute.key)
    if names is not None and attribute.value not in names:
        return f"found {attribute.value!r}, expected one of {', '.join(names)}"
    if attribute.key == "name" and not isinstance(attribute.value, str):
        return f"found {attribute.value!r}, expected text, as span names are"
    return ""


def _error_text(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _compile(pattern: str) -> Any:  # noqa: ANN401  the library has no types
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of one column, by text. ``typed`` text begins with one of :data:`TYPE_MARKS`."""

    key: str
    holds: Callable[[str], bool]

    def mask(self, batch: SpanBatch) -> Mask:
        """The spans of ``batch`` that have the key and for which it holds (bool[n])."""
        if self.key == "kind":
            return _by_value(batch.kind, lambda kind: self.holds(kind_text(kind)))
        if self.key == "status":
            return _by_value(batch.status, lambda status: self.holds(status_text(status)))
        if self.key == "name":
            return _by_value(batch.name, lambda code: self.holds(batch.strings.text[code]))
        if self.key.startswith(SPAN):
            return self._of_codes(batch, batch.typed[self.key.removeprefix(SPAN)])
        column = batch.resources.typed[self.key.removeprefix(RESOURCE)]
        return self._of_codes(batch, column)[batch.resource]

    def _of_codes(self, batch: SpanBatch, codes: NDArray[np.uint32]) -> Mask:
        text = batch.strings.text
        return _by_value(codes, lambda code: code != ABSENT and self.holds(text[code]))


class Filter:
    """A list of policies.

    An ``exclude`` block that matches rejects; else an ``include_any`` block that matches
    accepts; else all ``include`` blocks must match; with ``include_any`` blocks alone a
    span that none of them matches is rejected.
    """

    def __init__(self, policies: Sequence[FilterPolicy]) -> None:
        self._exclude = [_conditions(p.exclude) for p in policies if p.exclude]
        self._include_any = [_conditions(p.include_any) for p in policies if p.include_any]
        self._include = [_conditions(p.include) for p in policies if p.include]
        blocks = (*self._exclude, *self._include_any, *self._include)
        keys = [condition.key for block in blocks for condition in block]
        self.projection = Projection(
            typed_resource_keys=_scoped(keys, RESOURCE), typed_span_keys=_scoped(keys, SPAN)
        )

    def accepts(self, batch: SpanBatch) -> Mask:
        """The spans of ``batch`` that pass (bool[n])."""
        count = len(batch)
        excluded = _any(count, [_all(batch, block) for block in self._exclude])
        accepted = _any(count, [_all(batch, block) for block in self._include_any])
        if self._include:
            included = [_all(batch, block) for block in self._include]
            accepted |= np.asarray(np.logical_and.reduce(included))
        elif not self._include_any:
            accepted[:] = True
        return accepted & ~excluded


def _scoped(keys: Sequence[str], scope: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(k.removeprefix(scope) for k in keys if k.startswith(scope)))


def _conditions(match: PolicyMatch) -> Sequence[Condition]:
    return [_condition(match.match_type, attribute) for attribute in match.attributes]


def _condition(match_type: str, attribute: PolicyAttribute) -> Condition:
    typed = attribute.key not in INTRINSICS
    value = attribute.value
    if match_type == "regex":
        search = _compile(str(value)).search
        if typed:
            return Condition(attribute.key, lambda text: bool(search(_string(text))))
        return Condition(attribute.key, lambda text: bool(search(text)))
    if typed:
        return Condition(attribute.key, lambda text: _equals(text, value))
    return Condition(attribute.key, lambda text: text == value)


def _string(typed: str) -> str:
    """The text of a string value; values of other types count as empty."""
    return typed[1:] if typed[0] == TYPE_MARKS["string"] else ""


def _equals(typed: str, value: Value) -> bool:
    """Equality of type and value; a value of another type counts as its type's zero."""
    mark, text = typed[0], typed[1:]
    if isinstance(value, bool):
        return value is (mark == TYPE_MARKS["bool"] and text == "true")
    if isinstance(value, int):
        return value == (int(text) if mark == TYPE_MARKS["int"] else 0)
    if isinstance(value, float):
        return value == (float(text) if mark == TYPE_MARKS["double"] else 0.0)
    return value == (text if mark == TYPE_MARKS["string"] else "")


def _by_value(column: NDArray[Any], holds: Callable[[int], bool]) -> Mask:
    """``holds`` of each row, asked once per distinct value."""
    distinct, of_row = np.unique(column, return_inverse=True)
    return np.array([holds(value) for value in distinct.tolist()], np.bool_)[of_row]


def _all(batch: SpanBatch, block: Sequence[Condition]) -> Mask:
    return np.asarray(np.logical_and.reduce([condition.mask(batch) for condition in block]))


def _any(count: int, masks: Sequence[Mask]) -> Mask:
    return np.asarray(np.logical_or.reduce(masks)) if masks else np.zeros(count, np.bool_)
