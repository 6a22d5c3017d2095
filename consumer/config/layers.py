"""What stands above the file: environment variables, then flags.

``SPANMILL_KAFKA__TOPIC=spans`` and ``--set kafka.topic=spans`` say the same. A value is
read as YAML, unless the key holds text. In a block with free keys (``kafka.client``,
labels, headers) the rest of the path is the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from consumer.config import shape
from consumer.config.model import Config
from consumer.config.tree import reread
from consumer.errors import Problem

PREFIX = "SPANMILL_"
_SEPARATOR = "__"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One key with its value, and where that was said."""

    path: shape.Path
    text: str
    source: str


def from_environment(environ: Mapping[str, str]) -> Iterator[Assignment]:
    """Variables such as ``SPANMILL_SERVER__PORT``, sorted.

    Others with the same prefix are not meant: Kubernetes makes ``SPANMILL_PORT`` out of a
    service's name.
    """
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        parts = name.removeprefix(PREFIX).lower().split(_SEPARATOR)
        if len(parts) > 1 or parts[0] == "processing_guarantee":
            if parts[:2] == ["kafka", "client"]:
                parts = [*parts[:2], ".".join(parts[2:]).replace("_", ".")]
            yield Assignment(_resolve(parts, _SEPARATOR), environ[name], name)


def from_flags(flags: Sequence[str], problems: list[Problem]) -> Iterator[Assignment]:
    """Flags such as ``kafka.topic=spans``; one without ``=`` is a problem."""
    for flag in flags:
        key, equals, text = flag.partition("=")
        if not equals or not key.strip("."):
            problems.append(
                Problem(f"--set {key}", "expected KEY=VALUE, such as kafka.topic=spans")
            )
            continue
        parts = key.strip().replace("[", ".").replace("]", "").split(".")
        yield Assignment(_resolve(parts, "."), text, f"--set {key}")


def apply(tree: dict[str, object], assignment: Assignment) -> None:
    """Put one value into ``tree``, with the blocks and list entries above it."""
    text = assignment.text
    value = text if shape.wants_text(shape.at(Config, assignment.path)) else reread(text)
    place: object = tree
    *above, last = assignment.path
    for part, below in zip(above, assignment.path[1:], strict=True):
        place = _enter(place, part, [] if isinstance(below, int) else {})
    _put(place, last, value)


def _resolve(parts: Sequence[str], separator: str) -> shape.Path:
    annotation: object | None = Config
    path: list[str | int] = []
    for index, part in enumerate(parts):
        if shape.is_mapping(annotation):
            return (*path, separator.join(parts[index:]))
        in_list = shape.is_list(annotation) and part.isdecimal()
        path.append(int(part) if in_list else part)
        annotation = None if annotation is None else shape.child(annotation, path[-1])
    return tuple(path)


def _enter(place: object, part: str | int, empty: object) -> object:
    found: object = None
    if isinstance(place, dict):
        found = place.get(str(part))
    elif isinstance(place, list) and isinstance(part, int) and part < len(place):
        found = place[part]
    if isinstance(found, type(empty)):
        return found
    _put(place, part, empty)
    return empty


def _put(place: object, part: str | int, value: object) -> None:
    if isinstance(place, dict):
        place[str(part)] = value
    elif isinstance(place, list) and isinstance(part, int):
        place[part : part + 1] = [value]  # an index beyond the end appends
