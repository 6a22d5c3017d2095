"""Prometheus' relabelling, on columns: a rule runs once per distinct value, not per sample.

A label is one text for all rows of a block, or a column of codes. A rule looks at the
distinct combinations of its source labels in the block, decides for each, and its decision
is spread over the rows. Expressions are RE2, anchored on both sides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import re2
from numpy.typing import NDArray

from consumer.remote_write.series import SeriesBlock

Codes = NDArray[np.uint32]
Rows = NDArray[np.intp]

ACTIONS = (
    *("replace", "keep", "drop", "hashmod", "labelmap", "labeldrop", "labelkeep"),
    *("lowercase", "uppercase", "keepequal", "dropequal"),
)

_NAME = "__name__"
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``write_relabel_configs``; defaults are Prometheus'."""

    action: str = "replace"
    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    regex: str = "(.*)"
    modulus: int = 0
    target_label: str = ""
    replacement: str = "$1"

    def __post_init__(self) -> None:
        assert self.action in ACTIONS


class Relabeller:
    """Applies rules in order. One tick of a tenant: see :meth:`apply`. Safe for threads."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._steps = [_Step(rule) for rule in rules]

    def apply(
        self, blocks: Iterable[SeriesBlock], dropped: Callable[[int], None]
    ) -> Iterator[SeriesBlock]:
        """The blocks as the rules have them; ``dropped`` is told of series left out.

        What rules make of a text is kept for the blocks of this call only.
        """
        if not self._steps:
            yield from blocks
            return
        texts: dict[int, _Texts] = {}
        known: dict[_Step, dict[str, Any]] = {step: {} for step in self._steps}
        for block in blocks:
            shared = texts.setdefault(id(block.strings), _Texts(block.strings))
            table = _Table(block, shared)
            for step in self._steps:
                step.run(table, known[step])
            if len(table) < len(block):
                dropped(len(block) - len(table))
            yield from table.blocks()


class _Texts(Sequence[str]):
    """The strings of a block, and those that rules add; keeps the block's own alive."""

    def __init__(self, given: Sequence[str]) -> None:
        self._given = given
        self._base = len(given)
        self._added: list[str] = []
        self._codes: dict[str, int] = {}

    def __len__(self) -> int:
        return self._base + len(self._added)

    def __getitem__(self, code: Any) -> Any:  # noqa: ANN401 - never sliced
        return self._given[code] if code < self._base else self._added[code - self._base]

    def code(self, text: str) -> int:
        """The code of a text, added if need be."""
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self)
            self._added.append(text)
        return code


class _Table:
    """The labels of a block: a text for all rows, or codes (uint32[n])."""

    def __init__(self, block: SeriesBlock, texts: _Texts) -> None:
        self._block = block
        self.texts = texts
        self.rows: Rows = np.arange(len(block))
        self.labels: dict[str, str | Codes] = {
            name: block.labels[:, column] for column, name in enumerate(block.label_names)
        }
        self.labels |= dict(block.constant_labels) | {_NAME: block.name}

    def __len__(self) -> int:
        return len(self.rows)

    def distinct(self, names: Sequence[str]) -> tuple[list[tuple[str, ...]], Rows]:
        """Each combination of texts of ``names`` once, and which one each row has."""
        found = [self.labels.get(name, "") for name in names]
        columns = [label for label in found if not isinstance(label, str)]
        if not columns:
            return [tuple(map(str, found))], np.zeros(len(self), np.intp)
        firsts, inverse = _distinct(columns)
        unique = np.column_stack([column[firsts] for column in columns])
        combinations = []
        for row in unique.tolist():
            texts = iter([self.texts[code] for code in row])
            combinations.append(
                tuple(label if isinstance(label, str) else next(texts) for label in found)
            )
        return combinations, inverse

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Leave out the rows that are not ``kept``."""
        if kept.all():
            return
        self.rows = self.rows[kept]
        for name, label in self.labels.items():
            if not isinstance(label, str):
                self.labels[name] = label[kept]

    def put(self, name: str, texts: Sequence[str | None], which: Rows) -> None:
        """Set ``name`` to the text of each row's combination; None leaves it as it is."""
        if len(texts) == 1:
            if texts[0] is not None:
                self.labels[name] = texts[0]
            return
        old = self.labels.get(name, "")
        codes = np.array([0 if text is None else self.texts.code(text) for text in texts])
        column = codes[which].astype(np.uint32)
        unset = np.array([text is None for text in texts])[which]
        if unset.any():
            before = np.uint32(self.texts.code(old)) if isinstance(old, str) else old
            column = np.where(unset, before, column)
        self.labels[name] = column

    def blocks(self) -> Iterator[SeriesBlock]:
        """What is left: one block, or several if the names differ."""
        if not len(self):
            return
        name = self.labels.pop(_NAME, "")
        if isinstance(name, str):
            yield self._made(name, np.arange(len(self)))
            return
        for code in np.unique(name).tolist():
            yield self._made(self.texts[code], np.flatnonzero(name == code))

    def _made(self, name: str, rows: Rows) -> SeriesBlock:
        columns = {key: label for key, label in self.labels.items() if not isinstance(label, str)}
        constant = [(key, label) for key, label in self.labels.items() if isinstance(label, str)]
        codes = [column[rows] for column in columns.values()]
        return replace(
            self._block.cut(self.rows[rows]),
            name=name,
            constant_labels=tuple(sorted(constant)),
            label_names=tuple(columns),
            labels=np.column_stack(codes) if codes else np.empty((len(rows), 0), np.uint32),
            strings=self.texts,
        )


def _distinct(columns: Sequence[Codes]) -> tuple[Rows, Rows]:
    """A row of each combination of codes, and which combination each row has."""
    inverse = np.zeros(len(columns[0]), np.int64)
    firsts = np.zeros(1, np.intp)
    for column in columns:
        # Both are below 2**32: the first counts rows, the second is a code.
        keys = inverse << 32 | column
        _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return firsts, inverse


class _Step:
    """A rule, ready to run."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._regex = compile_regex(rule.regex)
        self.run: Callable[[_Table, dict[str, Any]], None] = {
            "keep": self._filter,
            "drop": self._filter,
            "keepequal": self._filter_equal,
            "dropequal": self._filter_equal,
            "replace": self._replace,
            "hashmod": self._transform,
            "lowercase": self._transform,
            "uppercase": self._transform,
            "labelmap": self._map_labels,
            "labeldrop": self._choose_labels,
            "labelkeep": self._choose_labels,
        }[rule.action]

    def _source(self, table: _Table) -> tuple[list[str], Rows]:
        combinations, which = table.distinct(self._rule.source_labels)
        return [self._rule.separator.join(texts) for texts in combinations], which

    def _match(self, text: str) -> Any:  # noqa: ANN401 - re2 has no types
        try:
            return self._regex.fullmatch(text)
        except UnicodeEncodeError:  # not to be sent anyway, and told so by the encoder
            return None

    def _filter(self, table: _Table, known: dict[str, Any]) -> None:
        values, which = self._source(table)
        keeps = self._rule.action == "keep"
        for value in values:
            if value not in known:
                known[value] = (self._match(value) is not None) is keeps
        kept = [known[value] for value in values]
        table.keep(np.array(kept)[which])

    def _filter_equal(self, table: _Table, _known: dict[str, Any]) -> None:
        rule = self._rule
        combinations, which = table.distinct((*rule.source_labels, rule.target_label))
        keeps = rule.action == "keepequal"
        kept = [(rule.separator.join(texts[:-1]) == texts[-1]) is keeps for texts in combinations]
        table.keep(np.array(kept)[which])

    def _transform(self, table: _Table, _known: dict[str, Any]) -> None:
        values, which = self._source(table)
        table.put(self._rule.target_label, list(map(self._transformed, values)), which)

    def _transformed(self, value: str) -> str:
        if self._rule.action == "lowercase":
            return value.lower()
        if self._rule.action == "uppercase":
            return value.upper()
        digest = hashlib.md5(value.encode(errors="replace"), usedforsecurity=False).digest()
        return str(int.from_bytes(digest[8:]) % self._rule.modulus)

    def _replace(self, table: _Table, known: dict[str, Any]) -> None:
        values, which = self._source(table)
        targets: dict[str, list[str | None]] = {}
        for index, value in enumerate(values):
            if value not in known:
                known[value] = self._replacement(value)
            if known[value] is not None:
                target, text = known[value]
                targets.setdefault(target, [None] * len(values))[index] = text
        for target, texts in targets.items():
            table.put(target, texts, which)

    def _replacement(self, value: str) -> tuple[str, str] | None:
        """Which label becomes what, if any."""
        match = self._match(value)
        if match is None:
            return None
        target = expand(self._rule.target_label, match)
        if not _LABEL_NAME.fullmatch(target):
            return None
        return target, expand(self._rule.replacement, match)

    def _map_labels(self, table: _Table, _known: dict[str, Any]) -> None:
        found = {}
        for name, label in table.labels.items():
            match = self._match(name)
            if match is not None:
                found[expand(self._rule.replacement, match)] = label
        table.labels |= found

    def _choose_labels(self, table: _Table, _known: dict[str, Any]) -> None:
        keeps = self._rule.action == "labelkeep"
        table.labels = {
            name: label
            for name, label in table.labels.items()
            if (self._match(name) is not None) is keeps
        }


def compile_regex(pattern: str) -> Any:  # noqa: ANN401 - re2 has no types
    """``pattern`` as Prometheus reads it: ``.`` is any sign. Raises ``re2.error``."""
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    return re2.compile(f"(?:{pattern})", options)


def expand(template: str, match: Any) -> str:  # noqa: ANN401 - re2 has no types
    """``$1``, ``${1}``, ``$name`` and ``$$`` of ``template``; what is not there is empty."""

    def text(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        key = reference[2] or reference[3]
        try:
            return match[int(key) if key.isdecimal() else key] or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(text, template)
