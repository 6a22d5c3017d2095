"""`make bench-cores`: what a second core gives a worker that lags, as JSON lines.

The span side reads polls as a worker does that is far behind, and a registry folds the
deltas: decoding in the loop, on one core; decoding ahead on two; and decoding ahead on one,
which a worker does not do. Each is done once in a round, and compared within it: by the
clock, and by the processor time of the loop's thread, which others on the machine disturb less.
"""

from __future__ import annotations

import argparse
import gc
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter, thread_time
from typing import Any

import orjson

from benchmarks.inputs import Records, read_input, several
from benchmarks.machine import on_core, two_cores
from benchmarks.workloads.files import TRACES, workload_file
from consumer.assembly import record_time
from consumer.config.load import parse_config
from consumer.config.model import Config
from consumer.config.tenants import settings_by_tenant
from consumer.decode import Encoding, open_decoder
from consumer.decode.ahead import DecodeAhead
from consumer.files.rehearsal import registry_of
from consumer.kafka.client import IncomingRecord
from consumer.kafka.intake import IntakeSettings
from consumer.pipeline import open_pipeline
from consumer.span_side import SpanSide

ROUNDS, MINUTES, PARTITIONS = 5, 3, 4
WORKLOADS = ("shop", "wide", TRACES)
TENANTS = ("single-tenant",)
MAX_BATCH_BYTES = parse_config("", environ={}).kafka.max_batch_bytes


@dataclass(frozen=True, slots=True)
class Way:
    """Of decoding: ahead or in the loop, on so many cores."""

    decodes_ahead: bool
    cores: int


WAYS = (Way(False, 1), Way(True, 2), Way(True, 1))
"""The first is what the others are compared with."""


def polls_of(records: Records, config: Config) -> list[list[IncomingRecord]]:
    """``records`` as polls of a worker that is far behind: as large as they may be."""
    polls: list[list[IncomingRecord]] = [[]]
    size_bytes = 0
    for offset, (value, time_ms) in enumerate(
        zip(records.values, records.time_ms.tolist(), strict=True)
    ):
        if polls[-1] and (
            len(polls[-1]) >= config.kafka.max_batch_records
            or size_bytes >= config.kafka.max_batch_bytes
        ):
            polls.append([])
            size_bytes = 0
        polls[-1].append(IncomingRecord(offset % PARTITIONS, offset, time_ms, None, value, ()))
        size_bytes += len(value)
    return polls


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds by the clock, and of processor time of the loop's thread."""

    seconds: float
    loop_cpu_s: float


def run(polls: Sequence[Sequence[IncomingRecord]], config: Config, way: Way) -> Took:
    """Read all ``polls``, from nothing."""
    tenants = settings_by_tenant(config)
    with ExitStack() as stack:
        stack.enter_context(on_core(two_cores()[1]) if way.cores == 1 else nullcontext())
        ahead = (
            DecodeAhead(partial(open_decoder, Encoding(config.kafka.encoding)))
            if way.decodes_ahead
            else None
        )
        if ahead is not None:
            stack.callback(ahead.close)
        registry = registry_of(config, tenants)
        side = SpanSide(
            open_pipeline(config, tenants, ahead),
            IntakeSettings.of(config.kafka),
            record_time(config).of(tenants),
            _refuse,
            ahead,
        )
        for partition in range(PARTITIONS):
            side.open(partition)
        now_ms = polls[-1][-1].time_ms
        gc.collect()
        began, began_cpu = perf_counter(), thread_time()
        side.expect(polls[0], now_ms)
        for number, poll in enumerate(polls):
            upcoming = polls[number + 1] if number + 1 < len(polls) else ()
            for ticked in side.push(poll, now_ms, upcoming):
                registry.fold(ticked.outcome.frames, ticked.tick_ms)
        return Took(perf_counter() - began, thread_time() - began_cpu)


def _refuse(record: IncomingRecord, reason: str, text: str) -> None:
    raise ValueError(f"record {record.offset} of a workload is not sound: {reason}: {text}")


def measure(
    workload: str, minutes: int, rounds: int, max_batch_bytes: int
) -> Iterator[dict[str, Any]]:
    """A line for each way."""
    config = parse_config(f"kafka: {{max_batch_bytes: {max_batch_bytes}}}", environ={})
    records = read_input(workload_file(workload), Encoding(config.kafka.encoding), TENANTS)
    records = several(records, minutes)
    polls = polls_of(records, config)
    spans = int(records.spans.sum())
    took: defaultdict[Way, list[Took]] = defaultdict(list)
    for _ in range(rounds):
        for way in WAYS:
            took[way].append(run(polls, config, way))
    for way in WAYS:
        pairs = list(zip(took[WAYS[0]], took[way], strict=True))
        gains = [in_loop.seconds / own.seconds for in_loop, own in pairs]
        by_cpu = [in_loop.loop_cpu_s / own.loop_cpu_s for in_loop, own in pairs]
        rates = [spans / each.seconds for each in took[way]]
        yield {
            "workload": workload,
            "stage": "span_side",
            "decode": "ahead" if way.decodes_ahead else "in_loop",
            "cores": way.cores,
            "decoder": open_pipeline(config).decoder.implementation,
            "spans_per_poll": round(spans / len(polls)),
            "spans_per_second": round(median(rates)),
            "spread": [round(min(rates)), round(max(rates))],
            "ratio_to_in_loop": round(median(gains), 4),
            "ratio_to_in_loop_spread": [round(min(gains), 4), round(max(gains), 4)],
            "spans_per_loop_cpu_second": round(median(spans / t.loop_cpu_s for t in took[way])),
            "ratio_to_in_loop_by_loop_cpu": round(median(by_cpu), 4),
            "rounds": rounds,
            "spans": spans,
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.second_core", description=__doc__)
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="only this one")
    parser.add_argument(
        "--minutes", type=int, default=MINUTES, metavar="N", help="of 200,000 spans each"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument(
        "--max-batch-bytes", type=int, default=MAX_BATCH_BYTES, metavar="N", help="of a poll"
    )
    arguments = parser.parse_args()
    numbers = (arguments.minutes, arguments.rounds, arguments.max_batch_bytes)
    if min(numbers) < 1:
        parser.error("--minutes, --rounds and --max-batch-bytes are numbers of at least 1")
    for workload in arguments.workload or WORKLOADS:
        for line in measure(workload, *numbers):
            print(orjson.dumps(line).decode(), flush=True)


if __name__ == "__main__":
    main()
