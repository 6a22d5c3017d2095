"""`make bench-memory`: what series cost to hold, to collect and to write, as JSON lines.

Each round of each stage runs in a process of its own, so that memory is its own too. Time
is that of records: an hour of ticks takes as long as the work in it.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from cProfile import Profile
from dataclasses import dataclass
from multiprocessing import get_context
from pstats import Stats
from statistics import median
from threading import Thread
from time import perf_counter, process_time, sleep
from typing import TypeAlias

import orjson

from benchmarks.machine import peak_rss_bytes, pin_to_one_core, reset_peak_rss, rss_bytes
from benchmarks.state import SERIES_OF_LABEL_SET, TENANT, frames
from consumer.page.traffic import Traffic
from consumer.registry import Registry, RegistrySettings
from consumer.remote_write.encode import encode
from consumer.remote_write.request import Limits
from consumer.remote_write.resharding import START
from consumer.remote_write.series import SeriesBlock, Tick
from consumer.remote_write.shards import count_for, cut

SERIES, ROUNDS = 1_000_000, 5
TICKS_OF_AN_HOUR = 240
INTERVAL_MS, STALE_MS = 15_000, 300_000
LIMITS = Limits(samples=2_000, size_bytes=3 << 20)
MOST_SHARDS = 50
"""The defaults of remote write."""

CHURN = 0.05
"""Share of the label sets that others take the place of, from tick to tick."""

START_MS = 1_700_000_000_000
TURN_S = 0.001

Figures: TypeAlias = dict[str, float]
Stage: TypeAlias = Callable[[int, int], Figures]
"""A stage of so many series and so many ticks."""


def new_registry() -> Registry:
    settings = RegistrySettings(interval_ms=INTERVAL_MS, stale_ms=STALE_MS)
    return Registry(settings, started_ms=START_MS)


def fold(registry: Registry, first: int, label_sets: int, time_ms: int) -> None:
    for frame in frames(first, label_sets):
        registry.fold([frame], time_ms)


@dataclass(frozen=True, slots=True)
class Written:
    """What the requests of a tick hold: samples, exemplars beside them, and bytes."""

    samples: int
    exemplars: int
    size_bytes: int


def hand_over(tick: Tick, traffic: Traffic) -> Sequence[Sequence[SeriesBlock]]:
    """What the loop does with a tick when it is collected: for the page, and for the senders."""
    traffic.take(tick)
    blocks = tick.tenants.get(TENANT, ())
    samples = sum(map(len, blocks))
    shards = count_for(samples, START, MOST_SHARDS, LIMITS.samples)
    return list(cut(blocks, shards).values())


def write(shards: Sequence[Sequence[SeriesBlock]], time_ms: int) -> Written:
    """Encode and compress as senders would."""
    requests = [
        (request.samples, request.exemplars, len(request.body))
        for blocks in shards
        for request in encode(blocks, time_ms, LIMITS, lambda *_: None)
    ]
    return Written(*map(sum, zip(*requests, strict=True)) if requests else (0, 0, 0))


def hold(series: int, ticks: int) -> Figures:
    """All series at once: what they take, and what a tick of them costs."""
    label_sets = series // SERIES_OF_LABEL_SET
    fold(new_registry(), 0, 1, START_MS)
    gc.collect()
    before = rss_bytes()
    registry = new_registry()
    fold(registry, 0, label_sets, START_MS)
    gc.collect()
    held = rss_bytes() - before
    active = registry.active_series().total()
    time_ms = START_MS + INTERVAL_MS
    longest_s = _longest_pause_s(registry, time_ms)
    traffic = Traffic()
    collected, handed_over, written, last = [], [], [], Written(0, 0, 0)
    for _ in range(ticks):
        fold(registry, 0, label_sets, time_ms)
        time_ms += INTERVAL_MS
        began = process_time()
        tick = registry.collect(time_ms)
        collected_at = process_time()
        shards = hand_over(tick, traffic)
        del tick
        handed_over_at = process_time()
        last = write(shards, time_ms)
        collected.append(collected_at - began)
        handed_over.append(handed_over_at - collected_at)
        written.append(process_time() - handed_over_at)
        del shards
    fold(registry, 0, label_sets, time_ms)
    longest_s = max(longest_s, _longest_pause_s(registry, time_ms + INTERVAL_MS))
    gc.collect()
    return {
        "series": active,
        "bytes_per_series": held / active,
        "bytes_per_series_after_ticks": (rss_bytes() - before) / active,
        "bytes_per_series_at_peak": (peak_rss_bytes() - before) / active,
        "collect_microseconds_per_sample": median(collected) / last.samples * 1e6,
        "hand_over_microseconds_per_sample": median(handed_over) / last.samples * 1e6,
        "write_microseconds_per_sample": median(written) / last.samples * 1e6,
        "microseconds_per_sample": median(
            map(sum, zip(collected, handed_over, written, strict=True))
        )
        / last.samples
        * 1e6,
        "exemplars": last.exemplars,
        "bytes_per_sample": last.size_bytes / last.samples,
        "longest_pause_seconds": longest_s,
    }


def _longest_pause_s(registry: Registry, time_ms: int) -> float:
    """Longest time between two turns of a loop that collects while another thread writes."""
    traffic = Traffic()
    last = perf_counter()
    shards = hand_over(registry.collect(time_ms), traffic)
    writer = Thread(target=write, args=(shards, time_ms))
    writer.start()
    longest = perf_counter() - last
    while writer.is_alive():
        last = perf_counter()
        sleep(TURN_S)
        longest = max(longest, perf_counter() - last - TURN_S)
    writer.join()
    return longest


def steady(series: int, ticks: int) -> Figures:
    """The same series get deltas all the time."""
    return _run(series, ticks, churn=0.0)


def churn(series: int, ticks: int) -> Figures:
    """Some series end for good at each tick, as many begin, and staleness removes them."""
    return _run(series, ticks, churn=CHURN)


def _run(series: int, ticks: int, *, churn: float) -> Figures:
    """Memory after the first quarter of ``ticks``, and how much more it is in the end."""
    label_sets = series // SERIES_OF_LABEL_SET
    registry, traffic = new_registry(), Traffic()
    time_ms, first, early, samples = START_MS, 0, 0, 0
    for number in range(ticks):
        fold(registry, first, label_sets, time_ms)
        time_ms += INTERVAL_MS
        samples = write(hand_over(registry.collect(time_ms), traffic), time_ms).samples
        first += int(churn * label_sets)
        if number == max(1, ticks // 4) - 1:
            gc.collect()
            early = rss_bytes()
            reset_peak_rss()
    gc.collect()
    active = registry.active_series().total()
    return {
        "series": active,
        "samples_of_the_last_tick": samples,
        "rss_bytes_early": early,
        "rss_bytes": rss_bytes(),
        "growth_bytes_per_series": (rss_bytes() - early) / active,
        "peak_rss_bytes": peak_rss_bytes(),
    }


STAGES: dict[str, tuple[Stage, float, int]] = {
    "hold": (hold, 1.0, 5),
    "steady": (steady, 0.1, TICKS_OF_AN_HOUR),
    "churn": (churn, 0.1, 4 * TICKS_OF_AN_HOUR),
}
"""Each with its share of the series, and its ticks.

Under churn it takes most of an hour until unused strings are dropped for the first time.
"""


def measure(stage: str, series: int, rounds: int) -> dict[str, object]:
    """The median of every figure, and the least and the greatest."""
    figures = [dict(_in_a_process(stage, series)) for _ in range(rounds)]
    line: dict[str, object] = {"stage": stage, "rounds": rounds}
    for name in figures[0]:
        values = [each[name] for each in figures]
        line[name] = round(median(values), 4)
        line[f"{name}_spread"] = [round(min(values), 4), round(max(values), 4)]
    return line


def _in_a_process(stage: str, series: int) -> Iterator[tuple[str, float]]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield from pool.submit(run, stage, series).result().items()


def run(stage: str, series: int) -> Figures:
    """One round of ``stage``, in this process."""
    pin_to_one_core()
    function, share, ticks = STAGES[stage]
    return function(int(series * share), ticks)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--series", type=int, default=SERIES, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--stage", choices=STAGES, action="append", help="only this; repeatable")
    parser.add_argument("--profile", action="store_true", help="show where the time goes instead")
    arguments = parser.parse_args()
    if arguments.series < SERIES_OF_LABEL_SET * 10 or arguments.rounds < 1:
        parser.error("--series is at least 190 and --rounds at least 1")
    for stage in arguments.stage or STAGES:
        if arguments.profile:
            profiler = Profile()
            profiler.runcall(run, stage, arguments.series)
            Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(30)
            continue
        print(orjson.dumps(measure(stage, arguments.series, arguments.rounds)).decode(), flush=True)


if __name__ == "__main__":
    main()
