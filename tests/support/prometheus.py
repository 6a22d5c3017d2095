"""A real Prometheus for the tests: a remote-write receiver on loopback.

Debian's 2.42 refuses samples that are out of order, or older than an hour before the
newest sample it holds, as most production servers do; ``out_of_order`` lifts that.
It knows no tenants: a test with several starts one server for each.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from tests.support.processes import ChildProcess, answers_ok, free_port

SCRAPE = """\
scrape_configs:
  - job_name: spanmill
    scrape_interval: 1s
    file_sd_configs: [{{files: ["{targets}"]}}]
"""
START_TIMEOUT_S = 30.0
REQUEST_TIMEOUT_S = 10.0


class PrometheusUnavailableError(Exception):
    """This machine cannot run Prometheus; the text says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """One series of an answer. ``values`` are (seconds, value), oldest first."""

    labels: Mapping[str, str]
    values: Sequence[tuple[float, float]]

    @property
    def value(self) -> float:
        """The newest value."""
        return self.values[-1][1]


class Prometheus:
    """A server of our own, started and stopped by the test.

    ``features`` are names for ``--enable-feature``, such as ``native-histograms`` and
    ``exemplar-storage``; ``out_of_order`` is how far back samples may go, such as ``30d``.
    """

    def __init__(
        self, folder: Path, *, features: Sequence[str] = (), out_of_order: str | None = None
    ) -> None:
        program = shutil.which("prometheus")
        if program is None:
            raise PrometheusUnavailableError("Prometheus is not installed (prometheus)")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.remote_write_url = f"{self.url}/api/v1/write"
        window = f"storage:\n  tsdb:\n    out_of_order_time_window: {out_of_order}\n"
        config = folder / "prometheus.yml"
        self._targets = folder / "targets.json"
        config.write_text(SCRAPE.format(targets=self._targets) + (window if out_of_order else ""))
        command = [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            "--storage.tsdb.retention.time=100y",
            "--log.level=warn",
        ]
        if features:
            command.append(f"--enable-feature={','.join(features)}")
        self.process = ChildProcess(command, folder / "prometheus.log")

    def start(self) -> None:
        """Start the server and wait until it takes requests."""
        self.process.start()
        self.process.wait_ready(lambda: answers_ok(f"{self.url}/-/ready"), START_TIMEOUT_S)

    def stop(self) -> None:
        """End the server and wait for it."""
        self.process.stop()

    def scrape(self, *targets: str) -> None:
        """Scrape these, ``host:port`` each, every second from now on, as the job `spanmill`."""
        self._targets.write_text(json.dumps([{"targets": targets}]))

    def query(self, promql: str, time_s: float) -> list[Result]:
        """Evaluate ``promql`` at one moment; a series an element, one value each."""
        found = self._get("query", {"query": promql, "time": str(time_s)})
        if found["resultType"] == "scalar":
            return [Result({}, [_sample(found["result"])])]
        return [Result(each["metric"], [_sample(each["value"])]) for each in found["result"]]

    def query_range(self, promql: str, start_s: float, end_s: float, step_s: float) -> list[Result]:
        """Evaluate ``promql`` at each step from ``start_s`` to ``end_s``, both included."""
        fields = {"query": promql, "start": str(start_s), "end": str(end_s), "step": str(step_s)}
        found = self._get("query_range", fields)
        return [
            Result(each["metric"], [_sample(value) for value in each["values"]])
            for each in found["result"]
        ]

    def series(self, selector: str) -> list[dict[str, str]]:
        """Return the labels of every series that ``selector`` names, of any time."""
        found: list[dict[str, str]] = self._get("series", {"match[]": selector})
        return found

    def _get(self, endpoint: str, fields: Mapping[str, str]) -> Any:
        with urllib3.PoolManager(retries=False, timeout=REQUEST_TIMEOUT_S) as pool:
            url = f"{self.url}/api/v1/{endpoint}"
            body = pool.request("GET", url, fields=dict(fields)).json()
        if body["status"] != "success":
            raise ValueError(f"{body['errorType']}: {body['error']} in {dict(fields)}")
        return body["data"]


def _sample(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
