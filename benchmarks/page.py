"""``python -m benchmarks.page``: what the page of a worker costs, as a line of JSON.

One tenant, so many series that all of them are told at each tick, each label set an
operation of its own. A worker looks at each tick once; a browser asks for a view every two
seconds while somebody looks.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import process_time

import orjson

from benchmarks.machine import pin_to_one_core
from benchmarks.memory import INTERVAL_MS, SERIES, START_MS, fold, new_registry
from benchmarks.state import SERIES_OF_LABEL_SET, TENANT
from consumer.page.graph import Layouts
from consumer.page.routes import as_json
from consumer.page.tenant import TenantTraffic
from consumer.page.traffic import Traffic
from consumer.page.views import traffic_view

TICKS = 5


def measure(series: int) -> dict[str, float]:
    """Medians over some ticks of ``series`` series."""
    registry, traffic, layouts = new_registry(), Traffic(), Layouts()
    label_sets = series // SERIES_OF_LABEL_SET
    collected, looked, viewed = [], [], []
    size = 0

    def view(seen: TenantTraffic) -> bytes:
        return as_json(traffic_view(seen, layouts))

    for number in range(1, TICKS + 1):
        time_ms = START_MS + number * INTERVAL_MS
        fold(registry, 0, label_sets, time_ms)
        began = process_time()
        tick = registry.collect(time_ms)
        after = process_time()
        traffic.take(tick)
        taken = process_time()
        size = len(traffic.see(TENANT, view) or b"")
        viewed.append(process_time() - taken)
        looked.append(taken - after)
        collected.append(after - began)
    return {
        "series": registry.active_series().total(),
        "collect_milliseconds": round(median(collected) * 1e3, 2),
        "page_milliseconds_per_tick": round(median(looked) * 1e3, 2),
        "page_milliseconds_per_view": round(median(viewed) * 1e3, 2),
        "bytes_per_view": size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--series", type=int, default=SERIES, metavar="N")
    series = parser.parse_args().series
    if series < SERIES_OF_LABEL_SET:
        parser.error(f"--series is at least {SERIES_OF_LABEL_SET}")
    pin_to_one_core()
    print(orjson.dumps(measure(series)).decode(), flush=True)


if __name__ == "__main__":
    main()
