"""An in-process receiver of remote write 1.0 that keeps each tenant's last few minutes.

Bound: ``MAX_TENANTS``; requests of further ones are refused. Source of time: the clock
given, for the begin only; everything else goes by the samples' timestamps.
"""

from __future__ import annotations

import threading

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumer.clock import Clock
from consumer.demo.report import TenantReport, report
from consumer.demo.samples import SampleStore
from consumer.demo.write_request import WriteRequestError, parse_write_request

PATH = "/api/v1/write"
MAX_TENANTS = 100
WINDOW_MS = 30_000
NO_TENANT = "single-tenant"
"""Requests without ``X-Scope-OrgID`` are this tenant's, as spanmill writes them."""


class Receiver:
    """Takes requests in any thread and reports from any other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_ms = clock.now_ms()
        self._lock = threading.Lock()
        self._stores: dict[str, SampleStore] = {}
        self._refused = 0

    def begin(self) -> None:
        """Take rates of series younger than the window from now on, not from its making."""
        self._since_ms = self._clock.now_ms()

    def app(self) -> Starlette:
        """Build the ASGI application that listens for it."""
        return Starlette(routes=[Route(PATH, self._post, methods=["POST"])])

    def take(self, tenant: str, body: bytes) -> None:
        """Add a request to a tenant. Raises :class:`WriteRequestError`."""
        series = list(parse_write_request(body))
        with self._lock:
            store = self._stores.get(tenant)
            if store is None:
                if len(self._stores) >= MAX_TENANTS:
                    raise WriteRequestError(f"more than {MAX_TENANTS} tenants")
                store = self._stores[tenant] = SampleStore(self._since_ms)
            store.add(series)

    def reports(self, window_ms: int = WINDOW_MS) -> dict[str, TenantReport]:
        """Return what is known of every tenant seen so far, by name."""
        with self._lock:
            return {
                tenant: report(tenant, store, window_ms)
                for tenant, store in sorted(self._stores.items())
            }

    @property
    def ticks(self) -> int:
        """Ticks seen of the tenant that had most."""
        with self._lock:
            return max((len(store.ticks) for store in self._stores.values()), default=0)

    @property
    def refused(self) -> int:
        """Requests that were none, and samples that were not taken."""
        with self._lock:
            return self._refused + sum(store.refused for store in self._stores.values())

    async def _post(self, request: Request) -> Response:
        tenant = request.headers.get("X-Scope-OrgID") or NO_TENANT
        body = await request.body()
        try:
            await run_in_threadpool(self.take, tenant, body)
        except WriteRequestError as error:
            with self._lock:
                self._refused += 1
            return Response(str(error), status_code=400)
        return Response(status_code=204)
