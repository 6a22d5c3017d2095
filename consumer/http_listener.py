"""Runs an ASGI application in a thread of its own, on a port known before it starts."""

from __future__ import annotations

import socket
import threading
from typing import Self

import uvicorn
from starlette.types import ASGIApp

BACKLOG = 128
MAX_CONNECTIONS = 64
"""Concurrent requests; uvicorn answers 503 beyond. Each may hold one body (20 MiB)."""
STOP_TIMEOUT_S = 5


class HttpListener:
    """Binds in the constructor, which raises :class:`OSError` when the port is taken.

    ``with`` serves until the block ends, then lets open requests finish for at most
    ``STOP_TIMEOUT_S``.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        self._socket = socket.create_server((host, port), backlog=BACKLOG)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        settings = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._serve, name=f"http-{self.port}", daemon=True)

    @property
    def address(self) -> str:
        """The URL of the root."""
        return f"http://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_TIMEOUT_S + 5)
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])
