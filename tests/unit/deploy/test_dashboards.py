"""The dashboards in deploy/grafana: well-formed, and about metrics and labels that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from consumer.telemetry.metrics import Metrics
from tests.support.promql import check_syntax, labels_of, metrics_of
from tests.unit.deploy.conftest import DEPLOY, OF_HISTOGRAMS, OF_THE_TARGET

FILES = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")

NOT_SHOWN = {"spanmill_remote_write_shards_min"}
"""What says nothing that the configuration does not."""

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def read(file: Path) -> dict[str, Any]:
    board: dict[str, Any] = json.loads(file.read_text())
    return board


def queries(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where each query stands, and the query with Grafana's own variables filled in."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            text = re.sub(r"\$__(rate_interval|range|interval)\b", "5m", target["expr"])
            yield f"{panel['title']} {target['refId']}", text
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], LABEL_VALUES.fullmatch(variable["definition"])["selector"]  # type: ignore[index]


def test_there_are_three_dashboards() -> None:
    assert [file.stem for file in FILES] == ["red", "service-map", "workers"]


@each_file
def test_a_dashboard_names_metrics_and_labels_that_there_are(
    file: Path, own_metrics: dict[str, set[str]], product_metrics: dict[str, set[str]]
) -> None:
    known = own_metrics if file.stem == "workers" else product_metrics
    for where, expression in queries(read(file)):
        named = metrics_of(expression)
        assert named, where
        assert named - set(known) == set(), where
        labels = OF_THE_TARGET.union(*(known[name] for name in named))
        assert labels_of(expression) - labels == set(), where


@each_file
def test_a_legend_uses_labels_that_its_query_keeps(file: Path) -> None:
    for panel in read(file)["panels"]:
        for target in panel.get("targets", []):
            used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = labels_of(target["expr"])
            assert used <= kept, (panel["title"], target["legendFormat"])


@each_file
def test_every_variable_that_is_used_is_defined(file: Path) -> None:
    board = read(file)
    used = set(re.findall(r"\$\{?(?!__)([a-z]\w+)", json.dumps(board, ensure_ascii=False)))
    assert used - {each["name"] for each in board["templating"]["list"]} == set()


@each_file
def test_promtool_parses_every_query(
    file: Path, tmp_path: Path, use_promtool: Callable[..., str]
) -> None:
    use_promtool("--version", folder=tmp_path)
    check_syntax(dict(queries(read(file))), tmp_path)


@each_file
def test_panels_have_ids_of_their_own_and_do_not_overlap(file: Path) -> None:
    panels = read(file)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@each_file
def test_every_panel_takes_the_data_source_of_the_dashboard(file: Path) -> None:
    board = read(file)
    sources = [panel["datasource"] for panel in board["panels"] if panel["type"] != "row"]
    assert {source["uid"] for source in sources} == {"${datasource}"}


def test_dashboards_have_uids_of_their_own_that_links_can_rely_on() -> None:
    uids = [read(file)["uid"] for file in FILES]
    assert uids == ["spanmill-red", "spanmill-service-map", "spanmill-workers"]


def test_the_operators_dashboard_shows_every_metric_of_the_worker() -> None:
    shown = {name for _, text in queries(read(FILES[-1])) for name in metrics_of(text)}
    names = [each.name for each in Metrics(CollectorRegistry()).descriptions]
    endings = ("", *OF_HISTOGRAMS)
    missing = {name for name in names if not any(name + ending in shown for ending in endings)}
    assert missing == NOT_SHOWN
