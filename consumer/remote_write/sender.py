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

Any thread may call; time is the given clock's, waits are the system's.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from consumer.clock import Clock
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.dispatch import Dispatcher
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.observer import Observer
from consumer.remote_write.series import Tick


class Sender:
    """Sends ticks to all ``endpoints``, whose names differ. ``seed`` is the jitter's."""

    def __init__(
        self, endpoints: Sequence[Endpoint], *, clock: Clock, observer: Observer, seed: int
    ) -> None:
        random = Random(seed)  # noqa: S311 - spreads retries, keeps no secret
        self._clock = clock
        self._closed = False
        self._dispatchers = {
            endpoint.name: Dispatcher(endpoint, clock=clock, observer=observer, random=random)
            for endpoint in endpoints
        }
        assert len(self._dispatchers) == len(endpoints)

    def start(self) -> None:
        """Start sending. Called once."""
        for dispatcher in self._dispatchers.values():
            dispatcher.start()

    def submit(self, tick: Tick) -> Delivery:
        """Queue ``tick`` for every endpoint. Never blocks; not to be called after ``close``."""
        assert not self._closed
        tenants = {tenant: blocks for tenant, blocks in tick.tenants.items() if blocks}
        delivery = Delivery(len(tenants) * len(self._dispatchers))
        for dispatcher in self._dispatchers.values():
            dispatcher.submit(tick.time_ms, tenants, delivery)
        return delivery

    @property
    def blocked(self) -> str | None:
        """The first endpoint that is ``max_pending_ticks`` or more behind, down or too slow.

        A tenant that is refused while the endpoint works for others does not count.
        """
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
        for dispatcher in self._dispatchers.values():
            dispatcher.hurry()
        complete = [dispatcher.close(deadline_s) for dispatcher in self._dispatchers.values()]
        return all(complete)
