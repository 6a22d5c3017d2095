"""The demo's worker: ``spanmill worker`` in a process of its own, as in production.

It gets its own process group, so that Ctrl-C reaches the demo alone, which then ends it
in order. Bound: after ``STOP_TIMEOUT_S`` it is killed.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import urllib3
import yaml
from prometheus_client.parser import text_string_to_metric_families

STOP_TIMEOUT_S = 20.0
SHUTDOWN_TIMEOUT = "15s"
COLLECTION_INTERVAL = "2s"
HTTP_TIMEOUT_S = 2.0
LOG_TAIL_LINES = 30

SPANS_METRIC = "spanmill_spans_received_total"
LAG_METRIC = "spanmill_partition_lag_records"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the worker talks to."""

    bootstrap_servers: str
    topic: str
    dead_letter_topic: str
    remote_write_url: str
    port: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What the worker says about itself."""

    spans: int
    lag_records: int


def config_text(surroundings: Surroundings) -> str:
    """Write the worker's configuration: everything at its default but the addresses and ticks."""
    return yaml.safe_dump(
        {
            "kafka": {
                "bootstrap_servers": surroundings.bootstrap_servers,
                "topic": surroundings.topic,
                "encoding": "otlp_proto",
                "group_instance_id": "",
                "dead_letter_topic": surroundings.dead_letter_topic,
                "poll_timeout": "100ms",
            },
            "server": {
                "host": "127.0.0.1",
                "port": surroundings.port,
                "log_format": "text",
                "shutdown_timeout": SHUTDOWN_TIMEOUT,
            },
            "metrics_generator": {
                "registry": {"collection_interval": COLLECTION_INTERVAL},
                "storage": {"remote_write": [{"url": surroundings.remote_write_url}]},
            },
        },
        sort_keys=False,
    )


def worker_command(config_file: Path) -> list[str]:
    """Return the command that runs the worker with this very Python."""
    return [sys.executable, "-m", "consumer", "worker", "--config", str(config_file)]


class WorkerProcess:
    """``with`` starts it and, however the block ends, ends it."""

    def __init__(self, command: Sequence[str], log_file: Path, port: int) -> None:
        self._command = command
        self._log_file = log_file
        self._url = f"http://127.0.0.1:{port}"
        self._http = urllib3.PoolManager(timeout=HTTP_TIMEOUT_S, retries=False)
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._log = self._log_file.open("wb")
        self._process = subprocess.Popen(  # noqa: S603  our own program
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
        self._http.clear()
        if self._log is not None:
            self._log.close()

    @property
    def page(self) -> str:
        """The address of its page."""
        return f"{self._url}/"

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> int | None:
        """Ask it to end and wait; kill it when it does not. Return its exit code."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()

    def ready(self) -> bool:
        """Whether it has its partitions."""
        return self._get("/ready") is not None

    def progress(self) -> Progress | None:
        """Read its metrics; None when it does not answer."""
        text = self._get("/metrics")
        return None if text is None else parse_progress(text)

    def log_tail(self) -> str:
        """Return the last lines that it logged."""
        with self._log_file.open(errors="replace") as lines:
            return "".join(deque(lines, LOG_TAIL_LINES))

    def _get(self, path: str) -> str | None:
        try:
            response = self._http.request("GET", self._url + path)
        except urllib3.exceptions.HTTPError:
            return None
        return response.data.decode(errors="replace") if response.status == 200 else None


def parse_progress(metrics: str) -> Progress:
    """Sum the spans received and the lag of all partitions out of an exposition."""
    sums = {SPANS_METRIC: 0.0, LAG_METRIC: 0.0}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name in sums:
                sums[sample.name] += sample.value
    return Progress(int(sums[SPANS_METRIC]), int(sums[LAG_METRIC]))
