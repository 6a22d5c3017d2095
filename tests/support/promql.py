"""Reads PromQL as far as the tests of deploy/ need it: which metrics and labels it names.

promtool is the judge of the syntax; it has no command that tells the names.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import yaml

PROMTOOL_TIMEOUT_S = 60

_KEYWORDS = {
    *("and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right"),
    *("offset", "bool", "inf", "nan"),
}
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"")
_SELECTOR = re.compile(r"\{([^{}]*)\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_LABEL_CALL = re.compile(r"\blabel_(?:replace|join)\s*\(")
_RANGE = re.compile(r"\[[^\]]*\]|\boffset\s+\w+")
_WORD = re.compile(r"[a-zA-Z_:][\w:]*(?!\w*\s*\()")
_NAME = re.compile(r"__name__\s*=~\s*$")


def metrics_of(expression: str) -> set[str]:
    """The metrics that an expression names, also those of a list in ``__name__=~``."""
    named: set[str] = set()
    for matchers in _SELECTOR.findall(expression):
        for before, string in _matchers(matchers):
            if _NAME.search(before):
                named |= set(string.split("|"))
    bare = _STRING.sub('""', expression)
    for pattern in (_SELECTOR, _GROUPING, _RANGE):
        bare = pattern.sub(" ", bare)
    return named | {word for word in _WORD.findall(bare) if word not in _KEYWORDS}


def labels_of(expression: str) -> set[str]:
    """The labels that an expression selects or groups by, but for those it makes itself."""
    labels: set[str] = set()
    for group in _GROUPING.findall(expression):
        labels |= {name.strip() for name in group.split(",") if name.strip()}
    for matchers in _SELECTOR.findall(expression):
        names = (before.strip(" ,=~!\n") for before, _ in _matchers(matchers))
        labels |= {name for name in names if name}
    return labels - {"__name__"} - _made(expression)


def _made(expression: str) -> set[str]:
    """Labels that ``label_replace`` and ``label_join`` set: what precedes ``"$1"`` or ``" → "``."""
    if not _LABEL_CALL.search(expression):
        return set()
    outside = _SELECTOR.sub(" ", expression)
    return set(re.findall(r",\s*\"(\w+)\"\s*,\s*\"[$ ]", outside))


def _matchers(text: str) -> list[tuple[str, str]]:
    """What stands before each quoted value of a selector, and the value."""
    found, at = [], 0
    for string in _STRING.finditer(text):
        found.append((text[at : string.start()], string.group()[1:-1]))
        at = string.end()
    return found


class PromtoolUnavailableError(Exception):
    """This machine has no promtool; the text says so."""


def promtool(*arguments: str, folder: Path) -> str:
    """What promtool says in ``folder``; raises ``AssertionError`` when it is not content."""
    program = shutil.which("promtool")
    if program is None:
        raise PromtoolUnavailableError("promtool is not installed (it comes with prometheus)")
    ran = subprocess.run(
        [program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PROMTOOL_TIMEOUT_S,
        check=False,
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    return said


def check_syntax(expressions: dict[str, str], folder: Path) -> None:
    """Have promtool parse every expression: as rules, since it parses nothing else."""
    rules = [
        {"record": f"of:{number}", "expr": text, "labels": {"origin": where}}
        for number, (where, text) in enumerate(expressions.items())
    ]
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    promtool("check", "rules", file.name, folder=folder)
