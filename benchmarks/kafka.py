"""`make bench-kafka`: a worker that reads a real Kafka, as JSON lines.

The worker is a process on a core of its own; the broker, the sink and this program share
another. The topic is filled before the worker starts. Its rate is compared with that of
the pipeline on the same records, in memory, on the worker's core.

A worker that lags writes every tick that it missed, so what a tick costs counts by how many
spans there are to one. There are two paces: ``live`` has as many as a worker that reads 530,000
spans a second and writes every 15 s, ``often`` an eighth of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from pstats import Stats
from statistics import median
from threading import Thread
from time import perf_counter, sleep
from typing import Any

import orjson
from urllib3.exceptions import HTTPError

from benchmarks.inputs import BETWEEN_MS, Records, read_input, several
from benchmarks.machine import on_core, peak_rss_bytes_of, two_cores, used_cpu_s
from benchmarks.measure import PIPELINE, Bench, Case
from benchmarks.workloads.files import TRACES, workload_file
from consumer.config.load import parse_config
from consumer.decode import Encoding
from consumer.kafka.client import OutgoingRecord, RecordWriter
from tests.support.kafka_broker import KafkaBroker, KafkaCluster, KafkaUnavailableError
from tests.support.processes import SpanmillWorker
from tests.support.workers import Stage, metric, metrics

ROUNDS, PARTITIONS = 5, 4
WORKLOADS = ("shop", TRACES)
BATCH_SPANS = 16_000
MOST_DISTINCT, MOST_MINUTES = 5, 400
"""Minutes that differ in their traces; after them the same come again, at other times."""

SLACK = {"defaults": {"metrics_generator": {"ingestion_time_range_slack": "12h"}}}
"""So that a record counts whenever it comes again."""

LOOK_S = 0.25
TIMEOUT_S = 300.0
SHOWN = 40
TENANTS = ("single-tenant",)
GUARANTEES = ("at_least_once", "exactly_once")
EXIT_UNAVAILABLE = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """Minutes of a workload, of 200,000 spans and 90 s each, and the time between two ticks."""

    name: str
    minutes: int
    interval: str


PACES = (Pace("live", 40, "1h"), Pace("often", 15, "450s"))
"""A tick for every 8,000,000 spans, one in a run; and for every 1,000,000, three in a run."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a worker was at some moment."""

    seconds: float
    cpu_seconds: float
    spans: float
    ticks: float


@dataclass(frozen=True, slots=True)
class Ran:
    """What one worker did between its first spans and some of its last."""

    spans_per_second: float
    spans_per_cpu_second: float
    ticks: float
    peak_rss_bytes: int
    repartition_bytes: float
    """Of `exactly_once`, as records hold them: lz4 makes less of them."""
    snapshot_bytes: float
    active_series: float


class _Sink(BaseHTTPRequestHandler):
    """Takes every request, and looks at none."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  its name there
        """Say nothing."""


@contextmanager
def sink() -> Iterator[str]:
    """The URL of a remote-write endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api/v1/write"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fill(kafka: KafkaCluster, topic: str, records: Records, passes: tuple[int, int]) -> None:
    """Write ``records`` with the times they have, so many times, so many ms apart."""
    writer = RecordWriter({"bootstrap.servers": kafka.bootstrap, "linger.ms": "50"})
    times, apart_ms = passes
    for number in range(times):
        for value, time_ms in zip(records.values, records.time_ms.tolist(), strict=True):
            writer.write(OutgoingRecord(topic, value, time_ms=time_ms + number * apart_ms))
    failures = writer.flush(TIMEOUT_S)
    if failures:
        raise RuntimeError(f"{len(failures)} records were not written: {failures[0]}")


def run_worker(worker: SpanmillWorker, spans: int, core: int) -> Ran:
    """Start ``worker`` on ``core``, and watch it until it has read ``spans`` spans.

    What it does then is not of interest: it was last looked at while it still read.
    """
    with on_core(core):
        worker.start()
    worker.wait_ready(lambda: _has_spans(worker), TIMEOUT_S)
    readings = [_read(worker)]
    while readings[-1].spans < spans:
        sleep(LOOK_S)
        readings.append(_read(worker))
        if readings[-1].seconds - readings[0].seconds > TIMEOUT_S:
            raise TimeoutError(f"{readings[-1].spans} of {spans} spans in {TIMEOUT_S} s")
    first, last = readings[0], readings[-2 if len(readings) > 2 else -1]
    counted = last.spans - first.spans
    return Ran(
        spans_per_second=counted / (last.seconds - first.seconds),
        spans_per_cpu_second=counted / (last.cpu_seconds - first.cpu_seconds),
        ticks=last.ticks - first.ticks,
        peak_rss_bytes=peak_rss_bytes_of(worker.pid),
        repartition_bytes=metric(worker, "spanmill_repartition_bytes_total"),
        snapshot_bytes=metric(worker, "spanmill_snapshot_bytes_total"),
        active_series=metric(worker, "spanmill_active_series"),
    )


def show_profile(worker: SpanmillWorker, spans: int, core: int) -> None:
    """Where the time of the worker's loop goes, to standard error.

    Other threads, those that send among them, are not in it.
    """
    path = worker.log.with_suffix(".profile")
    worker.command[1:1] = ["-m", "cProfile", "-o", str(path)]
    run_worker(worker, spans, core)
    worker.stop()
    Stats(str(path), stream=sys.stderr).sort_stats("tottime").print_stats(SHOWN)


def _has_spans(worker: SpanmillWorker) -> bool:
    try:
        return metric(worker, "spanmill_spans_received_total") > 0
    except HTTPError:
        return False


def _read(worker: SpanmillWorker) -> Reading:
    names = ("spanmill_spans_received_total", "spanmill_ticks_total")
    spans, ticks = metrics(worker, names)
    return Reading(perf_counter(), used_cpu_s(worker.pid), spans, ticks)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a line is measured of: a workload at a pace, so many times, with a guarantee."""

    workload: str
    pace: Pace
    rounds: int
    guarantee: str
    profile: bool


def measure(asked: Asked, cores: tuple[int, int]) -> dict[str, Any]:
    """A line for what is asked, the worker on the first of ``cores``."""
    minutes = asked.pace.minutes
    distinct = max(each for each in range(1, MOST_DISTINCT + 1) if minutes % each == 0)
    once = read_input(workload_file(asked.workload), Encoding.OTLP_PROTO, TENANTS)
    records = several(once, distinct)
    config = parse_config("", environ={})
    bench = Bench(Case(asked.workload, "default", records, config, "auto", BATCH_SPANS))
    of_pass, passes = int(records.spans.sum()), minutes // distinct
    total = of_pass * passes
    in_memory, ran = [], []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(on_core(cores[1]))
        url = stack.enter_context(sink())
        broker = KafkaBroker(folder)
        stack.enter_context(broker.process)
        broker.start()
        topic = broker.new_topic("spans", PARTITIONS)
        fill(broker, topic, records, (passes, distinct * BETWEEN_MS))
        around = _Around(folder, broker, topic, url)
        if asked.profile:
            with _worker(around, asked, "profiled") as worker:
                show_profile(worker, total, cores[0])
        for number in range(asked.rounds):
            with on_core(cores[0]):
                in_memory.append(of_pass / bench.measure(PIPELINE)[0])
            with _worker(around, asked, f"round-{number}") as worker:
                ran.append(run_worker(worker, total, cores[0]))
    line = _line(asked, in_memory, ran)
    return {
        **line,
        "decoder": bench.decoder.implementation,
        "spans_per_record": round(of_pass / len(records.values), 1),
        "bytes_per_span": round(sum(map(len, records.values)) / of_pass, 1),
        "spans": total,
    }


@dataclass(frozen=True, slots=True)
class _Around:
    """What the workers of a line have in common."""

    folder: Path
    kafka: KafkaCluster
    topic: str
    sink_url: str


@contextmanager
def _worker(around: _Around, asked: Asked, name: str) -> Iterator[SpanmillWorker]:
    """A worker in a group of its own."""
    with ExitStack() as workers:
        stage = Stage(
            around.folder,
            around.kafka,
            around.topic,
            around.sink_url,
            workers,
            asked.pace.interval,
            wait="10s",
            kafka_block={"group_id": name, "create_topics": True},
            blocks={"overrides": SLACK, **_guarantee(asked.guarantee, name)},
        )
        yield stage.worker("measured")


def _line(asked: Asked, in_memory: Sequence[float], ran: Sequence[Ran]) -> dict[str, Any]:
    rates = [each.spans_per_second for each in ran]
    ratios = [rate / own for rate, own in zip(rates, in_memory, strict=True)]
    of_cpu = [each.spans_per_cpu_second / own for each, own in zip(ran, in_memory, strict=True)]
    return {
        "workload": asked.workload,
        "guarantee": asked.guarantee,
        "pace": asked.pace.name,
        "interval": asked.pace.interval,
        "stage": "worker",
        "spans_per_second": round(median(rates)),
        "spread": [round(min(rates)), round(max(rates))],
        "spans_per_cpu_second": round(median(each.spans_per_cpu_second for each in ran)),
        "in_memory_spans_per_second": round(median(in_memory)),
        "ratio_to_in_memory": round(median(ratios), 4),
        "ratio_to_in_memory_spread": [round(min(ratios), 4), round(max(ratios), 4)],
        "ratio_to_in_memory_by_cpu": round(median(of_cpu), 4),
        "ticks": round(median(each.ticks for each in ran)),
        "peak_rss_bytes": max(each.peak_rss_bytes for each in ran),
        "repartition_bytes": round(median(each.repartition_bytes for each in ran)),
        "snapshot_bytes": round(median(each.snapshot_bytes for each in ran)),
        "active_series": round(median(each.active_series for each in ran)),
        "rounds": len(ran),
    }


def _guarantee(guarantee: str, name: str) -> dict[str, Any]:
    """What the configuration says of it, with internal topics of the round's own."""
    topics = {"repartition_topic": f"{name}-deltas", "snapshot_topic": f"{name}-snapshots"}
    return {"processing_guarantee": guarantee, "exactly_once": {"shards": 4, **topics}}


def _asked(arguments: argparse.Namespace) -> Iterator[Asked]:
    for workload in arguments.workload or WORKLOADS:
        for pace in PACES:
            if pace.name in (arguments.pace or [pace.name]):
                minutes = arguments.minutes or pace.minutes
                interval = arguments.interval or pace.interval
                asked = replace(pace, minutes=minutes, interval=interval)
                told = (arguments.guarantee, arguments.profile)
                yield Asked(workload, asked, arguments.rounds, *told)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kafka", description=__doc__)
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="only this one")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--guarantee", choices=GUARANTEES, default=GUARANTEES[0])
    names = [pace.name for pace in PACES]
    parser.add_argument("--pace", choices=names, action="append", help="only this one")
    parser.add_argument(
        "--minutes", type=int, metavar="N", help="of 200,000 spans each, whatever the pace"
    )
    parser.add_argument("--interval", help="between ticks, in the time of records, likewise")
    parser.add_argument(
        "--profile", action="store_true", help="show where the loop's time goes on standard error"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1 or not 1 <= (arguments.minutes or 1) <= MOST_MINUTES:
        parser.error(f"--rounds is at least 1, --minutes 1 to {MOST_MINUTES}")
    try:
        for asked in _asked(arguments):
            print(orjson.dumps(measure(asked, two_cores())).decode(), flush=True)
    except KafkaUnavailableError as error:
        sys.stderr.write(f"no broker to measure with: {error}\n")
        sys.exit(EXIT_UNAVAILABLE)


if __name__ == "__main__":
    main()
