"""The HTTP server of a worker: metrics, probes and what it is doing.

It runs in a thread of its own and only reads: :class:`Status` is written by the loop,
one field at a time, each with a whole new value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Self

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from consumer.clock import Clock
from consumer.errors import SpanmillError
from consumer.http_listener import HttpListener

STUCK_AFTER_S = 120.0
"""Longest turn of the loop that is still healthy: a rebalance waits for deliveries."""

KEPT_PAUSES = 10

Phase = Literal["starting", "assigned", "standing_by", "stopping"]


class ServerError(SpanmillError):
    """The server cannot listen: the user gives it another address."""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How far one partition is."""

    partition: int
    next_offset: int
    committed_offset: int | None
    lag_records: int
    lag_seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """A time without taking records; ``until_ms`` is None while it lasts."""

    reason: str
    since_ms: int
    until_ms: int | None = None


@dataclass(slots=True)
class Status:
    """What the loop tells about itself. ``turned_s`` is monotonic, None before the first turn.

    ``standing_by`` is a member of the group that has no partition: ready, with nothing to do.
    """

    version: str
    phase: Phase = "starting"
    decoder: str = ""
    encoding: str = ""
    partitions: tuple[PartitionStatus, ...] = ()
    paused: tuple[str, ...] = ()
    pauses: tuple[Pause, ...] = ()
    """The last ``KEPT_PAUSES``, the newest last."""
    turned_s: float | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What is told; ``configuration`` is shown as it is, so it holds no secrets."""

    registry: CollectorRegistry
    status: Status
    configuration: Mapping[str, object]


class StatusServer:
    """Serves ``/metrics``, ``/ready``, ``/healthz`` and ``/status`` until the block ends.

    The constructor binds and raises :class:`ServerError` when the address is taken; port 0
    takes a free one, :attr:`port` says which. ``more`` routes are served beside these.
    """

    def __init__(
        self,
        address: tuple[str, int],
        served: Served,
        *,
        clock: Clock,
        more: Sequence[BaseRoute] = (),
    ) -> None:
        self._registry = served.registry
        self._status = served.status
        self._configuration = served.configuration
        self._more = more
        self._clock = clock
        self._started_s = clock.monotonic_s()
        host, port = address
        try:
            self._listener = HttpListener(self._app(), host=host, port=port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            text = f"server: cannot listen on {host}:{port}: {reason}"
            raise ServerError(f"{text}; set server.host or server.port") from error

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._listener.port

    def __enter__(self) -> Self:
        self._listener.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.__exit__(*exception)

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/metrics", self._metrics),
                Route("/ready", self._ready),
                Route("/healthz", self._healthz),
                Route("/status", self._show_status),
                *self._more,
            ]
        )

    async def _metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"content-type": content_type})

    async def _ready(self, _request: Request) -> Response:
        phase = self._status.phase
        return _answer(phase, good=phase in ("assigned", "standing_by"))

    async def _healthz(self, _request: Request) -> Response:
        last_s = self._status.turned_s
        since_s = self._clock.monotonic_s() - (self._started_s if last_s is None else last_s)
        good = since_s <= STUCK_AFTER_S
        return _answer("ok" if good else f"the loop has not turned for {since_s:.0f} s", good=good)

    async def _show_status(self, _request: Request) -> Response:
        uptime_s = round(self._clock.monotonic_s() - self._started_s, 1)
        status = asdict(self._status)
        del status["turned_s"]
        body = {**status, "uptime_seconds": uptime_s, "configuration": self._configuration}
        return Response(orjson.dumps(body), media_type="application/json")


def _answer(text: str, *, good: bool) -> Response:
    return PlainTextResponse(text + "\n", status_code=200 if good else 503)
