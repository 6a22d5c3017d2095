"""A strict remote-write receiver (1.0, and 2.0 if told so) on loopback, scripted by the test.

    with Receiver() as receiver:
        receiver.script([Reply(status=503), Reply(tenant="b", status=429)])
        ...
        assert receiver.samples("a")
        assert not receiver.violations

With ``refuse`` it is as Prometheus: a sample that is refused costs its whole request.

Whatever a request does wrong is written to ``violations`` and answered with 400. Without
a script it answers 204.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Any, Self

from consumer.clock import SystemClock
from tests.support.remote_write_messages import (
    V2_CONTENT_TYPE,
    Exemplar,
    Histogram,
    Labels,
    Series,
    Start,
    details_of_v2,
    exemplars_of,
    histograms_of,
    metadata_of,
    parse,
    parse_v2,
)

__all__ = ["Labels", "parse"]

_STALE = struct.pack("<Q", 0x7FF0000000000002)
_PATH = ":path"
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_V2_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": V2_CONTENT_TYPE,
    "X-Prometheus-Remote-Write-Version": "2.0.0",
}


class Action(Enum):
    """What becomes of the connection."""

    ANSWER = "answer"
    RESET = "reset"
    HALF_CLOSE = "half-close"
    GARBAGE = "garbage"
    TRUNCATE = "truncate"


@dataclass(frozen=True)
class Reply:
    """What one request gets; ``tenant`` limits it to that tenant's requests.

    The samples are kept on 2xx, or the first ``partial`` series whatever the status.
    """

    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    action: Action = Action.ANSWER
    partial: int | None = None
    tenant: str | None = None


@dataclass(frozen=True)
class Received:
    """One request as it came in; its series with their samples in the order sent."""

    tenant: str
    headers: Mapping[str, str]
    size_bytes: int
    series: list[tuple[Labels, list[tuple[int, float]]]]
    at_s: float
    starts: Mapping[Labels, Start] = field(default_factory=dict)
    metadata: Mapping[str, tuple[int, str, str]] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where it was sent to."""
        return self.headers[_PATH]

    @property
    def is_v2(self) -> bool:
        """Whether it is a request of 2.0."""
        return self.headers.get("Content-Type") == V2_CONTENT_TYPE


class Receiver:
    """The receiver. ``url`` is where to write; a request without a tenant is of ``""``.

    ``knows_v2``: True takes 2.0 and says what was written, False answers 415, None does as
    a receiver of 1.0 that looks at no header: it decodes nothing and is content.
    """

    def __init__(self, *, knows_v2: bool | None = True) -> None:
        self.knows_v2 = knows_v2
        self._v2_status = 204 if knows_v2 is None else 415
        self._refused: Callable[[Labels, int], bool] | None = None
        self.violations: list[str] = []
        self.requests: list[Received] = []
        self._stored: dict[str, dict[Labels, dict[int, float]]] = {}
        self._histograms: dict[str, dict[Labels, list[Histogram]]] = {}
        self._exemplars: dict[str, dict[Labels, list[Exemplar]]] = {}
        self._script: list[Reply] = []
        self._always: dict[str | None, Reply] = {}
        self._changed = Condition()
        self._closing = Event()
        self._server = _Server(self._receive, self._closing)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/v1/write"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def script(self, replies: Iterable[Reply]) -> None:
        """Replies for the next requests, each used once by the first request it fits."""
        with self._changed:
            self._script.extend(replies)

    def always(self, reply: Reply | None) -> None:
        """What requests (of the reply's tenant) get beyond the script; None for 204."""
        with self._changed:
            if reply is None:
                self._always.clear()
            else:
                self._always[reply.tenant] = reply

    def refuse_v2_with(self, status: int) -> None:
        """What a receiver that does not know 2.0 answers to it."""
        self._v2_status = status

    def refuse(self, refused: Callable[[Labels, int], bool]) -> None:
        """Answer 400 to, and store nothing of, a request with a sample that is ``refused``."""
        self._refused = refused

    def samples(self, tenant: str = "") -> dict[Labels, list[tuple[int, float]]]:
        """Time (ms) and value of the samples that were taken, by series."""
        with self._changed:
            series = self._stored.get(tenant, {})
            return {labels: list(samples.items()) for labels, samples in series.items()}

    def histograms(self, tenant: str = "") -> dict[Labels, list[Histogram]]:
        """The native histograms that were taken, by series; they are among the samples too."""
        with self._changed:
            return {labels: list(each) for labels, each in self._of(self._histograms, tenant)}

    def exemplars(self, tenant: str = "") -> dict[Labels, list[Exemplar]]:
        """The exemplars that were taken, by series."""
        with self._changed:
            return {labels: list(each) for labels, each in self._of(self._exemplars, tenant)}

    @staticmethod
    def _of(stored: Mapping[str, Mapping[Labels, list[Any]]], tenant: str) -> list[Any]:
        return [each for each in stored.get(tenant, {}).items() if each[1]]

    def wait_for(self, condition: Callable[[], object], timeout_s: float = 5.0) -> bool:
        """Wait until ``condition`` holds, looked at after each request."""
        with self._changed:
            return bool(self._changed.wait_for(condition, timeout_s))

    def _receive(self, method: str, headers: Mapping[str, str], body: bytes) -> Reply:
        tenant = headers.get("X-Scope-OrgID", "").encode("latin-1").decode()
        is_v2 = headers.get("Content-Type") == V2_CONTENT_TYPE
        faults = check_headers(method, headers, _V2_HEADERS if is_v2 else _HEADERS)
        starts: dict[Labels, Start] = {}
        try:
            series = parse_v2(body, starts) if is_v2 else parse(body)
            metadata = {} if is_v2 else metadata_of(body)
        except ValueError as error:
            series, metadata = [], {}
            faults.append(str(error))
        for labels, samples in series:
            faults += check_labels(labels)
            if not samples:
                faults.append(f"no samples: {labels}")
        now_s = SystemClock().monotonic_s()
        with self._changed:
            received = Received(tenant, headers, len(body), series, now_s, starts, metadata)
            self.requests.append(received)
            reply = Reply(self._v2_status) if is_v2 and not self.knows_v2 else None
            if reply is None:
                reply = self._reply(tenant)
                reply, taken, more = self._take(tenant, series, reply)
                faults += more
                if taken or is_v2:
                    stored = self._keep_details(tenant, taken, body, is_v2=is_v2)
                    reply = replace(reply, headers={**stored, **reply.headers})
            self.violations += faults
            self._changed.notify_all()
        return Reply(status=400, body="\n".join(faults).encode()) if faults else reply

    def _take(self, tenant: str, series: Series, reply: Reply) -> tuple[Reply, Series, list[str]]:
        """Store what is to be stored; the reply, what was stored, and what was wrong with it."""
        faults: list[str] = []
        taken: Series = []
        if reply.partial is not None or 200 <= reply.status < 300:
            refused = [
                (labels, time_ms)
                for labels, samples in series
                for time_ms, _ in samples
                if self._refused is not None and self._refused(labels, time_ms)
            ]
            if refused:
                reply = Reply(status=400, body=f"out of order: {refused[0]}".encode())
            else:
                taken = series[: reply.partial]
                faults = self._store(tenant, taken)
        return reply, taken, faults

    def _keep_details(
        self, tenant: str, taken: Series, body: bytes, *, is_v2: bool
    ) -> Mapping[str, str]:
        """Store what the series have besides samples; what a receiver of 2.0 says it wrote."""
        details = details_of_v2(body) if is_v2 else (histograms_of(body), exemplars_of(body))
        counts = []
        stores: list[Any] = [self._histograms, self._exemplars]
        found: Any
        for stored, found in zip(stores, details, strict=True):
            of_taken = {labels: found.get(labels, []) for labels, _ in taken}
            counts.append(sum(map(len, of_taken.values())))
            for labels, each in of_taken.items():
                stored.setdefault(tenant, {}).setdefault(labels, []).extend(each)
        histograms, exemplars = counts
        samples = sum(len(samples) for _, samples in taken) - histograms
        return _written(samples, histograms, exemplars) if is_v2 else {}

    def _reply(self, tenant: str) -> Reply:
        for index, reply in enumerate(self._script):
            if reply.tenant in (None, tenant):
                return self._script.pop(index)
        return self._always.get(tenant) or self._always.get(None) or Reply()

    def _store(self, tenant: str, series: Series) -> list[str]:
        faults = []
        stored = self._stored.setdefault(tenant, {})
        for labels, samples in series:
            known = stored.setdefault(labels, {})
            for time_ms, value in samples:
                if time_ms not in known and known and time_ms < max(known):
                    faults.append(f"out of order: {labels} at {time_ms}")
                elif time_ms in known and _bits(known[time_ms]) != _bits(value):
                    faults.append(f"another value for the same time: {labels} at {time_ms}")
                else:
                    known[time_ms] = value
        return faults


def _written(samples: int, histograms: int, exemplars: int) -> dict[str, str]:
    kinds = {"Samples": samples, "Histograms": histograms, "Exemplars": exemplars}
    return {f"X-Prometheus-Remote-Write-{kind}-Written": str(n) for kind, n in kinds.items()}


def is_stale(value: float) -> bool:
    """Whether ``value`` is the stale marker, bit by bit."""
    return _bits(value) == _STALE


def check_headers(
    method: str, headers: Mapping[str, str], expected: Mapping[str, str]
) -> list[str]:
    """What is wrong with the request's head."""
    faults = [
        f"{name}: {headers.get(name)}"
        for name, value in expected.items()
        if headers.get(name) != value
    ]
    if method != "POST":
        faults.append(f"method {method}")
    if not headers.get("User-Agent", "").startswith("spanmill/"):
        faults.append("no user agent")
    return faults


def check_labels(labels: Labels) -> list[str]:
    """What is wrong with a label set."""
    names = [name for name, _ in labels]
    faults = []
    if names != sorted(set(names), key=str.encode):
        faults.append(f"labels not sorted or not distinct: {names}")
    if not all(name and value for name, value in labels):
        faults.append(f"empty name or value: {labels}")
    if not _METRIC_NAME.fullmatch(dict(labels).get("__name__", "")):
        faults.append(f"no valid __name__: {labels}")
    faults += [f"invalid name {name!r}" for name in names if not _LABEL_NAME.fullmatch(name)]
    return faults


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, receive: Callable[[str, Mapping[str, str], bytes], Reply], closing: Event
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.receive = receive
        self.closing = closing

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away are part of the tests."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        """Take one request and do what the reply says."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        reply = self.server.receive(self.command, {**self.headers, _PATH: self.path}, body)
        if reply.delay_s and self.server.closing.wait(reply.delay_s):
            return
        with suppress(OSError):
            self._act(reply)

    do_GET = do_PUT = do_POST  # noqa: N815 - the names http.server asks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - inherited
        """Be quiet."""

    def _act(self, reply: Reply) -> None:
        self.close_connection = reply.action is not Action.ANSWER
        match reply.action:
            case Action.ANSWER:
                self._answer(reply, len(reply.body))
            case Action.TRUNCATE:
                self._answer(reply, len(reply.body) + 1000)
            case Action.RESET:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                os.close(self.connection.detach())
            case Action.HALF_CLOSE:
                self.connection.shutdown(socket.SHUT_WR)
                self.server.closing.wait(0.05)
            case Action.GARBAGE:
                self.wfile.write(b"\x00\xff no http\r\n\r\n")

    def _answer(self, reply: Reply, length: int) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if reply.status != 204:
            self.wfile.write(reply.body)


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)
