"""The routes of the page: three files, and the JSON they ask for under ``/api/v1``.

Nothing comes from elsewhere and nothing is run that is not in these files: the policy that
goes with each answer says so to the browser. Addresses in the page are relative, so it works
behind a proxy that adds a prefix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from consumer.clock import Clock
from consumer.page.graph import Layouts
from consumer.page.sinks import Sinks
from consumer.page.traffic import Traffic
from consumer.page.views import View, traffic_view
from consumer.telemetry.server import Status

_ASSETS = {
    "/": ("page.html", "text/html"),
    "/page/page.css": ("page.css", "text/css"),
    "/page/page.js": ("page.js", "text/javascript"),
    "/page/format.js": ("format.js", "text/javascript"),
    "/page/map.js": ("map.js", "text/javascript"),
    "/page/tables.js": ("tables.js", "text/javascript"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class PageSources:
    """Where the page takes what it shows from. ``configuration`` holds no secrets."""

    status: Status
    traffic: Traffic
    sinks: Sinks
    configuration: Mapping[str, object]


class Page:
    """Answers from ``sources``, in the threads of the HTTP server."""

    def __init__(self, sources: PageSources, clock: Clock) -> None:
        self._sources = sources
        self._clock = clock
        self._started_s = clock.monotonic_s()
        self._layouts = Layouts()
        folder = files("consumer.page") / "assets"
        self._files = {
            path: ((folder / name).read_bytes(), media_type)
            for path, (name, media_type) in _ASSETS.items()
        }

    def routes(self) -> Sequence[BaseRoute]:
        """The routes to serve."""
        return [
            *(Route(path, self._file) for path in self._files),
            Route("/api/v1/worker", self._worker),
            Route("/api/v1/traffic", self._traffic),
            Route("/api/v1/configuration", self._configuration),
        ]

    async def _file(self, request: Request) -> Response:
        body, media_type = self._files[request.url.path]
        return Response(body, media_type=media_type, headers=_HEADERS)

    async def _worker(self, _request: Request) -> Response:
        return _json(await run_in_threadpool(self._worker_view))

    async def _traffic(self, request: Request) -> Response:
        tenant = request.query_params.get("tenant", "")
        traffic = self._sources.traffic
        view = await run_in_threadpool(
            traffic.see, tenant, lambda seen: as_json(traffic_view(seen, self._layouts))
        )
        if view is not None:
            return Response(view, media_type="application/json", headers=_HEADERS)
        if traffic.knows(tenant):
            return _json({"error": "not followed until its next tick; ask again"}, 503)
        return _json({"error": "no tenant of that name has series in this worker"}, 404)

    async def _configuration(self, _request: Request) -> Response:
        return _json(dict(self._sources.configuration))

    def _worker_view(self) -> View:
        """Everything but the traffic."""
        sources, status = self._sources, self._sources.status
        return {
            "now_ms": self._clock.now_ms(),
            "uptime_seconds": round(self._clock.monotonic_s() - self._started_s, 1),
            "version": status.version,
            "phase": status.phase,
            "decoder": status.decoder,
            "encoding": status.encoding,
            "paused": status.paused,
            "pauses": [asdict(pause) for pause in status.pauses],
            "partitions": [asdict(partition) for partition in status.partitions],
            "sinks": [asdict(sink) for sink in sources.sinks.views()],
            "tenants": [asdict(row) for row in sources.traffic.rows()],
            "tenants_left_out": sources.traffic.left_out,
        }


def as_json(view: View) -> bytes:
    """JSON of plain values and NumPy arrays; NaN becomes null."""
    return orjson.dumps(view, option=orjson.OPT_SERIALIZE_NUMPY)


def _json(view: View, status_code: int = 200) -> Response:
    return Response(
        as_json(view),
        status_code=status_code,
        media_type="application/json",
        headers=_HEADERS,
    )
