"""The alerts in deploy/prometheus: right, tested, about metrics that exist, with a runbook each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.support.promql import labels_of, metrics_of
from tests.unit.deploy.conftest import DEPLOY, OF_THE_TARGET, ROOT

FOLDER = DEPLOY / "prometheus"
RUNBOOKS = ROOT / "docs" / "operations.md"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def cases() -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.test.yaml").read_text())["tests"]
    return tests


def fired(case: dict[str, Any]) -> set[str]:
    samples = [each for asked in case["promql_expr_test"] for each in asked["exp_samples"]]
    return {re.sub(r'.*alertname="(\w+)".*', r"\1", each["labels"]) for each in samples}


each_rule = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])


def test_every_alert_fires_when_it_should_and_only_then(use_promtool: Callable[..., str]) -> None:
    use_promtool("check", "rules", "alerts.yaml", folder=FOLDER)
    use_promtool("test", "rules", "alerts.test.yaml", folder=FOLDER)


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    assert {name for case in cases() for name in fired(case)} == {rule["alert"] for rule in rules()}


def test_nothing_fires_for_a_worker_that_is_well() -> None:
    well = [case for case in cases() if case["name"] == "a worker that is well"]
    assert [fired(case) for case in well] == [set()]


@each_rule
def test_an_alert_names_metrics_and_labels_of_the_worker(
    rule: dict[str, Any], own_metrics: dict[str, set[str]]
) -> None:
    named = metrics_of(rule["expr"])
    assert named
    assert named - set(own_metrics) == set()
    known = OF_THE_TARGET.union(*(own_metrics[name] for name in named))
    assert labels_of(rule["expr"]) - known == set()


@each_rule
def test_the_text_of_an_alert_uses_labels_that_it_has(rule: dict[str, Any]) -> None:
    used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    kept = set(re.findall(r"\w+", " ".join(re.findall(r"\bby\s*\(([^()]*)\)", rule["expr"]))))
    assert used <= kept or not kept


@each_rule
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    page, _, section = rule["annotations"]["runbook"].partition("#")
    assert ROOT / page == RUNBOOKS
    assert section == rule["alert"].lower()


@each_rule
def test_every_runbook_answers_the_same_questions(rule: dict[str, Any]) -> None:
    found = re.search(
        rf"^### {rule['alert']}\n(.*?)(?=^#)",
        RUNBOOKS.read_text() + "\n#",
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"docs/operations.md has no section {rule['alert']}"
    for question in ("**Means.**", "**Look at.**", "**Do.**", "**Ignore it**"):
        assert question in found[1], f"{rule['alert']}: {question}"


def test_there_is_no_runbook_without_an_alert() -> None:
    sections = re.findall(r"^### (Spanmill\w+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in rules()]
