"""`make bench-remote-write`: a large tenant to a slow receiver that refuses some requests.

The receiver is a process of its own, which in the end looks whether anything is missing or
out of order. Memory is this process' growth at its peak, the series themselves left out:
what the sender takes for what waits and what is under way.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from time import process_time

import numpy as np
import orjson

from benchmarks.machine import peak_rss_bytes, reset_peak_rss, rss_bytes
from consumer.clock import SystemClock
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.observer import NullObserver
from consumer.remote_write.routes import Routes
from consumer.remote_write.sender import Sender
from consumer.remote_write.series import MetricType, SeriesBlock, Tick
from tests.support.slow_receiver import Found, Temper, slow_receiver

SERIES, TICKS, INTERVAL_S = 1_000_000, 5, 15.0
DELAY_S, REFUSED = 0.2, 0.1
TIMEOUT_S = 600.0
_LOOK_S = 0.02
_CLOCK = SystemClock()
_BUCKETS = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.02, 2.05, 4.1, 8.2)
_KINDS = ("SPAN_KIND_SERVER", "SPAN_KIND_CLIENT")
_SERVICES = 50


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: so many series, so often."""

    series: int
    ticks: int
    interval_s: float


@dataclass(slots=True)
class Watch(NullObserver):
    """What the sender tells on the way."""

    retried: int = 0
    lost: int = 0
    shards: int = 0

    def samples_retried(self, _endpoint: str, _tenant: str, samples: int) -> None:
        """Count them."""
        self.retried += samples

    def samples_failed(self, _endpoint: str, _tenant: str, _reason: str, samples: int) -> None:
        """Count them."""
        self.lost += samples

    def samples_dropped(self, _endpoint: str, _tenant: str, _reason: str, samples: int) -> None:
        """Count them."""
        self.lost += samples

    def shards_changed(
        self, _endpoint: str, shards: int, _desired: float, _least: int, _most: int
    ) -> None:
        """Keep the most."""
        self.shards = max(self.shards, shards)


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a load; seconds by tick, from its submission to its delivery."""

    tick_seconds: Sequence[float]
    submit_seconds: float
    """The longest that the caller was held up."""
    cpu_seconds_per_million: float
    growth_bytes: int
    blocked_ticks: int
    retried: int
    lost: int
    most_shards: int
    found: Found


def blocks_of(series: int, tick: int) -> list[SeriesBlock]:
    """Span metrics of some label sets: calls, and buckets, sum and count of a histogram."""
    families = 3 + len(_BUCKETS) + 1
    count = max(1, series // families)
    strings = ["", *_KINDS, *(f"service-{n}" for n in range(_SERVICES))]
    strings += [f"GET /api/v1/resource-{n}/{{id}}" for n in range(count)]
    rows = np.arange(count)
    labels = np.column_stack(
        [
            3 + rows % _SERVICES,
            3 + _SERVICES + rows,
            1 + rows % len(_KINDS),
        ]
    ).astype(np.uint32)
    latency = "traces_spanmetrics_latency"
    names = [
        ("traces_spanmetrics_calls_total", ""),
        (f"{latency}_count", ""),
        (f"{latency}_sum", ""),
    ]
    names += [(f"{latency}_bucket", f"{bound:g}") for bound in (*_BUCKETS, float("inf"))]
    return [
        SeriesBlock(
            name=name,
            type=MetricType.COUNTER if name.endswith("calls_total") else MetricType.HISTOGRAM,
            help="",
            unit="",
            constant_labels=(
                ("__metrics_gen_instance", "worker-0"),
                *((("le", le),) if le else ()),
            ),
            label_names=("service", "span_name", "span_kind"),
            labels=labels,
            strings=strings,
            values=np.full(count, float(tick)),
            newborn=np.zeros(count, np.bool_),
            start_ms=np.zeros(count, np.int64),
            ended=np.zeros(count, np.bool_),
        )
        for name, le in names
    ]


def run(load: Load, temper: Temper) -> Sent:
    """Send the load, as a worker would: a tick that comes while an endpoint is behind waits."""
    watch = Watch()
    with slow_receiver(temper) as receiver:
        endpoint = Endpoint(url=receiver.url, name="slow")
        sender = Sender(Routes([endpoint]), clock=_CLOCK, observer=watch)
        sender.start()
        blocks_of(load.series, 0)
        reset_peak_rss()
        before, cpu_s = rss_bytes(), process_time()
        pace = _Pace(sender, load)
        pace.run()
        cpu_s = process_time() - cpu_s
        growth = peak_rss_bytes() - before
        if not sender.close(TIMEOUT_S):
            raise TimeoutError(f"not all was delivered in {TIMEOUT_S} s")
        found = receiver.found()
    return Sent(
        tick_seconds=pace.tick_seconds,
        submit_seconds=pace.submit_seconds,
        cpu_seconds_per_million=cpu_s / (load.ticks * load.series) * 1e6,
        growth_bytes=growth,
        blocked_ticks=pace.blocked,
        retried=watch.retried,
        lost=watch.lost,
        most_shards=watch.shards,
        found=found,
    )


class _Pace:
    """Submits the ticks of a load when their time has come, and notes when they arrive."""

    def __init__(self, sender: Sender, load: Load) -> None:
        self._sender = sender
        self._load = load
        self._waiting: dict[int, tuple[float, Delivery]] = {}
        self._took_s: dict[int, float] = {}
        self.blocked = 0
        self.submit_seconds = 0.0

    @property
    def tick_seconds(self) -> list[float]:
        """By tick."""
        return [self._took_s[tick] for tick in sorted(self._took_s)]

    def run(self) -> None:
        """Send everything, and wait for it."""
        begun_s = _CLOCK.monotonic_s()
        for tick in range(1, self._load.ticks + 1):
            due_s = begun_s + (tick - 1) * self._load.interval_s
            for _ in self._looks():
                is_blocked = self._sender.blocked is not None
                if _CLOCK.monotonic_s() >= due_s and not is_blocked:
                    break
            self.blocked += _CLOCK.monotonic_s() - due_s > 1.0
            self._submit(tick)
        for _ in self._looks():
            if not self._waiting:
                break

    def _submit(self, tick: int) -> None:
        blocks = blocks_of(self._load.series, tick)
        now_s = _CLOCK.monotonic_s()
        made = Tick(_CLOCK.now_ms(), {"large": blocks})
        self._waiting[tick] = (now_s, self._sender.submit(made))
        self.submit_seconds = max(self.submit_seconds, _CLOCK.monotonic_s() - now_s)

    def _looks(self) -> Iterator[None]:
        """Look at what has arrived, again and again."""
        end_s = _CLOCK.monotonic_s() + TIMEOUT_S
        while _CLOCK.monotonic_s() < end_s:
            for tick, (submitted_s, delivery) in list(self._waiting.items()):
                if delivery.done:
                    self._took_s[tick] = _CLOCK.monotonic_s() - submitted_s
                    del self._waiting[tick]
            yield
            _CLOCK.sleep_s(_LOOK_S)
        raise TimeoutError(f"{len(self._waiting)} ticks were not delivered in {TIMEOUT_S} s")


def main() -> int:
    """Run it as the flags say; 1 if anything was lost or out of order."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.remote_write", description=__doc__)
    parser.add_argument("--series", type=int, default=SERIES)
    parser.add_argument("--ticks", type=int, default=TICKS)
    parser.add_argument("--interval", type=float, default=INTERVAL_S, help="seconds")
    parser.add_argument("--delay", type=float, default=DELAY_S, help="seconds of an answer")
    parser.add_argument("--refused", type=float, default=REFUSED, help="share that gets 503")
    given = parser.parse_args()
    load = Load(given.series, given.ticks, given.interval)
    sent = run(load, Temper(given.delay, given.refused))
    report = {"series": load.series, "interval_seconds": load.interval_s, **asdict(sent)}
    sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    found = sent.found
    is_whole = found.least == found.most == load.ticks and not found.faults and not sent.lost
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
