"""What encoding costs: ``.venv/bin/python tests/unit/remote_write/measure_encode.py``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from consumer.remote_write.encode import encode
from consumer.remote_write.encode_v2 import Encoding, encode_v2
from consumer.remote_write.relabel import Relabeller, Rule
from consumer.remote_write.request import EncodedRequest, Limits
from consumer.remote_write.series import MetricType, SeriesBlock

SERIES = 100_000
LE = ("0.002", "0.004", "0.008", "0.016", "0.032", "0.064", "0.128", "0.256", "0.512", "+Inf")


def blocks(per_block: int) -> list[SeriesBlock]:
    """Series of five labels and a name, a block for each ``le``."""
    services = [f"service-{number}" for number in range(40)]
    names = [f"GET /api/resource/{number}/items" for number in range(per_block // 40 + 1)]
    strings = ["", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "STATUS_CODE_UNSET", *services, *names]
    rows = [
        (4 + service, 44 + name, 1 + name % 2, 3)
        for name, service in product(range(len(names)), range(40))
    ]
    labels = np.array(rows[:per_block], dtype=np.uint32)
    count = len(labels)
    return [
        SeriesBlock(
            name="traces_spanmetrics_latency_bucket",
            type=MetricType.HISTOGRAM,
            help="",
            unit="",
            constant_labels=(("le", bound),),
            label_names=("service", "span_name", "span_kind", "status_code"),
            labels=labels,
            strings=strings,
            values=np.arange(count, dtype=np.float64) * 1.5,
            newborn=np.zeros(count, dtype=np.bool_),
            start_ms=np.zeros(count, dtype=np.int64),
            ended=np.zeros(count, dtype=np.bool_),
        )
        for bound in LE
    ]


TIME_MS = 1_790_000_000_000
LIMITS = Limits(2000, 1 << 20)
RULES = (
    Rule(action="drop", source_labels=("service", "span_name"), regex="service-1;.*/7/.*"),
    Rule(source_labels=("service",), regex="service-(.*)", target_label="team"),
)


def as_v1(tick: list[SeriesBlock]) -> Iterator[EncodedRequest]:
    """Remote write 1.0."""
    return encode(tick, TIME_MS, LIMITS, print)


def as_v2(tick: list[SeriesBlock]) -> Iterator[EncodedRequest]:
    """Remote write 2.0."""
    return encode_v2(tick, Encoding(TIME_MS, LIMITS, created_timestamp=False), print)


def relabelled(tick: list[SeriesBlock]) -> Iterator[EncodedRequest]:
    """Remote write 1.0 behind two rules."""
    return encode(Relabeller(RULES).apply(tick, lambda _: None), TIME_MS, LIMITS, print)


def best_us(per_block: int, way: Callable[[list[SeriesBlock]], Iterator[EncodedRequest]]) -> float:
    """Microseconds of CPU per series, compression included, best of five."""
    best = float("inf")
    tick = blocks(per_block)
    rounds = max(1, SERIES // (per_block * len(LE)))
    for _ in range(5):
        start = time.process_time()
        for _ in range(rounds):
            for _request in way(tick):
                pass
        best = min(best, time.process_time() - start)
    return best / (rounds * per_block * len(LE)) * 1e6


if __name__ == "__main__":
    costs = {
        f"{way.__name__}_{size}_per_block_us": round(best_us(size, way), 3)
        for way in (as_v1, as_v2, relabelled)
        for size in (10, 100, 10_000)
    }
    sys.stdout.write(json.dumps(costs) + "\n")
