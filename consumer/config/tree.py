"""YAML text as a tree of plain values: keys are text, ``${VAR}`` is expanded.

The scalars are those of YAML 1.2's core schema, and ``yes``/``no``/``on``/``off``/``y``/``n``
as Go programs take them (the letters not where text belongs); there are no dates and no
numbers to base 60. Bound: a file of more
than ``MAX_NODES`` values, aliases counted each time, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml
from pydantic import BaseModel
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from consumer.config import shape
from consumer.errors import ConfigError, Problem

MAX_NODES = 100_000
IGNORED_KEYS = ("golden",)
IGNORED_PREFIX = "x-"

_VARIABLE = re.compile(r"(?P<escaped>\$\$\{)|\$\{(?P<name>[A-Za-z_]\w*)(?P<default>:[^}]*)?\}")
_INT = re.compile(r"[-+]?\d+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?")
_WORDS: Mapping[str, object] = {
    "": None,
    "~": None,
    "null": None,
    **dict.fromkeys(("true", "yes", "on", "y"), True),
    **dict.fromkeys(("false", "no", "off", "n"), False),
    ".inf": float("inf"),
    "+.inf": float("inf"),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
}
_PREFIX = "tag:yaml.org,2002:"
_KINDS = ("null", "bool", "int", "float", "timestamp", "value", "merge", "str", "map", "seq")
_TAGS = {_PREFIX + kind for kind in _KINDS}


def read_tree(
    text: str,
    root: type[BaseModel],
    *,
    source: str,
    environ: Mapping[str, str],
    problems: list[Problem],
) -> dict[str, object]:
    """The tree of a file that ``root`` describes; adds to ``problems`` what is wrong in it.

    Raises :class:`ConfigError` when the text is no YAML at all.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError([Problem(source, _syntax(error))]) from error
    if node is None or (isinstance(node, ScalarNode) and _scalar(node.value) is None):
        return {}
    if not isinstance(node, MappingNode):
        raise ConfigError([Problem(source, "expected keys such as kafka: at the top")])
    return _Reader(root, environ, problems).top(node)


def reread(text: str) -> object:
    """What ``text`` means where it stands in a file; text that is no YAML stays text."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return text
    if node is None or isinstance(node, ScalarNode):
        quoted = node is not None and node.style is not None
        return node.value if node is not None and quoted else _scalar(text)
    return _Reader(BaseModel, {}, []).value(node, ())


def _scalar(text: str) -> object:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _syntax(error: yaml.YAMLError) -> str:
    """The place and kind of a mistake, without the text around it, which may be secret."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "no valid YAML"
    mark = error.problem_mark
    return f"no valid YAML at line {mark.line + 1}, column {mark.column + 1}: {error.problem}"


class _Reader:
    """Turns nodes into values; holds what is the same all over one file."""

    def __init__(
        self, root: type[BaseModel], environ: Mapping[str, str], problems: list[Problem]
    ) -> None:
        self._root = root
        self._environ = environ
        self._problems = problems
        self._nodes = 0
        self._open: set[int] = set()

    def top(self, node: MappingNode) -> dict[str, object]:
        node.value = [
            (key, value)
            for key, value in node.value
            if not (
                isinstance(key, ScalarNode)
                and (key.value in IGNORED_KEYS or key.value.startswith(IGNORED_PREFIX))
            )
        ]
        return self._mapping(node, ())

    def value(self, node: Node, path: shape.Path) -> object:
        self._nodes += 1
        if self._nodes > MAX_NODES or id(node) in self._open:
            what = "too many values" if self._nodes > MAX_NODES else "an alias of itself"
            raise ConfigError([Problem(shape.render(path) or "(top)", f"found {what}")])
        if node.tag not in _TAGS:
            self._add(path, f"found the tag {node.tag}, which is not known here", node)
        if isinstance(node, ScalarNode):
            return self._text(node, path)
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            assert isinstance(node, SequenceNode)
            return [self.value(member, (*path, i)) for i, member in enumerate(node.value)]
        finally:
            self._open.remove(id(node))

    def _mapping(self, node: MappingNode, path: shape.Path) -> dict[str, object]:
        return {key: self.value(value, (*path, key)) for key, value in self._pairs(node, path)}

    def _pairs(self, node: MappingNode, path: shape.Path) -> list[tuple[str, Node]]:
        """Keys and values; those of merged mappings (``<<``) after and below its own."""
        pairs: dict[str, Node] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if key.tag == _PREFIX + "merge":
                merged += value.value if isinstance(value, SequenceNode) else [value]
            elif not isinstance(key, ScalarNode):
                self._add(path, "found a key that is no text", key)
            elif key.value in pairs:
                self._add((*path, key.value), "the key is given twice", key)
            else:
                pairs[key.value] = value
        for source in merged:
            if not isinstance(source, MappingNode) or id(source) in self._open:
                self._add((*path, "<<"), "expected an alias of a block", source)
                continue
            for name, value in self._pairs(source, path):
                pairs.setdefault(name, value)
        return list(pairs.items())

    def _text(self, node: ScalarNode, path: shape.Path) -> object:
        text = self.expand(node.value, path)
        plain = node.style is None
        is_text = shape.wants_text(shape.at(self._root, path))
        if is_text and (text != node.value or text.lower() in ("y", "n")):
            return text
        whole = _VARIABLE.fullmatch(node.value)
        if whole and not whole["escaped"]:
            return reread(text)
        return _scalar(text) if plain else text

    def expand(self, text: str, path: shape.Path) -> str:
        def replacement(match: re.Match[str]) -> str:
            if match["escaped"]:
                return "${"
            value = self._environ.get(match["name"], "")
            if value or (match["default"] is None and match["name"] in self._environ):
                return value
            if match["default"] is None:
                name = match["name"]
                text = f"the variable {name} is not set; set it or write ${{{name}:default}}"
                self._problems.append(Problem(shape.render(path), text))
                return ""
            return match["default"][1:].removeprefix("-")

        return _VARIABLE.sub(replacement, text)

    def _add(self, path: shape.Path, text: str, node: Node) -> None:
        where = f" (line {node.start_mark.line + 1})" if node.start_mark else ""
        self._problems.append(Problem(shape.render(path) or "(top)", text + where))
