import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TextIO

import pytest
import yaml

from consumer.cli import commands as cli
from consumer.config import Config
from consumer.demo import DemoOptions
from consumer.errors import InputError

ROOT = Path(__file__).parents[2]
SINK = "metrics_generator.storage.remote_write.0.url=http://localhost:9/x"


class Ran:
    """What a run of the command line left behind."""

    def __init__(self, code: object, output: str, errors: str) -> None:
        self.code = code
        self.output = output
        self.errors = errors.splitlines()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Runner":
    return Runner(monkeypatch, capsys)


class Runner:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        for name in list(os.environ):
            if name.startswith("SPANMILL_"):
                monkeypatch.delenv(name)
        monkeypatch.setattr(cli, "_start_logging", lambda _config: None)

    def __call__(self, *arguments: str) -> Ran:
        self._monkeypatch.setattr(sys, "argv", ["spanmill", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = self._capsys.readouterr()
        return Ran(ended.value.code or 0, captured.out, captured.err)

    def module(self, name: str, **members: object) -> None:
        """Put a module in the place of one that a command imports when it runs."""
        module = ModuleType(name)
        vars(module).update(members)
        self._monkeypatch.setitem(sys.modules, name, module)


def write(folder: Path, text: str) -> str:
    file = folder / "spanmill.yaml"
    file.write_text(text)
    return str(file)


def test_a_good_configuration_is_said_to_be_good(run: Runner, tmp_path: Path) -> None:
    ran = run("check-config", "--config", write(tmp_path, "kafka: {topic: a}"), "--set", SINK)
    assert (ran.code, ran.output, ran.errors) == (0, "the configuration is good\n", [])


def test_every_problem_of_a_configuration_is_a_line(run: Runner, tmp_path: Path) -> None:
    file = write(tmp_path, "kafka: {topik: a, poll_timeout: soon}")
    ran = run("check-config", "--config", file, "--set", "server.port=x")
    assert (ran.code, ran.output) == (2, "")
    assert ran.errors == [
        "kafka.poll_timeout: found 'soon', expected a duration such as 15s, 1m30s or 500ms",
        "kafka.topik: unknown key; did you mean topic?",
        "server.port: found 'x', expected a whole number (set by --set server.port)",
    ]


def test_what_has_no_effect_is_told_and_is_no_problem(run: Runner, tmp_path: Path) -> None:
    file = write(tmp_path, "metrics_generator: {ring_mode: partition}")
    ran = run("check-config", "-c", file, "--set", SINK)
    assert ran.code == 0
    [line] = ran.errors
    assert line.startswith("metrics_generator.ring_mode: no effect: ")


def test_a_missing_endpoint_is_told_since_a_worker_would_refuse_it(run: Runner) -> None:
    ran = run("check-config")
    assert ran.code == 0
    [line] = ran.errors
    assert line.startswith("metrics_generator.storage.remote_write: expected at least one entry")


def test_the_file_of_overrides_is_checked_too(run: Runner, tmp_path: Path) -> None:
    overrides = tmp_path / "tenants.yaml"
    file = write(tmp_path, f"overrides: {{per_tenant_override_config: '{overrides}'}}")
    ran = run("check-config", "-c", file, "--set", SINK)
    assert ran.code == 2
    assert ran.errors == [f"{overrides}: cannot read the configuration: No such file or directory"]
    overrides.write_text("overrides: {acme: {metrics_generator: {processor: {span_metric: {}}}}}")
    ran = run("check-config", "-c", file, "--set", SINK)
    path = "overrides.acme.metrics_generator.processor"
    assert ran.errors == [f"{path}.span_metric: unknown key; did you mean span_metrics?"]
    overrides.write_text("overrides: {acme: {metrics_generator: {ring_size: 3}}}")
    ran = run("check-config", "-c", file, "--set", SINK)
    assert ran.code == 0
    [line] = ran.errors
    assert line.startswith("overrides.acme.metrics_generator.ring_size: no effect: ")


def test_the_configuration_in_force_can_be_printed(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANMILL_KAFKA__CLIENT__SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("SPANMILL_KAFKA__TOPIC", "spans")
    ran = run("check-config", "--print", "--set", SINK)
    shown = yaml.safe_load(ran.output)
    assert shown["kafka"]["topic"] == "spans"
    assert shown["kafka"]["client"] == {"sasl.password": "**********"}


def test_a_missing_file_is_one_line(run: Runner) -> None:
    ran = run("check-config", "--config", "/absent.yaml")
    assert ran.code == 2
    assert ran.errors == ["/absent.yaml: cannot read the configuration: No such file or directory"]


def test_the_version_is_told(run: Runner) -> None:
    ran = run("version")
    assert ran.code == 0
    assert ran.output.startswith("spanmill ")


@pytest.mark.parametrize("arguments", [["frobnicate"], ["worker", "--frobnicate"], ["preview"]])
def test_a_wrong_command_line_exits_2(run: Runner, arguments: Sequence[str]) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.errors[-1].startswith("Error: ")


def test_a_worker_without_an_endpoint_does_not_start(run: Runner) -> None:
    run.module("consumer.assembly", run_worker=pytest.fail)
    ran = run("worker")
    assert ran.code == 2
    assert ran.errors[0].startswith("metrics_generator.storage.remote_write: ")


@pytest.mark.parametrize("code", [0, 1])
def test_the_workers_exit_code_is_that_of_the_program(run: Runner, code: int) -> None:
    topics = []

    def run_worker(config: Config) -> int:
        topics.append(config.kafka.topic)
        return code

    run.module("consumer.assembly", run_worker=run_worker)
    assert run("worker", "--set", SINK, "--set", "kafka.topic=t").code == code
    assert topics == ["t"]


def test_the_distributor_listens_where_it_is_told(run: Runner) -> None:
    ports = []

    def run_distributor(_config: Config, *, port: int) -> int:
        ports.append(port)
        return 0

    run.module("consumer.distributor", run_distributor=run_distributor)
    assert run("distributor").code == 0
    assert run("distributor", "--port", "0").code == 0
    assert ports == [4318, 0]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], DemoOptions()),
        (["--duration", "20"], DemoOptions(duration_s=20)),
        (
            ["--rate", "50", "--otlp-port", "0", "--page-port", "8080", "--plain"],
            DemoOptions(rate=50, otlp_port=0, page_port=8080, plain=True),
        ),
    ],
)
def test_the_demo_does_as_the_options_say(
    run: Runner, arguments: Sequence[str], options: DemoOptions
) -> None:
    given = []

    def run_demo(options: DemoOptions) -> int:
        given.append(options)
        return 1

    run.module("consumer.demo", run_demo=run_demo, DemoOptions=DemoOptions)
    assert run("demo", *arguments).code == 1
    assert given == [options]


def test_preview_gets_its_inputs_and_options(run: Runner) -> None:
    calls: list[Mapping[str, object]] = []

    def run_preview(
        _config: Config,
        inputs: Sequence[Path],
        *,
        encoding: str | None,
        keep_pending: bool,
        output: TextIO,
    ) -> None:
        calls.append({"inputs": inputs, "encoding": encoding, "keep_pending": keep_pending})
        output.write("a line\n")

    run.module("consumer.files.preview", run_preview=run_preview)
    assert run("preview", "a", "b").output == "a line\n"
    assert run("preview", "--encoding", "tempo", "--keep-pending", "a").code == 0
    assert calls == [
        {"inputs": [Path("a"), Path("b")], "encoding": None, "keep_pending": False},
        {"inputs": [Path("a")], "encoding": "tempo", "keep_pending": True},
    ]


def test_preview_knows_three_encodings(run: Runner) -> None:
    run.module("consumer.files.preview", run_preview=pytest.fail)
    ran = run("preview", "--encoding", "xml", "a")
    assert ran.code == 2
    assert "expected one of otlp_proto, otlp_json, tempo" in ran.errors[-1]


def test_explain_tells_a_trace_as_json_or_in_words(run: Runner, tmp_path: Path) -> None:
    span = {"traceId": "ab" * 16, "spanId": "cd" * 8, "name": "GET /", "kind": 2}
    batch = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    file = tmp_path / "spans.json"
    file.write_text(json.dumps(batch))
    ran = run("explain", "--json", "--trace", "ab" * 16, str(file))
    assert (ran.code, json.loads(ran.output)["span_id"]) == (0, "cd" * 8)
    assert "'GET /': server, no service.name" in run("explain", str(file)).output


def test_forecast_counts_series_in_tables_or_as_json(run: Runner, tmp_path: Path) -> None:
    span = {"traceId": "ab" * 16, "spanId": "cd" * 8, "name": "GET /", "kind": 2}
    file = tmp_path / "spans.json"
    file.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
    ran = run("forecast", "--json", str(file))
    assert (ran.code, json.loads(ran.output)["spans"]) == (0, 1)
    assert "tenant acme: 19 series of 1 spans" in (
        run("forecast", "--set", "kafka.default_tenant=acme", "--top", "3", str(file)).output
    )


@pytest.mark.parametrize("command", ["explain", "forecast", "preview"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        (b"", "the file is empty"),
        (b"\0\0\0\x09ab", "the record at byte 0 says that it has 9 bytes, but 2 follow"),
        (b'{"resourceSpans": 1}', "no record can be decoded; record 0: malformed_json"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    run: Runner, tmp_path: Path, command: str, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "spans.otlp"
    if content is not None:
        file.write_bytes(content)
    ran = run(command, str(file))
    assert (ran.code, ran.output) == (2, "")
    [line] = ran.errors
    assert line.startswith(f"{file}: {problem}")


def test_a_users_mistake_is_one_line_without_a_traceback(run: Runner) -> None:
    def run_preview(*_arguments: object, **_options: object) -> None:
        raise InputError("a.otlp: no such file")

    run.module("consumer.files.preview", run_preview=run_preview)
    ran = run("preview", "a.otlp")
    assert (ran.code, ran.errors) == (2, ["a.otlp: no such file"])


def test_an_error_of_the_program_is_not_swallowed(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_worker(_config: Config) -> int:
        raise ZeroDivisionError

    run.module("consumer.assembly", run_worker=run_worker)
    monkeypatch.setattr(sys, "argv", ["spanmill", "worker", "--set", SINK])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_an_interrupt_exits_130(run: Runner) -> None:
    def run_worker(_config: Config) -> int:
        raise KeyboardInterrupt

    run.module("consumer.assembly", run_worker=run_worker)
    ran = run("worker", "--set", SINK)
    assert (ran.code, ran.errors) == (130, [])


def test_the_package_is_the_same_program() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "consumer", "version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("spanmill ")


def test_control_c_ends_a_process_without_a_traceback(tmp_path: Path) -> None:
    pipe = tmp_path / "never-written.yaml"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "consumer", "check-config", "--config", str(pipe)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Opening the pipe for writing waits until the process has opened it for reading.
    with pipe.open("w"):
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


def test_starting_does_not_import_what_a_command_does_not_need() -> None:
    text = "import sys, consumer.cli; print(*(m for m in sys.modules if m in sys.argv[1:]))"
    heavy = ["numpy", "pydantic", "confluent_kafka", "starlette", "google.protobuf"]
    ran = subprocess.run(
        [sys.executable, "-c", text, *heavy],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.strip() == ""
