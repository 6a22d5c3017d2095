"""What `make dist` makes, installed where nothing else is: the wheels carry all they need."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "both_default_wide"
LOCK = ROOT / "requirements.lock"
DEVELOPMENT = {"pytest", "ruff", "mypy", "hypothesis", "hatchling", "maturin"}
INSTALL_TIMEOUT_S = 240

pytestmark = pytest.mark.timeout(300)  # the packages come over the network


def output_of(command: Sequence[object], timeout_s: float = 60) -> str:
    ran = subprocess.run(
        [str(each) for each in command],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd=ROOT.parent,  # not the checkout, whose packages would be found before the installed
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the programs of an environment that has the wheels, and nothing else."""
    folder = tmp_path_factory.mktemp("distribution")
    build = ["-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run([sys.executable, *build], cwd=ROOT, check=True, capture_output=True)
    wheels = [*folder.glob("*.whl"), *(Path(sys.prefix) / "native-wheels").glob("*.whl")]
    if len(wheels) < 2:
        reason = "the native extension is not built (make setup)"
        if os.environ.get("CI"):
            pytest.fail(f"needed in CI: {reason}")
        pytest.skip(reason)
    venv.create(folder / "environment", with_pip=True)
    programs = folder / "environment" / "bin"
    pip = [programs / "python", "-m", "pip", "--disable-pip-version-check", "install"]
    output_of([*pip, "--constraint", LOCK, *wheels], INSTALL_TIMEOUT_S)
    return programs


def test_the_version_is_that_of_the_project(installed: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert output_of([installed / "spanmill", "version"]).startswith(f"spanmill {version} ")


def test_a_golden_case_gives_the_same_as_in_the_checkout(installed: Path) -> None:
    case = ["preview", "--config", GOLDEN / "config.yaml", GOLDEN / "input.otlp"]
    series = output_of([installed / "spanmill", *case])
    assert len(series.splitlines()) > 100
    assert series == output_of([Path(sys.prefix) / "bin" / "spanmill", *case])


def test_the_native_decoder_is_used(installed: Path) -> None:
    asked = "from consumer.acceleration import is_native; print(is_native('auto'))"
    assert output_of([installed / "python", "-c", asked]).strip() == "True"


def test_everything_that_a_worker_imports_comes_with_the_wheel(installed: Path) -> None:
    modules = "consumer.assembly, consumer.distributor, consumer.demo, consumer.demo.send"
    output_of([installed / "python", "-c", f"import {modules}"])


def test_nothing_of_development_comes_along(installed: Path) -> None:
    listed = output_of([installed / "python", "-m", "pip", "list", "--format", "freeze"])
    names = {line.partition("==")[0].lower() for line in listed.splitlines()}
    assert "numpy" in names
    assert names & DEVELOPMENT == set()
