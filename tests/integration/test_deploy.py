"""deploy/ as those read it that it is for: Kubernetes, KEDA, Compose, BuildKit, the Collector.

``tests/validate`` is a program in Go that links their own types and loaders; `make test`
builds it. Nothing is started: what a cluster or an engine would say beyond that is not
known here.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumer.config import load_config
from consumer.config.load import load_tenants

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VALIDATOR = ROOT / "tests" / "validate" / "target" / "validate"
TIMEOUT_S = 60
OVERLAYS = ("at-least-once", "exactly-once")
WORKLOAD = "StatefulSet"
LEAVING_S = 10
"""For leaving the group after the last delivery."""

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def validate(*arguments: str) -> str:
    """What the validator says; raises ``AssertionError`` when something is wrong."""
    if not VALIDATOR.exists():
        reason = "tests/validate is not built (make test does it; it needs Go)"
        if os.environ.get("CI"):
            pytest.fail(f"needed in CI: {reason}")
        pytest.skip(reason)
    command = [str(VALIDATOR), *arguments]
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def manifests(overlay: str) -> list[dict[str, Any]]:
    built = validate("build", str(DEPLOY / "kubernetes" / "overlays" / overlay))
    return list(yaml.safe_load_all(built))


def of_kind(found: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in found if each["kind"] == kind]


def pods(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each["spec"]["template"]["spec"] for each in found if each["kind"] in {WORKLOAD, "Job"}]


def worker(overlay: str) -> dict[str, Any]:
    found = manifests(overlay)
    (workload,) = of_kind(found, WORKLOAD)
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def variables(container: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a pod that is called ``spanmill-0``."""
    return {each["name"]: each.get("value", "spanmill-0") for each in container.get("env", [])}


@each_overlay
def test_kubernetes_decodes_every_manifest_strictly(overlay: str, tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(manifests(overlay)))
    validate("kubernetes", str(file))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("StatefulSet", {"podManagementPolice": "Parallel"}),
        ("ScaledObject", {"maxReplicas": 3}),
        ("PodMonitor", {"podMetricsEndpoint": []}),
        ("NetworkPolicy", {"podSelector": "all"}),
        ("Job", {"backoffLimit": "six"}),
    ],
)
def test_a_mistake_in_a_manifest_is_found(
    kind: str, change: dict[str, Any], tmp_path: Path
) -> None:
    (found,) = of_kind(manifests("at-least-once"), kind)
    found["spec"] |= change
    file = tmp_path / "manifest.yaml"
    file.write_text(yaml.safe_dump(found))
    with pytest.raises(AssertionError, match=next(iter(change))):
        validate("kubernetes", str(file))


@each_overlay
def test_pods_may_do_no_more_than_they_need(overlay: str) -> None:
    for pod in pods(manifests(overlay)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


@each_overlay
def test_what_manifests_refer_to_is_there(overlay: str) -> None:
    found = manifests(overlay)
    names = {
        kind: {each["metadata"]["name"] for each in of_kind(found, kind)}
        for kind in {each["kind"] for each in found}
    }
    for pod in pods(found):
        assert pod["serviceAccountName"] in names["ServiceAccount"]
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in names["ConfigMap"]
            else:
                assert volume["secret"]["optional"] is True
    (scaled,) = of_kind(found, "ScaledObject")
    target = scaled["spec"]["scaleTargetRef"]
    assert target["kind"] == WORKLOAD
    assert target["name"] in names[target["kind"]]
    (workload,) = of_kind(found, WORKLOAD)
    assert "replicas" not in workload["spec"], "the autoscaler decides"
    labels = workload["spec"]["template"]["metadata"]["labels"].items()
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        (each,) = of_kind(found, kind)
        assert each["spec"]["selector"]["matchLabels"].items() <= labels


@each_overlay
def test_the_worker_takes_the_configuration_that_is_mounted(overlay: str, tmp_path: Path) -> None:
    pod = worker(overlay)
    (container,) = pod["containers"]
    maps = {
        each["metadata"]["name"]: each["data"] for each in of_kind(manifests(overlay), "ConfigMap")
    }
    mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    files = {
        f"{mounted[volume['name']]}/{name}": text
        for volume in pod["volumes"]
        if "configMap" in volume
        for name, text in maps[volume["configMap"]["name"]].items()
    }
    text = files[container["args"][-1]]
    overrides = load_config_text(text, tmp_path, {}).overrides.per_tenant_override_config
    local = tmp_path / "overrides.yaml"
    local.write_text(files[str(overrides)])
    text = text.replace(str(overrides), str(local))
    config = load_config_text(text, tmp_path, variables(container))
    load_tenants(config, environ={})
    assert [str(notice) for notice in config.notices] == []
    assert config.processing_guarantee == overlay.replace("-", "_")
    assert config.kafka.group_instance_id == "spanmill-0"
    assert config.server.port == container["ports"][0]["containerPort"]
    least_s = config.server.shutdown_timeout / 1_000 + LEAVING_S
    assert pod["terminationGracePeriodSeconds"] >= least_s


def load_config_text(text: str, folder: Path, environ: Mapping[str, str]) -> Any:
    file = folder / "spanmill.yaml"
    file.write_text(text)
    return load_config(file, environ=environ)


@each_overlay
def test_probes_ask_what_the_worker_answers(overlay: str) -> None:
    (container,) = worker(overlay)["containers"]
    asked = {
        name: container[name]["httpGet"]
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert {name: each["path"] for name, each in asked.items()} == {
        "startupProbe": "/healthz",
        "readinessProbe": "/ready",
        "livenessProbe": "/healthz",
    }
    assert {each["port"] for each in asked.values()} == {container["ports"][0]["name"]}


def test_buildkit_parses_the_dockerfile_and_has_nothing_to_say() -> None:
    validate("dockerfile", "deploy/Dockerfile")


@pytest.mark.parametrize(
    ("was", "becomes"), [("COPY native", "COPPY native"), (" AS environment", " as environment")]
)
def test_a_mistake_in_the_dockerfile_is_found(was: str, becomes: str, tmp_path: Path) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert was in text
    file = tmp_path / "Dockerfile"
    file.write_text(text.replace(was, becomes))
    with pytest.raises(AssertionError):
        validate("dockerfile", str(file))


def test_compose_loads_the_project() -> None:
    validate("compose", "docker-compose.yml")


def test_a_mistake_in_the_project_is_found(tmp_path: Path) -> None:
    project = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    project["services"]["worker"]["depend_on"] = ["kafka"]
    file = tmp_path / "docker-compose.yml"
    file.write_text(yaml.safe_dump(project))
    with pytest.raises(AssertionError, match="depend_on"):
        validate("compose", str(file))


def test_the_collector_can_be_made_of_its_configuration() -> None:
    validate("collector", "deploy/collector/collector.yaml")
    validate("collector", "deploy/collector/collector.yaml", "deploy/collector/with-tempo.yaml")


def test_a_mistake_in_the_configuration_of_the_collector_is_found(tmp_path: Path) -> None:
    text = (DEPLOY / "collector" / "collector.yaml").read_text()
    file = tmp_path / "collector.yaml"
    file.write_text(text.replace("partition_traces_by_id", "partition_traces_by_trace_id"))
    with pytest.raises(AssertionError, match="partition_traces_by_trace_id"):
        validate("collector", str(file))


def shown_collectors() -> list[tuple[str, str]]:
    """Each configuration of a Collector that a page shows, with the name of the page."""
    fence = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [
        (page.name, block)
        for page in sorted((ROOT / "docs").glob("*.md"))
        for block in fence.findall(page.read_text())
        if re.search(r"^receivers:", block, re.MULTILINE)
    ]


@pytest.mark.parametrize(("page", "block"), shown_collectors())
def test_a_collector_can_be_made_of_what_a_page_shows(
    page: str, block: str, tmp_path: Path
) -> None:
    file = tmp_path / f"{page}.yaml"
    file.write_text(block)
    validate("collector", str(file))
