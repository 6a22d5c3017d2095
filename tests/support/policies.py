"""Filter policies span by span, written plainly from tempo-behaviour.md 2.4."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import re2
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from consumer.decode.messages import Message
from processors.filters import FilterPolicy, PolicyAttribute, PolicyMatch

ZERO = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}


def accepts(policies: Sequence[FilterPolicy], span: Message, resource: Iterable[Message]) -> bool:
    """Whether ``span`` passes ``policies``."""

    def matches(block: PolicyMatch) -> bool:
        is_regex = block.match_type == "regex"
        return all(_holds(each, span, resource, is_regex=is_regex) for each in block.attributes)

    if any(matches(policy.exclude) for policy in policies if policy.exclude):
        return False
    of_any = [matches(policy.include_any) for policy in policies if policy.include_any]
    if any(of_any):
        return True
    include = [matches(policy.include) for policy in policies if policy.include]
    return all(include) if include else not of_any


def _holds(
    wanted: PolicyAttribute, span: Message, resource: Iterable[Message], *, is_regex: bool
) -> bool:
    value: Any
    if wanted.key == "kind":
        value = Span.SpanKind.Name(span.kind) if span.kind in Span.SpanKind.values() else ""
    elif wanted.key == "status":
        known = span.status.code in Status.StatusCode.values()
        value = Status.StatusCode.Name(span.status.code) if known else ""
    elif wanted.key == "name":
        value = span.name.decode()
    else:
        scope, _, key = wanted.key.partition(".")
        attributes = resource if scope == "resource" else span.attributes
        found = next((each.value for each in attributes if each.key == key.encode()), None)
        if found is None:
            return False
        value = _typed(found, str if is_regex else type(wanted.value))
    return bool(re2.search(wanted.value, value)) if is_regex else bool(value == wanted.value)


def _typed(value: Message, of_type: type) -> Any:
    """The value, or the zero of the type where it has another one."""
    zero = getattr(value, ZERO[of_type])
    return zero.decode() if of_type is str else zero
