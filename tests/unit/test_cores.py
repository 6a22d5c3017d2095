import math
from pathlib import Path

import pytest

from consumer.cores import usable_cores


@pytest.fixture
def quota(tmp_path: Path) -> Path:
    return tmp_path / "cpu.max"


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", 8),
        ("150000 100000\n", 1.5),
        ("50000 100000\n", 0.5),
        ("1000000 100000\n", 8),
        ("of no known form\n", 8),
        ("", 8),
    ],
)
def test_a_process_may_use_what_its_control_group_allows(
    quota: Path, text: str, cores: float
) -> None:
    quota.write_text(text)
    assert math.isclose(usable_cores(quota), cores)


def test_without_a_control_group_it_may_use_the_cores_it_may_run_on(quota: Path) -> None:
    assert usable_cores(quota) == 8
