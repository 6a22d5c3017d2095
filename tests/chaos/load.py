"""Spans whose every number can be told from the log: purchases in a shop with several tenants.

A trace is one purchase, written as a record for each service: ``web`` (the root) calls
``orders``, which asks its database and publishes to ``mail``. The records of a trace come
in any order and up to ``max_delay_s`` apart, so that edges straddle batches, commits and
ticks; some bear a time that is long past; some are written twice, as by a producer that
is not idempotent. A seed decides all of it but the times.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from consumer.kafka.client import Fate, OutgoingRecord, RecordWriter
from tests.support.otlp import record, resource_spans, span

TENANTS = ("north", "south", "east")
TENANT_HEADER = "X-Scope-OrgID"
ROUTES = 5
SPANS_PER_TRACE = 6
FLUSH_TIMEOUT_S = 30.0
BEAT_S = 0.02
RECONNECT_MS = "200"
"""To a broker that comes back. By default a record may wait for 10 s in the client by then, long
after its partition has counted as read to its end."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """``interval_ms`` is that of the ticks: no record bears the time of a boundary."""

    seed: int
    purchases_per_s: float
    interval_ms: int
    max_delay_s: float = 3.0
    late_share: float = 0.02
    twice_share: float = 0.02


class Purchases:
    """Makes one purchase after the other, the same ones for a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  repeatable, not secret
        self._number = 0

    def next(self, end_ns: int) -> tuple[str, bytes, Sequence[ResourceSpans]]:
        """(tenant, trace id, a part for each service); all spans end at ``end_ns``."""
        self._number += 1
        number, chance = self._number, self._random
        tenant = chance.choice(TENANTS)
        route = chance.randrange(ROUTES)
        status = Status.STATUS_CODE_ERROR if chance.random() < 0.1 else None
        trace_id = chance.randbytes(16)
        ids = [(number * SPANS_PER_TRACE + index + 1).to_bytes(8, "big") for index in range(6)]

        def made(name: str, index: int, parent: int | None, kind: int, **more: Any) -> Span:
            nanos = round(chance.lognormvariate(17.0, 1.5))
            return span(
                name,
                kind=kind,
                trace_id=trace_id,
                span_id=ids[index],
                parent_span_id=b"" if parent is None else ids[parent],
                start_time_unix_nano=end_ns - nanos,
                end_time_unix_nano=end_ns,
                **more,
            )

        web = [
            made(f"GET /cart/{route}", 0, None, Span.SPAN_KIND_SERVER, status=status),
            made("POST", 1, 0, Span.SPAN_KIND_CLIENT, status=status),
        ]
        orders = [
            made(f"POST /orders/{route}", 2, 1, Span.SPAN_KIND_SERVER, status=status),
            made("SELECT", 3, 2, Span.SPAN_KIND_CLIENT, attrs={"db.name": "orders-db"}),
            made("publish", 4, 2, Span.SPAN_KIND_PRODUCER),
        ]
        mail = [made("deliver", 5, 4, Span.SPAN_KIND_CONSUMER)]
        parts = [
            resource_spans(web, service="web"),
            resource_spans(orders, service="orders"),
            resource_spans(mail, service="mail"),
        ]
        return tenant, trace_id, parts


@dataclass(order=True, slots=True)
class _Due:
    """A record to write at ``at_s``, with a time that lies ``late_ms`` behind."""

    at_s: float
    number: int
    key: bytes
    tenant: str
    value: bytes
    late_ms: int
    times: int


class Load:
    """Writes purchases to one topic from a thread of its own, at a steady rate.

    :meth:`hold` lets nothing be written until :meth:`go_on`; :meth:`finish` writes the
    records of the purchases that have begun and ends.
    """

    def __init__(self, bootstrap: str, topic: str, settings: LoadSettings) -> None:
        self._topic = topic
        self._settings = settings
        self._purchases = Purchases(settings.seed)
        self._random = random.Random(settings.seed + 1)  # noqa: S311  repeatable
        properties = {
            "bootstrap.servers": bootstrap,
            "log_level": "0",
            "enable.idempotence": "true",
        }
        self._writer = RecordWriter({**properties, "reconnect.backoff.max.ms": RECONNECT_MS})
        self._due: list[_Due] = []
        self._count = 0
        self._free, self._held = Event(), Event()
        self._free.set()
        self._over = Event()
        self._thread = Thread(target=self._run, name="load")
        self._failure: BaseException | None = None
        self.records = 0
        self.slowest_write_s = 0.0
        """From the time that a record bears, if it is not long past, to the broker's answer."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hold(self, timeout_s: float = FLUSH_TIMEOUT_S) -> None:
        """Return when everything that was written is with the broker, and nothing follows."""
        self._free.clear()
        if not self._held.wait(timeout_s):
            self._check()
            raise TimeoutError("the load did not stop in time")

    def go_on(self) -> None:
        """Write again."""
        self._held.clear()
        self._free.set()

    def finish(self, timeout_s: float = 60.0) -> None:
        """Complete what has begun, and end."""
        self.go_on()
        self._over.set()
        self._thread.join(timeout_s)
        self._check()
        assert not self._thread.is_alive(), "the load did not end"

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._write_all()
        except BaseException as error:  # noqa: BLE001  told where it is asked for
            self._failure = error

    def _write_all(self) -> None:
        begun = held_s = 0.0
        start_s = time.monotonic()
        while self._due or not self._over.is_set():
            if not self._free.is_set():
                since_s = time.monotonic()
                self._flush()
                self._held.set()
                self._free.wait(FLUSH_TIMEOUT_S)
                held_s += time.monotonic() - since_s
            now_s = time.monotonic()
            wanted = (now_s - start_s - held_s) * self._settings.purchases_per_s
            while begun < wanted and not self._over.is_set():
                self._begin(now_s)
                begun += 1
            while self._due and self._due[0].at_s <= now_s:
                self._write(heapq.heappop(self._due))
            time.sleep(BEAT_S)
        self._flush()

    def _begin(self, now_s: float) -> None:
        tenant, trace_id, parts = self._purchases.next(time.time_ns())
        chance = self._random
        chance.shuffle(shuffled := list(parts))
        key = trace_id.hex().encode()
        for place, (delay_s, late_ms) in enumerate(self._delays()):
            self._count += 1
            times = 2 if chance.random() < self._settings.twice_share else 1
            value = record(shuffled[place])
            due = _Due(now_s + delay_s, self._count, key, tenant, value, late_ms, times)
            heapq.heappush(self._due, due)

    def _delays(self) -> Iterator[tuple[float, int]]:
        """Of each part: how long after the first, and by how much its time lies behind.

        A late part follows at once, so that its partition has just had a record of now.
        """
        chance, settings = self._random, self._settings
        yield 0.0, 0
        if chance.random() < settings.late_share:
            yield 0.0, round(chance.uniform(1_000, 4_000))
        else:
            yield chance.uniform(0.0, 0.3), 0
        yield chance.uniform(0.0, settings.max_delay_s), 0

    def _write(self, due: _Due) -> None:
        time_ms = time.time_ns() // 1_000_000 - due.late_ms
        if time_ms % self._settings.interval_ms == 0:
            time_ms += 1
        headers = [(TENANT_HEADER, due.tenant.encode())]
        written = OutgoingRecord(self._topic, due.value, due.key, headers, time_ms)
        since_s = time.monotonic()
        for _ in range(due.times):
            self._writer.write(written, partial(self._answered, since_s))
            self.records += 1

    def _answered(self, since_s: float, _fate: Fate) -> None:
        self.slowest_write_s = max(self.slowest_write_s, time.monotonic() - since_s)

    def _flush(self) -> None:
        failures = self._writer.flush(FLUSH_TIMEOUT_S)
        assert failures == [], failures
