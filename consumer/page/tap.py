"""The tap on the ticks that feeds the page."""

from __future__ import annotations

import logging

from consumer.flusher import TickSink
from consumer.page.sinks import Sinks
from consumer.page.traffic import Traffic
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.routes import Routes
from consumer.remote_write.series import Tick

_log = logging.getLogger(__name__)


class Tap:
    """Takes ticks in place of ``sink``; ``traffic`` looks at each on its way.

    ``sinks`` is told of what the loop hears: it must not ask the sender from another thread.
    """

    def __init__(self, sink: TickSink, traffic: Traffic, sinks: Sinks) -> None:
        self._sink = sink
        self._traffic = traffic
        self._sinks = sinks

    @property
    def blocked(self) -> str | None:
        """The endpoint for whose sake no tick may be made now."""
        blocked = self._sink.blocked
        self._sinks.blocked = blocked
        return blocked

    def apply(self, routes: Routes) -> None:
        """Send by ``routes`` from the next tick on."""
        self._sink.apply(routes)
        self._sinks.follow(routes.endpoints())

    def submit(self, tick: Tick) -> Delivery:
        """Send the tick; a fault of the page is logged and costs nothing else.

        The page looks first: once threads send, the loop shares its processor with them.
        """
        try:
            self._traffic.take(tick)
        except Exception:  # noqa: BLE001 - what is shown must not hold up what is sent
            _log.exception("the page could not take a tick")
        return self._sink.submit(tick)
