"""Child processes of the tests: started, watched, signalled by id, always reaped.

A child stays in the process group of the tests, so that whoever ends that group
(Ctrl-C, ``timeout`` in CI) ends the children too. Bounds: every wait has a deadline.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import urllib3

POLL_S = 0.05
STOP_TIMEOUT_S = 30.0
LOG_TAIL_LINES = 40
# Below Linux's range of ephemeral ports (32768…): no outgoing connection takes the
# port of a server that is being restarted.
PORTS = range(20_000, 32_000)


class ChildFailedError(Exception):
    """A child ended, or was not ready in time; the text holds the end of its log."""


def free_port() -> int:
    """Find a loopback TCP port that nothing listens on just now."""
    for port in random.sample(PORTS, 100):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free loopback port among 100 tried")


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Return as soon as ``condition()`` holds; ``TimeoutError`` naming ``what`` otherwise."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s} s: {what}")
        time.sleep(POLL_S)


def answers_ok(url: str) -> bool:
    """Tell whether a GET of ``url`` is answered with 200 at this moment."""
    try:
        with urllib3.PoolManager(retries=False, timeout=2.0) as pool:
            return pool.request("GET", url).status == 200
    except urllib3.exceptions.HTTPError:
        return False


class ChildProcess:
    """One child and its log. May be started again after it ended; the log goes on."""

    def __init__(
        self, command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = list(command)
        self.log = log
        self._environment = {**os.environ, **(environment or {})}
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the running child."""
        assert self._child is not None, "not started"
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the child was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start the child, its output and errors going to the log."""
        assert not self.running, "started already"
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until ``ready()``; end the child and raise ``ChildFailedError`` otherwise."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                raise ChildFailedError(f"ended while starting: {self.describe()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ChildFailedError(f"not ready within {timeout_s} s: {self.describe()}")
            time.sleep(POLL_S)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child, by its id."""
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait for the child to end by itself; its exit code (negative: the signal)."""
        assert self._child is not None, "not started"
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ChildFailedError(f"still there after {timeout_s} s: {self.describe()}") from None

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int | None:
        """SIGTERM, then SIGKILL after ``timeout_s``; the exit code, None if never started."""
        if self._child is None:
            return None
        if self.running:
            self._child.terminate()
            try:
                self._child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._child.wait()

    def kill(self) -> None:
        """SIGKILL the child and reap it."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def log_text(self) -> str:
        """Return everything that the child has printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def describe(self) -> str:
        """Name the command and how it ended, and quote the end of its log."""
        code = None if self._child is None else self._child.poll()
        tail = "\n".join(self.log_text().splitlines()[-LOG_TAIL_LINES:])
        return f"{self.command[0]}, exit code {code}\n{tail}"


class SpanmillWorker(ChildProcess):
    """A ``spanmill worker`` of its own process, run from a configuration file.

    ``http_port`` is what the configuration's ``server`` block says; readiness is
    its ``/ready``.
    """

    def __init__(
        self,
        config: Path,
        http_port: int,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        command = [sys.executable, "-m", "consumer", "worker", "--config", str(config), *arguments]
        log = config.with_name(f"{config.stem}-{http_port}.log")
        super().__init__(command, log, environment=environment)
        self.url = f"http://127.0.0.1:{http_port}"

    def start_ready(self, timeout_s: float = 30.0) -> None:
        """Start the worker and wait until it says that it is ready."""
        self.start()
        self.wait_ready(lambda: answers_ok(f"{self.url}/ready"), timeout_s)

    def get(self, path: str) -> str:
        """Return the text of one of its pages, such as ``/metrics``."""
        with urllib3.PoolManager(retries=False, timeout=5.0) as pool:
            return pool.request("GET", f"{self.url}{path}").data.decode()
