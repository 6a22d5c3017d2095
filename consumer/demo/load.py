"""Writes the shops' spans to Kafka at a steady rate, from a thread of its own.

Bound: after a stall it makes up for at most ``MAX_ARREARS_S``; what is older is skipped.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Self

from consumer.clock import Clock
from consumer.demo.shop import ShopTraffic, Trace
from consumer.demo.topology import SHARES
from consumer.distributor import Target
from consumer.distributor.publisher import Writer
from consumer.kafka.client import OutgoingRecord

ROUND_S = 0.05
MAX_ARREARS_S = 1.0
FLUSH_TIMEOUT_S = 5.0


class Load:
    """``with`` runs it until the block ends; :meth:`produce_due` is one round of it."""

    def __init__(
        self,
        writer: Writer,
        target: Target,
        *,
        clock: Clock,
        rate: float,
        traffic: Sequence[ShopTraffic],
    ) -> None:
        self._writer = writer
        self._target = target
        self._clock = clock
        self._rate = rate
        self._traffic = traffic
        self._last_s = clock.monotonic_s()
        self._due = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.spans_by_tenant = {shop.tenant: 0 for shop in traffic}
        """Spans written so far; read from any thread."""
        self.failure = ""
        """Why Kafka did not take a record, the last time that happened."""

    @property
    def spans(self) -> int:
        """Spans written so far."""
        return sum(self.spans_by_tenant.values())

    def produce_due(self) -> None:
        """Write as many traces as the rate asks for since the last round, and flush."""
        now_s = self._clock.monotonic_s()
        self._due += self._rate * min(now_s - self._last_s, MAX_ARREARS_S)
        self._last_s = now_s
        while self._due > 0:
            self._due -= self._write_one(self._furthest_behind())
        failures = self._writer.flush(FLUSH_TIMEOUT_S)
        if failures:
            self.failure = failures[0]

    def stop(self) -> None:
        """End after the round that is under way."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        self._last_s = self._clock.monotonic_s()
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopped.wait(ROUND_S):
            self.produce_due()

    def _furthest_behind(self) -> ShopTraffic:
        """Return the shop whose spans fall most short of its share."""
        return min(
            self._traffic, key=lambda shop: self.spans_by_tenant[shop.tenant] / SHARES[shop.tenant]
        )

    def _write_one(self, shop: ShopTraffic) -> int:
        trace = shop.trace(self._clock.now_ms())
        for record in self._records(shop, trace):
            self._writer.write(record)
        self.spans_by_tenant[shop.tenant] += trace.span_count
        return trace.span_count

    def _records(self, shop: ShopTraffic, trace: Trace) -> list[OutgoingRecord]:
        key = trace.trace_id.hex().encode()
        headers = ((self._target.tenant_header, shop.tenant.encode()),)
        return [
            OutgoingRecord(self._target.topic, value, key=key, headers=headers)
            for value in shop.exports(trace)
        ]
