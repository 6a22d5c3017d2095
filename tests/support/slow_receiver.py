"""A receiver of 1.0 in a process of its own that takes its time and refuses now and then.

It keeps what it took as it came and looks at it only when asked, so that looking does not
make it slower than it is meant to be.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from random import Random
from threading import Event, Lock, Thread
from typing import Any

from tests.support.remote_write_messages import samples_by_label_bytes

_MOST_FAULTS = 10
_SEED = 1


@dataclass(frozen=True, slots=True)
class Temper:
    """How long an answer takes, and which share of requests is answered with 503."""

    delay_s: float
    refused: float


@dataclass(frozen=True, slots=True)
class Found:
    """What was taken; ``least`` and ``most`` are the samples of the series with fewest and most.

    ``values`` is the sum of the last value of each series, ``at_once`` the most requests that
    were there at the same time, and ``faults`` are samples out of order, some of them.
    """

    requests: int
    refused: int
    at_once: int
    series: int
    least: int
    most: int
    values: float
    faults: Sequence[str]


class SlowReceiver:
    """The parent's side of it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url = f"http://127.0.0.1:{pipe.recv()}/api/v1/write"

    def found(self) -> Found:
        """Look through what was taken; forgets nothing, and takes some microseconds a sample."""
        self._pipe.send("look")
        found: Found = self._pipe.recv()
        return found


@contextmanager
def slow_receiver(temper: Temper) -> Iterator[SlowReceiver]:
    """A started receiver; its process ends with the block."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, temper), daemon=True
    )
    process.start()
    theirs.close()
    try:
        yield SlowReceiver(ours)
    finally:
        ours.close()
        process.join(5.0)
        process.kill()


def _serve(pipe: Connection, temper: Temper) -> None:
    server = _Server(temper)
    Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(server.server_port)
    try:
        while pipe.recv():
            pipe.send(server.look())
    except EOFError:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, temper: Temper) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._temper = temper
        self._random = Random(_SEED)  # noqa: S311 - which requests are refused
        self._lock = Lock()
        self._never = Event()
        self._bodies: list[bytes] = []
        self._now = 0
        self._at_once = 0
        self._refused = 0

    def take(self, body: bytes) -> int:
        """The status of a request, after the delay."""
        with self._lock:
            self._now += 1
            self._at_once = max(self._at_once, self._now)
        self._never.wait(self._temper.delay_s)
        with self._lock:
            self._now -= 1
            if self._random.random() < self._temper.refused:
                self._refused += 1
                return 503
            self._bodies.append(body)
            return 204

    def look(self) -> Found:
        """Read everything that was taken."""
        last: dict[bytes, tuple[int, float, int]] = {}
        faults: list[str] = []
        for body in self._bodies:
            for labels, samples in samples_by_label_bytes(body):
                at_ms, value, count = last.get(labels, (-1, 0.0, 0))
                for sample in samples:
                    if sample.timestamp <= at_ms and len(faults) < _MOST_FAULTS:
                        faults.append(f"{sample.timestamp} after {at_ms}: {labels!r}")
                    at_ms, value, count = sample.timestamp, sample.value, count + 1
                last[labels] = at_ms, value, count
        counts = [count for _, _, count in last.values()]
        return Found(
            requests=len(self._bodies) + self._refused,
            refused=self._refused,
            at_once=self._at_once,
            series=len(last),
            least=min(counts, default=0),
            most=max(counts, default=0),
            values=sum(value for _, value, _ in last.values()),
            faults=faults,
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        """Take one request."""
        status = self.server.take(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its name there
        """Be quiet."""
