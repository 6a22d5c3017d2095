"""What Tempo made of the cases, and where and why ours is different: both by one model.

``tempo.jsonl`` has the service graphs that Tempo made where they are not those expected.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from consumer.config.load import load_config
from consumer.config.tenants import settings_by_tenant
from consumer.files.otlp_files import read_records
from processors.service_graphs import PARTS
from tests.golden.test_golden import FOLDERS, SUM_TOLERANCE, name_of, series
from tests.support.oracle import Oracle
from tests.support.oracle_spans import Differences

Series = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
CASES = [folder for folder in FOLDERS if folder.name.startswith(("sg_", "fuzz_"))]


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_without_any_difference_the_oracle_makes_what_tempo_made(case: Path) -> None:
    kept = case / "tempo.jsonl"
    tempo = graphs_of(kept if kept.exists() else case / "expected.jsonl")
    assert_same(told(case, Differences.none()), tempo)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_with_all_differences_the_oracle_makes_what_is_expected(case: Path) -> None:
    assert_same(told(case, Differences()), graphs_of(case / "expected.jsonl"))


def told(case: Path, rules: Differences) -> Series:
    """What the oracle makes of a case."""
    golden = yaml.safe_load((case / "config.yaml").read_text())["golden"]
    config = load_config(case / "config.yaml", environ={})
    processing = settings_by_tenant(config).default.processing
    parts = processing.parts("service-graphs", sorted(PARTS))
    oracle = Oracle(processing.service_graphs, parts, rules)
    _, values = read_records(case / "input.otlp")
    for index, value in enumerate(values):
        oracle.push(value)
        if index in golden.get("expire_after_records", ()):
            oracle.expire()
    if golden["expire"] == "end":
        oracle.expire()
    return oracle.series


def graphs_of(path: Path) -> Series:
    """The values of service graphs in a file."""
    every = series(path.read_text().splitlines())
    return {
        key: told["value"]
        for key, told in every.items()
        if key[0].startswith("traces_service_graph")
    }


def assert_same(ours: Series, theirs: Series) -> None:
    assert sorted(ours) == sorted(theirs)
    assert [
        (key, ours[key], value)
        for key, value in theirs.items()
        if not math.isclose(ours[key], value, rel_tol=SUM_TOLERANCE)
    ] == []
