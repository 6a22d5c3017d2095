"""The sender: ticks in, the promise of their delivery out.

What it guarantees:

- The samples of one series reach an endpoint in time order: a tenant's ticks go out one
  after another, and so do the requests of one tick.
- A sample is sent until the endpoint takes it or rejects it for good; endpoints and
  tenants do not wait for each other.
- Memory is bounded: see ``lanes`` for ticks, ``encode`` for requests. When ``blocked``
  names an endpoint, make no more ticks until it does not.
- A tenant that is refused for long (429, or failing while others succeed) loses
  resolution and no counts: see ``collapse``. From the first collapse on, its head tick
  is no longer waited for by its ``Delivery``, though still sent.

``submit``, ``apply`` and ``close`` are for one thread; time is the given clock's, waits are
the system's.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumer.clock import Clock
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.dispatch import Dispatcher
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.observer import Observer
from consumer.remote_write.routes import Routes
from consumer.remote_write.series import SeriesBlock, Tick


class Sender:
    """Sends ticks to the endpoints of ``routes``."""

    def __init__(self, routes: Routes, *, clock: Clock, observer: Observer) -> None:
        self._clock = clock
        self._observer = observer
        self._started = False
        self._closed = False
        self._routes = routes
        self._leaving: dict[str, Dispatcher] = {}
        self._dispatchers = {
            name: self._made(endpoint) for name, endpoint in routes.endpoints().items()
        }

    def start(self) -> None:
        """Start sending. Called once."""
        self._started = True
        for dispatcher in self._dispatchers.values():
            dispatcher.start()

    def apply(self, routes: Routes) -> None:
        """Send by other ``routes`` from the next tick on.

        An endpoint that is still named sends what waits with its settings of now. One that
        is not sends what waits as before, for ``leave_s`` at most, and is closed then.
        """
        self._routes = routes
        wanted = routes.endpoints()
        for name in self._dispatchers.keys() - wanted.keys():
            leaving = self._leaving[name] = self._dispatchers.pop(name)
            leaving.leave(self._clock.monotonic_s() + routes.leave_s)
        for name, endpoint in wanted.items():
            known = self._dispatchers.get(name) or self._leaving.pop(name, None)
            if known is not None:
                known.apply(endpoint, routes.headers)
            self._dispatchers[name] = known or self._made(endpoint)
        self._close_left()

    def _made(self, endpoint: Endpoint) -> Dispatcher:
        made = Dispatcher(
            endpoint, self._routes.headers, clock=self._clock, observer=self._observer
        )
        if self._started:
            made.start()
        return made

    def submit(self, tick: Tick) -> Delivery:
        """Queue ``tick`` for each tenant's endpoints. Never blocks; not after ``close``."""
        assert not self._closed
        self._close_left()
        shares: dict[str, dict[str, Sequence[SeriesBlock]]] = {}
        for tenant, blocks in tick.tenants.items():
            for name in self._routes.names(tenant) if blocks else ():
                shares.setdefault(name, {})[tenant] = blocks
        delivery = Delivery(sum(map(len, shares.values())))
        for name, tenants in shares.items():
            self._dispatchers[name].submit(tick.time_ms, tenants, delivery)
        return delivery

    @property
    def blocked(self) -> str | None:
        """The first endpoint that is ``max_pending_ticks`` or more behind, down or too slow.

        A tenant that is refused while the endpoint works for others does not count, nor
        does an endpoint that is no longer named.
        """
        self._close_left()
        for name, dispatcher in self._dispatchers.items():
            if dispatcher.is_behind():
                return name
        return None

    def close(self, timeout_s: float) -> bool:
        """Deliver what waits within ``timeout_s`` and stop; True if all of it was settled.

        Waits for another attempt end at once. Deliveries left behind are never done, and
        their samples are counted as dropped.
        """
        self._closed = True
        deadline_s = self._clock.monotonic_s() + timeout_s
        dispatchers = [*self._dispatchers.values(), *self._leaving.values()]
        for dispatcher in dispatchers:
            dispatcher.hurry()
        complete = [dispatcher.close(deadline_s) for dispatcher in dispatchers]
        return all(complete)

    def _close_left(self) -> None:
        """Close the endpoints that are no longer named and have nothing more to send."""
        for name in [name for name, each in self._leaving.items() if each.has_left()]:
            self._leaving.pop(name).close(self._clock.monotonic_s())
