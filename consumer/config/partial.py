"""Blocks of which any key may be missing, made of the blocks that have them all.

So whatever can be set for all tenants can be set for one.
"""

from __future__ import annotations

from functools import partial as bind
from itertools import pairwise
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, Field, create_model
from pydantic_core import PydanticCustomError

from consumer.config import shape
from consumer.config.checks import Block
from processors.settings import Finding, Settings, refuse

BlockT = TypeVar("BlockT", bound=Settings)


def partial(model: type[Settings]) -> type[Block]:
    """``model`` with ``None`` as the default of each key: not given.

    Blocks in it are partial as well; lists are given as a whole.
    """
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        annotation: Any = field.annotation
        rules = tuple(field.metadata)
        block = shape.as_model(annotation)
        if block is not None:
            whole = cast("type[Settings]", block)
            annotation = partial(whole)
            rules = (AfterValidator(bind(_check, whole=whole, rules=rules)),)
        for rule in rules:
            annotation = Annotated[annotation, rule]
        fields[name] = (annotation | None, Field(default=None, description=field.description))
    return create_model(f"Partial{model.__name__}", __base__=Block, **fields)


def merged(base: BlockT, given: Settings | None) -> BlockT:
    """``base`` with what ``given``, a partial block, has: block by block, key by key."""
    if given is None:
        return base
    changes = {}
    for name in given.model_fields_set:
        value = getattr(given, name)
        before = getattr(base, name)
        if isinstance(value, Settings) and before is not None:
            changes[name] = merged(before, value)
        elif value is not None:
            changes[name] = value
    return base.model_copy(update=changes) if changes else base


def _check(given: Settings, *, whole: type[Settings], rules: tuple[object, ...]) -> Settings:
    """Apply the rules of the whole block to the keys that are given."""
    findings = _unsorted_buckets(given)
    whole_block = merged(whole(), given)
    for rule in rules:
        if isinstance(rule, AfterValidator):
            try:
                rule.func(whole_block)  # type: ignore[call-arg]
            except PydanticCustomError as error:
                found = (error.context or {})["findings"]
                findings += [each for each in found if each[0][0] in given.model_fields_set]
    refuse(findings)
    return given


def _unsorted_buckets(given: Settings) -> list[Finding]:
    """Bounds of overrides must ascend (tempo-behaviour.md 5.4)."""
    buckets = getattr(given, "histogram_buckets", None) or ()
    return [
        (("histogram_buckets", index), f"found {bound}, expected a number above {before}")
        for index, (before, bound) in enumerate(pairwise(buckets), start=1)
        if bound <= before
    ]
