"""What the files of deploy/ say of each other, of the project and of its configuration is true."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from consumer.cli import app
from consumer.config import load_config
from tests.unit.deploy.conftest import DEPLOY, ROOT

COMPOSE = ROOT / "docker-compose.yml"
OVERLAYS = sorted((DEPLOY / "kubernetes" / "overlays").iterdir())
CONFIGURATIONS = [
    *sorted((DEPLOY / "examples").glob("*.yaml")),
    DEPLOY / "compose" / "spanmill.yaml",
]
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def services() -> dict[str, Any]:
    found: dict[str, Any] = read(COMPOSE)["services"]
    return found


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    crate = tomllib.loads((ROOT / "native" / "Cargo.toml").read_text())["package"]
    found = {
        "native/Cargo.toml": crate["version"],
        "extra native": project["optional-dependencies"]["native"][0].partition("==")[2],
    }
    for overlay in OVERLAYS:
        (image,) = read(overlay / "kustomization.yaml")["images"]
        found[overlay.name] = image["newTag"]
    for file in (COMPOSE, DEPLOY / "Dockerfile", ROOT / "docs" / "deployment.md"):
        tags = set(re.findall(r"\bspanmill:(\d[\w.]*)", file.read_text()))
        assert len(tags) == 1, file
        found[file.name] = tags.pop()
    assert set(found.values()) == {VERSION}, found


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.stem)
def test_every_configuration_is_taken_as_it_is(file: Path) -> None:
    loaded = load_config(file, environ={"SPANMILL_KAFKA_PASSWORD": "secret"})
    assert [str(notice) for notice in loaded.notices] == []
    assert loaded.metrics_generator.storage.remote_write
    assert loaded.kafka.dead_letter_topic


def test_the_collector_writes_what_the_worker_reads() -> None:
    exporter = read(DEPLOY / "collector" / "collector.yaml")["exporters"]["kafka"]
    for file in (DEPLOY / "examples" / "collector.yaml", DEPLOY / "compose" / "spanmill.yaml"):
        kafka = load_config(file, environ={}).kafka
        assert exporter["traces"] == {"topic": kafka.topic, "encoding": kafka.encoding}
        assert exporter["include_metadata_keys"] == [kafka.tenant_header.lower()]
    assert exporter["partition_traces_by_id"] is True


def test_the_collector_keeps_the_header_of_the_tenant() -> None:
    config = read(DEPLOY / "collector" / "collector.yaml")
    receivers = config["receivers"]["otlp"]["protocols"].values()
    assert all(each["include_metadata"] for each in receivers)
    exporter = config["exporters"]["kafka"]
    batch = exporter["sending_queue"]["batch"]
    assert batch["partition"]["metadata_keys"] == exporter["include_metadata_keys"]


def test_every_image_has_a_tag_that_stays() -> None:
    images = [each["image"] for each in services().values()]
    images += re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert len(images) > 8
    for image in images:
        assert re.search(r":v?\d+[\w.-]*$", image), image


def test_every_file_that_compose_mounts_is_there() -> None:
    mounts = [mount for each in services().values() for mount in each.get("volumes", [])]
    files = [mount.partition(":")[0] for mount in mounts if mount.startswith(".")]
    assert len(files) > 6
    assert [file for file in files if not (ROOT / file).exists()] == []
    build = services()["topics"]["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).is_file()


def test_what_the_image_is_built_from_is_there_and_let_through() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    sources = {name.removeprefix("./") for names in copies for name in names}
    sources = {name for name in sources if not name.startswith(("/", "--"))}
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sources == set(let_through)
    assert all((ROOT / name).exists() for name in sources)


def test_every_command_that_is_run_exists() -> None:
    group = typer.main.get_command(app)
    known = set(group.list_commands(typer.Context(group)))  # type: ignore[attr-defined]
    used = {each["command"][0] for each in services().values() if "spanmill" in each["image"]}
    for file in (DEPLOY / "kubernetes").rglob("*.yaml"):
        used |= set(re.findall(r"args: \[(\w+)", file.read_text()))
    assert used == {"worker", "topics", "load"}
    assert used <= known


def test_there_are_as_many_partitions_as_workers_at_most() -> None:
    components = DEPLOY / "kubernetes" / "components"
    arguments = read(components / "topics" / "job.yaml")["spec"]["template"]["spec"]["containers"][
        0
    ]["args"]
    scaled = read(components / "autoscaling" / "scaledobject.yaml")["spec"]
    assert int(arguments[-1]) == scaled["maxReplicaCount"]


def test_grafana_finds_its_data_sources_and_dashboards() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    sources = read(provisioning / "datasources" / "spanmill.yaml")["datasources"]
    assert [each["uid"] for each in sources] == ["prometheus", "tempo"]
    (exemplars,) = sources[0]["jsonData"]["exemplarTraceIdDestinations"]
    assert exemplars["datasourceUid"] == "tempo"
    assert sources[1]["jsonData"]["serviceMap"]["datasourceUid"] == "prometheus"
    for source in sources:
        host, port = re.fullmatch(r"http://(\w+):(\d+)", source["url"]).groups()  # type: ignore[union-attr]
        assert host in services()
        assert port in {"9090", "3200"}
    (provider,) = read(provisioning / "dashboards" / "spanmill.yaml")["providers"]
    mounts = services()["grafana"]["volumes"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in mounts


def test_the_dashboards_of_the_cluster_are_those_of_the_folder() -> None:
    generator = read(DEPLOY / "grafana" / "kustomization.yaml")["configMapGenerator"][0]
    folder = DEPLOY / "grafana" / "dashboards"
    assert generator["files"] == [f"dashboards/{file.name}" for file in sorted(folder.iterdir())]
    assert all(json.loads(file.read_text())["title"] for file in folder.iterdir())


def test_the_rule_for_the_operator_is_made_of_the_alerts() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "prometheus_rule.py"))["prometheus_rule"]()
    current = (DEPLOY / "prometheus" / "prometheusrule.yaml").read_text()
    assert current == made, (
        "python scripts/prometheus_rule.py > deploy/prometheus/prometheusrule.yaml"
    )


def test_promtool_takes_the_configuration_of_prometheus(
    tmp_path: Path, use_promtool: Callable[..., str]
) -> None:
    use_promtool(
        *("check", "config", "--syntax-only", str(DEPLOY / "compose" / "prometheus.yaml")),
        folder=tmp_path,
    )


def test_more_workers_are_not_asked_for_while_one_is_paused(
    tmp_path: Path, use_promtool: Callable[..., str]
) -> None:
    """The query of the autoscaler, over four workers: lag counts, a pause keeps the number."""
    file = DEPLOY / "kubernetes" / "components" / "autoscaling" / "scaledobject.yaml"
    trigger = read(file)["spec"]["triggers"][1]["metadata"]
    query, threshold = trigger["query"], int(trigger["threshold"])
    workers = [
        {"series": f'spanmill_build_info{{namespace="spanmill", pod="{n}"}}', "values": "1x9"}
        for n in range(4)
    ]
    behind = {
        "series": 'spanmill_partition_lag_records{namespace="spanmill", partition="0"}',
        "values": "900000x9",
    }
    paused = {
        "series": 'spanmill_paused{namespace="spanmill", pod="2", reason="sink"}',
        "values": "0 0 0 0 0 1 1 1 1 1",
    }

    def at(moment: str, value: int) -> dict[str, object]:
        return {
            "expr": query,
            "eval_time": moment,
            "exp_samples": [{"labels": "{}", "value": value}],
        }

    case = {
        "interval": "1m",
        "input_series": [*workers, behind, paused],
        "promql_expr_test": [at("2m", 900_000), at("7m", 4 * threshold)],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump({"tests": [case]}))
    use_promtool("test", "rules", "case.yaml", folder=tmp_path)
