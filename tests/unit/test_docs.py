"""The documentation: links lead somewhere, commands exist, and print what the pages show."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from consumer import cli
from consumer.config.load import load_config

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
OWN_FILE = re.compile(
    r"(?<![\w/.<>:-])((?:consumer|processors|native|tests|deploy|docs|benchmarks)/[\w./*-]*)(?![<{…])"
)
TO_BE_WRITTEN = "processors/slow_spans.py"
"""By who follows the page on processors."""
OWN_METRIC = re.compile(r"\bspanmill_[a-z_]*[a-z](?![a-z_*{]*\*)")
NO_METRICS = {"spanmill_native", "spanmill_shard"}
"""A package and a label."""
_BLOCKS = "kafka|server|exactly_once|record_time|registry|queue_config|service_graphs|span_metrics"
KEY = re.compile(rf"`((?:{_BLOCKS})\.[a-z_]+(?:\.[a-z_]+)*)[`:]")
PROMPTED = re.compile(r"^\$ (.*)$", re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
TARGET = re.compile(r"^(\w[\w-]*):", re.MULTILINE)


def blocks(language: str) -> list[tuple[Path, str]]:
    """(page, text) of all fenced blocks in a language."""
    return [
        (page, text)
        for page in PAGES
        for found, text in FENCE.findall(page.read_text())
        if found == language
    ]


def commands(program: str) -> Iterator[tuple[str, Sequence[str]]]:
    """(page, words after ``program``) of each line of shell that begins with it."""
    shown = [(page, "\n".join(PROMPTED.findall(text))) for page, text in blocks("console")]
    for page, text in blocks("sh") + shown:
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == program:
                end = words.index("|") if "|" in words else len(words)
                yield page.name, words[1:end]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(page.read_text()))
    return {title.strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = {name.rstrip("/.") for name in OWN_FILE.findall(page.read_text())} - {TO_BE_WRITTEN}
    assert sorted(name for name in named if not list(ROOT.glob(name))) == []


def test_every_page_is_in_the_index() -> None:
    linked = {
        (DOCS / link.partition("#")[0]).resolve()
        for link in LINK.findall((DOCS / "README.md").read_text())
    }
    pages = {page.resolve() for page in DOCS.glob("*.md")} - {DOCS / "README.md"}
    assert sorted(page.name for page in pages - linked) == []


def test_commands_in_the_documentation_exist_with_their_options() -> None:
    unknown = []
    for page, words in commands("spanmill"):
        command: Any = typer.main.get_command(cli.app)
        rest = list(words)
        while rest and rest[0] in getattr(command, "commands", ()):
            command = command.commands[rest.pop(0)]
        known = {name for each in command.params for name in each.opts} | {"--help"}
        options = {word.partition("=")[0] for word in rest if word.startswith("-")}
        is_whole = not hasattr(command, "commands") or options == {"--help"}
        if not is_whole or options - known:
            unknown.append(f"{page}: spanmill {' '.join(words)}")
    assert unknown == []


def test_make_targets_in_the_documentation_exist() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text()))
    asked = {
        word for _, words in commands("make") for word in words if re.match(r"[a-z][a-z-]*$", word)
    }
    assert sorted(asked - targets) == []


@pytest.mark.parametrize(
    ("page", "text"), blocks("console"), ids=lambda value: getattr(value, "name", "")
)
def test_what_a_command_prints_is_what_the_page_shows(page: Path, text: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for shown in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = shown.partition("\n")
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env={"PATH": path, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.stdout + ran.stderr == expected, f"{page.name}: {command}"


def test_configurations_in_the_documentation_are_good(tmp_path: Path) -> None:
    ours = [(page, text) for page, text in blocks("yaml") if text.startswith("# spanmill.yaml")]
    assert ours
    for _, text in ours:
        file = tmp_path / "spanmill.yaml"
        file.write_text(text)
        load_config(file, environ={})


def test_yaml_in_the_documentation_is_yaml() -> None:
    for page, text in blocks("yaml"):
        assert list(yaml.safe_load_all(text)), page.name


@pytest.mark.parametrize(
    "page", ["coming-from-connectors.md", "missing-edges.md", "cardinality.md", "first-pipeline.md"]
)
def test_keys_and_metrics_that_a_page_advises_exist(page: str) -> None:
    references = (DOCS / "configuration.md", DOCS / "metrics.md")
    written = (ROOT / "tests" / "golden").glob("*/expected.jsonl")
    sources = (*references, *written, *(ROOT / "processors").rglob("*.py"))
    known = "".join(source.read_text() for source in sources)
    advised = []
    for row in re.findall(r"^\|(.+)\|$", (DOCS / page).read_text(), re.MULTILINE):
        *_, last = row.split(" | ")
        advised += re.findall(r"`\.?([a-z]\w*(?:_\w+|\.\w+)+)[`:{=]", last)
    assert len(advised) > 2
    assert [key for key in advised if key not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_metrics_of_its_own_that_a_page_names_exist(page: Path) -> None:
    known = set(OWN_METRIC.findall((DOCS / "metrics.md").read_text()))
    known |= {f"{name}_bucket" for name in known} | NO_METRICS
    named = set(OWN_METRIC.findall(page.read_text()))
    assert sorted(name for name in named if name not in known) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_keys_that_a_page_names_exist(page: Path) -> None:
    known = (DOCS / "configuration.md").read_text()
    named = set(KEY.findall(page.read_text())) - {"server.address"}  # an attribute
    assert sorted(key for key in named if f"{key}`" not in known and f"{key}[" not in known) == []
