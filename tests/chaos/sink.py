"""A way to Prometheus that can be made to fail: a proxy for remote write on loopback.

It notes how long after the end of its tick each request came.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections import Counter
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

import urllib3

from tests.support.remote_write_messages import parse

TIMEOUT_S = 20.0
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Trouble(Enum):
    """What becomes of a request."""

    NONE = "none"
    UNAVAILABLE = "unavailable"
    """Answered with 503."""
    RESET = "reset"
    """The connection is reset before anything was written."""
    TAKEN_AND_RESET = "taken and reset"
    """Prometheus takes it, and the answer is lost: the sender has to send it again."""


class _Server(ThreadingHTTPServer):
    """Says nothing of senders that end in the middle of a request."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Sink:
    """Passes requests on to ``target`` (scheme, host and port), unless in trouble."""

    def __init__(self, target: str) -> None:
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT_S, maxsize=8)
        self._target = target
        self._lock = Lock()
        self.trouble = Trouble.NONE
        self.answers: Counter[int] = Counter()
        """By status: how many requests Prometheus itself answered so."""
        self.refusals: Counter[str] = Counter()
        """What Prometheus said to those it refused, up to the series."""
        self.delays_ms: list[int] = []
        """Of each request that was taken: how long after its newest sample's time it came."""
        self._server = _Server(("127.0.0.1", 0), self._answerer())
        self._thread = Thread(target=self._server.serve_forever, name="sink")
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/api/v1/write"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(TIMEOUT_S)
        self._pool.clear()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Do with a request what the trouble of this moment is."""
        length = int(request.headers.get("Content-Length", 0))
        body = request.rfile.read(length)
        if len(body) < length:  # its sender was killed
            request.close_connection = True
            return
        trouble = self.trouble
        if trouble is Trouble.UNAVAILABLE:
            _reply(request, 503, b"down for a while")
            return
        if trouble is Trouble.RESET:
            _reset(request)
            return
        came_ms = time.time_ns() // 1_000_000
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        try:
            passed = self._pool.request(
                "POST", f"{self._target}{request.path}", body=body, headers=headers
            )
        except urllib3.exceptions.HTTPError:
            _reply(request, 502, b"no answer")
            return
        with self._lock:
            self.answers[passed.status] += 1
            if passed.status >= 400:
                self.refusals[passed.data[:60].decode(errors="replace").strip()] += 1
            elif (newest_ms := _newest_ms(body)) is not None:
                self.delays_ms.append(came_ms - newest_ms)
        if trouble is Trouble.TAKEN_AND_RESET:
            _reset(request)
        else:
            _reply(request, passed.status, passed.data)

    def _answerer(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Answerer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                sink.answer(self)

            def log_message(self, *_: object) -> None: ...

        return Answerer


def _newest_ms(body: bytes) -> int | None:
    """The time of the newest sample in a request; some tell only what metrics mean."""
    series = parse(body)
    return max((time_ms for _, samples in series for time_ms, _ in samples), default=None)


def _reply(request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    request.send_response(status)
    request.send_header("Content-Length", "0" if status == 204 else str(len(body)))
    request.end_headers()
    if status != 204:
        request.wfile.write(body)


def _reset(request: BaseHTTPRequestHandler) -> None:
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    os.close(request.connection.detach())
    request.close_connection = True
