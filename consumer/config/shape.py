"""What the models say about a path: which keys a block has, what a key holds.

A path is a tuple of keys and list indexes, ``("storage", "remote_write", 0, "url")``;
written ``storage.remote_write[0].url``. A pattern is a path written with ``[]`` for
any index, and ``*`` for any key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the configuration, as the models know it."""

    pattern: str
    field: FieldInfo
    block: type[BaseModel] | None
    """The model of the block that the key holds, itself or in a list."""


def render(path: Sequence[str | int]) -> str:
    """``("a", 0, "b")`` -> ``a[0].b``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def pattern(root: type[BaseModel], path: Sequence[str | int]) -> str:
    """``("a", 0, "b")`` -> ``a[].b``; a key of a mapping becomes ``*``."""
    named = ["*" if is_mapping(at(root, path[:i])) else part for i, part in enumerate(path)]
    return re.sub(r"\[\d+\]", "[]", render(named))


def unwrap(annotation: object) -> object:
    """The type inside ``Annotated`` and ``| None``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return unwrap(get_args(annotation)[0])
    if origin in (Union, UnionType):
        rest = [member for member in get_args(annotation) if member is not NoneType]
        return unwrap(rest[0]) if len(rest) == 1 else annotation
    return annotation


def as_model(annotation: object) -> type[BaseModel] | None:
    """The model that ``annotation`` stands for, if it is one."""
    inner = unwrap(annotation)
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def is_list(annotation: object) -> bool:
    """Whether the annotation is one of a list."""
    return get_origin(unwrap(annotation)) in (tuple, list)


def is_mapping(annotation: object) -> bool:
    """Whether any key is welcome."""
    return get_origin(unwrap(annotation)) in (dict, Mapping)


def fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """The fields of a block under the names that are written in YAML."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def child(annotation: object, part: str | int) -> object | None:
    """What stands below ``part`` of something of this annotation; None when unknown."""
    model = as_model(annotation)
    if model is not None:
        field = fields(model).get(str(part))
        return None if field is None else field.annotation
    if is_list(annotation) and isinstance(part, int):
        return _argument(annotation, 0)
    return _argument(annotation, 1) if is_mapping(annotation) else None


def _argument(annotation: object, index: int) -> object:
    argument: object = get_args(unwrap(annotation))[index]
    return argument


def at(root: type[BaseModel], path: Sequence[str | int]) -> object | None:
    """The annotation at ``path``; None when the models know no such place."""
    annotation: object | None = root
    for part in path:
        if annotation is None:
            return None
        annotation = child(annotation, part)
    return annotation


def wants_text(annotation: object | None) -> bool:
    """Whether a scalar here is text whatever it looks like."""
    return unwrap(annotation) in (str, SecretStr)


def is_secret(root: type[BaseModel], path: Sequence[str | int]) -> bool:
    """Whether a value at ``path`` must not be shown: secrets, and blocks that hold some."""
    annotation = at(root, path)
    if annotation is None:
        parent = at(root, path[:-1])
        return parent is not None and as_model(parent) is None
    return _hides(annotation)


def _hides(annotation: object) -> bool:
    inner = unwrap(annotation)
    if is_list(inner):
        return _hides(_argument(inner, 0))
    return inner is SecretStr or as_model(inner) is not None or is_mapping(inner)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[Key]:
    """Every key of ``model`` and of the blocks in it, each block before what it holds."""
    for name, field in fields(model).items():
        place = f"{prefix}.{name}" if prefix else name
        annotation: object = field.annotation
        if is_list(annotation):
            annotation = _argument(annotation, 0)
        block = as_model(annotation)
        yield Key(place, field, block)
        if block is not None:
            yield from keys(block, place + "[]" if is_list(field.annotation) else place)
