"""Sends the shops' spans to somebody else by OTLP/HTTP, as applications would.

Bound: what an address does not take is told once in a while and not sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import urllib3

from consumer.clock import SystemClock
from consumer.demo.load import Load
from consumer.demo.shop import ShopTraffic
from consumer.demo.topology import SHOPS
from consumer.distributor import Target
from consumer.kafka.client import OutgoingRecord
from consumer.signals import stop_signals

TENANT_HEADER = "X-Scope-OrgID"
TIMEOUT_S = 5.0
REPORT_S = 10.0
"""Between two lines about what was sent."""

Post = Callable[[bytes, dict[str, str]], int]
"""Posts a body with headers; the status code. Raises ``urllib3.exceptions.HTTPError``."""

_log = logging.getLogger(__name__)


class OtlpWriter:
    """Posts each record's value, an export request; the writer of a :class:`Load`."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._failures: list[str] = []

    def write(self, record: OutgoingRecord) -> None:
        """Post the value of ``record`` as its tenant."""
        headers = {name: value.decode() for name, value in record.headers}
        try:
            status = self._post(record.value, headers)
        except urllib3.exceptions.HTTPError as error:
            self._failures.append(str(error))
        else:
            if status != 200:
                self._failures.append(f"the answer was {status}")

    def flush(self, timeout_s: float) -> Sequence[str]:  # noqa: ARG002  nothing waits
        """What was not taken since the last time."""
        failures, self._failures = self._failures, []
        return failures


def send_load(address: str, *, rate: float, duration_s: float | None, seed: int) -> int:
    """Send ``rate`` spans a second to ``address`` until a signal, or for ``duration_s``.

    The exit code: 1 when anything was not taken since the last report.
    """
    pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT_S)
    url = f"{address.rstrip('/')}/v1/traces"

    def post(body: bytes, headers: dict[str, str]) -> int:
        content = {"Content-Type": "application/x-protobuf", **headers}
        return pool.request("POST", url, body=body, headers=content).status

    clock = SystemClock()
    traffic = [ShopTraffic(shop, seed + number) for number, shop in enumerate(SHOPS)]
    load = Load(
        OtlpWriter(post), Target("", TENANT_HEADER), clock=clock, rate=rate, traffic=traffic
    )
    ends_s = None if duration_s is None else clock.monotonic_s() + duration_s
    with pool, stop_signals() as stopped, load:
        while not stopped.wait(_wait_s(ends_s, clock.monotonic_s())):
            if ends_s is not None and clock.monotonic_s() >= ends_s:
                break
            _report(load)
            load.failure = ""
    _report(load)
    return 1 if load.failure else 0


def _wait_s(ends_s: float | None, now_s: float) -> float:
    return REPORT_S if ends_s is None else min(REPORT_S, max(0.0, ends_s - now_s))


def _report(load: Load) -> None:
    if load.failure:
        _log.warning("spans are not taken: %s", load.failure)
    else:
        _log.info("%d spans sent", load.spans)
