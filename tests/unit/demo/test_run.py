from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from consumer.config import load_config
from consumer.config.tenants import settings_by_tenant
from consumer.demo import DemoOptions, run_demo
from consumer.demo.worker_process import (
    Progress,
    Surroundings,
    WorkerProcess,
    config_text,
    parse_progress,
)

STUB = Path(__file__).with_name("stub_worker.py")
ROOT = Path(__file__).parents[3]
OPTIONS = DemoOptions(duration_s=0.8, rate=200, otlp_port=0, plain=True)


def stub(mode: str) -> Callable[[Path], list[str]]:
    return lambda config_file: [sys.executable, str(STUB), mode, str(config_file)]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_it_ends_well_when_metrics_arrived_for_every_tenant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_demo(OPTIONS, stub("good")) == 0
    out = capsys.readouterr().out
    assert "OTLP/HTTP is taken on http://127.0.0.1:" in out
    assert "Look at http://127.0.0.1:" in out
    assert "web GET /" in out
    assert "Metrics arrived for every tenant" in out


def test_it_fails_when_a_tenant_has_no_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_demo(OPTIONS, stub("half")) == 1
    assert "No metrics arrived for: globex" in capsys.readouterr().out


def test_it_shows_the_log_of_a_worker_that_died(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_demo(OPTIONS, stub("dying")) == 1
    out = capsys.readouterr().out
    assert "ended with exit code 7" in out
    assert "stub worker: dying" in out


def test_a_taken_port_is_said_and_costs_only_the_listener(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port: int = holder.getsockname()[1]
        options = DemoOptions(duration_s=0.6, rate=100, otlp_port=port, plain=True)
        assert run_demo(options, stub("good")) == 0
    assert f"port {port} cannot be had" in capsys.readouterr().out


def test_a_worker_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.demo.worker_process.STOP_TIMEOUT_S", 0.2)
    config = tmp_path / "worker.yaml"
    config.write_text("{}")
    ignoring = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); "
    command = [sys.executable, "-c", ignoring + "signal.pause()"]
    with WorkerProcess(command, tmp_path / "log", 1) as worker:
        while "deaf" not in worker.log_tail():
            pass
        assert worker._process is not None
        pid = worker._process.pid
        assert worker.stop() == -9
    assert gone(pid)


def test_the_worker_ends_when_the_block_fails(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    worker = WorkerProcess(command, tmp_path / "log", 1)
    with pytest.raises(LookupError), worker:
        raise LookupError
    assert worker.exit_code == -15


def test_a_worker_that_does_not_listen_is_not_ready(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    worker = WorkerProcess([], tmp_path / "log", port)
    assert not worker.ready()
    assert worker.progress() is None


def test_the_workers_configuration_is_valid(tmp_path: Path) -> None:
    surroundings = Surroundings(
        bootstrap_servers="127.0.0.1:9",
        topic="otlp_spans",
        dead_letter_topic="dead",
        remote_write_url="http://127.0.0.1:9/api/v1/write",
        port=1234,
    )
    file = tmp_path / "worker.yaml"
    file.write_text(config_text(surroundings))
    config = load_config(file, overrides=(), environ={})
    assert settings_by_tenant(config).default.interval_ms == 2000
    assert config.server.port == yaml.safe_load(file.read_text())["server"]["port"] == 1234
    assert config.kafka.dead_letter_topic == "dead"


def test_progress_sums_tenants_and_partitions() -> None:
    exposition = """# TYPE spanmill_spans_received_total counter
spanmill_spans_received_total{tenant="a"} 10.0
spanmill_spans_received_total{tenant="b"} 5.0
# TYPE spanmill_partition_lag_records gauge
spanmill_partition_lag_records{partition="0"} 3.0
spanmill_partition_lag_records{partition="1"} 4.0
"""
    assert parse_progress(exposition) == Progress(spans=15, lag_records=7)
    assert parse_progress("") == Progress(spans=0, lag_records=0)
