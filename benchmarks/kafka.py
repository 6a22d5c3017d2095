"""`make bench-kafka`: a worker that reads a real Kafka, as JSON lines.

The worker is a process on a core of its own; the broker, the sink and this program share
another. The topic is filled before the worker starts. Its rate is compared with that of
the pipeline on the same records, in memory, on the worker's core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from time import perf_counter, sleep
from typing import Any

import orjson
from urllib3.exceptions import HTTPError

from benchmarks.inputs import Records, read_input, several
from benchmarks.machine import on_core, peak_rss_bytes_of, two_cores, used_cpu_s
from benchmarks.measure import PIPELINE, Bench, Case
from benchmarks.workloads.files import TRACES, workload_file
from consumer.config.load import parse_config
from consumer.decode import Encoding
from consumer.kafka.client import OutgoingRecord, RecordWriter
from tests.support.kafka_broker import KafkaBroker, KafkaCluster, KafkaUnavailableError
from tests.support.processes import SpanmillWorker
from tests.support.workers import Stage, metric

ROUNDS, MINUTES, PARTITIONS = 5, 5, 4
WORKLOADS = ("shop", TRACES)
BATCH_SPANS = 16_000
INTERVAL = "5m"
"""A tick of 120,000 series for every million spans: minutes pass in a second here."""

LOOK_S = 0.1
TIMEOUT_S = 300.0
TENANTS = ("single-tenant",)
GUARANTEES = ("at_least_once", "exactly_once")
EXIT_UNAVAILABLE = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a worker was at some moment."""

    seconds: float
    cpu_seconds: float
    spans: float


@dataclass(frozen=True, slots=True)
class Ran:
    """What one worker did between its first spans and its last."""

    spans_per_second: float
    spans_per_cpu_second: float
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


def fill(kafka: KafkaCluster, topic: str, records: Records) -> None:
    """Write ``records`` with the times they have."""
    writer = RecordWriter({"bootstrap.servers": kafka.bootstrap, "linger.ms": "50"})
    for value, time_ms in zip(records.values, records.time_ms.tolist(), strict=True):
        writer.write(OutgoingRecord(topic, value, time_ms=time_ms))
    failures = writer.flush(TIMEOUT_S)
    if failures:
        raise RuntimeError(f"{len(failures)} records were not written: {failures[0]}")


def run_worker(stage: Stage, spans: int, core: int) -> Ran:
    """Start a worker on ``core``, and watch it until it has read ``spans`` spans."""
    worker = stage.worker("measured")
    with on_core(core):
        worker.start()
    worker.wait_ready(lambda: _has_spans(worker), TIMEOUT_S)
    readings = [_read(worker)]
    while readings[-1].spans < spans:
        sleep(LOOK_S)
        readings.append(_read(worker))
        if readings[-1].seconds - readings[0].seconds > TIMEOUT_S:
            raise TimeoutError(f"{readings[-1].spans} of {spans} spans in {TIMEOUT_S} s")
    first, last = readings[0], readings[-1]
    counted = last.spans - first.spans
    return Ran(
        spans_per_second=counted / (last.seconds - first.seconds),
        spans_per_cpu_second=counted / (last.cpu_seconds - first.cpu_seconds),
        peak_rss_bytes=peak_rss_bytes_of(worker.pid),
        repartition_bytes=metric(worker, "spanmill_repartition_bytes_total"),
        snapshot_bytes=metric(worker, "spanmill_snapshot_bytes_total"),
        active_series=metric(worker, "spanmill_active_series"),
    )


def _has_spans(worker: SpanmillWorker) -> bool:
    try:
        return metric(worker, "spanmill_spans_received_total") > 0
    except HTTPError:
        return False


def _read(worker: SpanmillWorker) -> Reading:
    spans = metric(worker, "spanmill_spans_received_total")
    return Reading(perf_counter(), used_cpu_s(worker.pid), spans)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a line is measured of: minutes of a workload, so many times, with a guarantee.

    ``interval``: between ticks, in the time of records.
    """

    workload: str
    minutes: int
    rounds: int
    guarantee: str
    interval: str


def measure(asked: Asked, cores: tuple[int, int]) -> dict[str, Any]:
    """A line for what is asked, the worker on the first of ``cores``."""
    workload, minutes, rounds = asked.workload, asked.minutes, asked.rounds
    records = several(read_input(workload_file(workload), Encoding.OTLP_PROTO, TENANTS), minutes)
    config = parse_config("", environ={})
    bench = Bench(Case(workload, "default", records, config, "auto", BATCH_SPANS))
    total = int(records.spans.sum())
    in_memory, ran = [], []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(on_core(cores[1]))
        url = stack.enter_context(sink())
        broker = KafkaBroker(folder)
        stack.enter_context(broker.process)
        broker.start()
        topic = broker.new_topic("spans", PARTITIONS)
        fill(broker, topic, records)
        for number in range(rounds):
            with on_core(cores[0]):
                in_memory.append(total / bench.measure(PIPELINE)[0])
            with ExitStack() as workers:
                stage = Stage(
                    folder,
                    broker,
                    topic,
                    url,
                    workers,
                    asked.interval,
                    wait="10s",
                    kafka_block={"group_id": f"round-{number}", "create_topics": True},
                    blocks=_guarantee(asked.guarantee, f"round-{number}"),
                )
                ran.append(run_worker(stage, total, cores[0]))
    rates = [each.spans_per_second for each in ran]
    ratios = [rate / own for rate, own in zip(rates, in_memory, strict=True)]
    of_cpu = [each.spans_per_cpu_second / own for each, own in zip(ran, in_memory, strict=True)]
    return {
        "workload": workload,
        "guarantee": asked.guarantee,
        "interval": asked.interval,
        "stage": "worker",
        "decoder": bench.decoder.implementation,
        "spans_per_record": round(total / len(records.values), 1),
        "spans_per_second": round(median(rates)),
        "spread": [round(min(rates)), round(max(rates))],
        "spans_per_cpu_second": round(median(each.spans_per_cpu_second for each in ran)),
        "in_memory_spans_per_second": round(median(in_memory)),
        "ratio_to_in_memory": round(median(ratios), 4),
        "ratio_to_in_memory_spread": [round(min(ratios), 4), round(max(ratios), 4)],
        "ratio_to_in_memory_by_cpu": round(median(of_cpu), 4),
        "bytes_per_span": round(sum(map(len, records.values)) / total, 1),
        "peak_rss_bytes": max(each.peak_rss_bytes for each in ran),
        "repartition_bytes": round(median(each.repartition_bytes for each in ran)),
        "snapshot_bytes": round(median(each.snapshot_bytes for each in ran)),
        "active_series": round(median(each.active_series for each in ran)),
        "rounds": rounds,
        "spans": total,
    }


def _guarantee(guarantee: str, name: str) -> dict[str, Any]:
    """What the configuration says of it, with internal topics of the round's own."""
    topics = {"repartition_topic": f"{name}-deltas", "snapshot_topic": f"{name}-snapshots"}
    return {"processing_guarantee": guarantee, "exactly_once": {"shards": 4, **topics}}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kafka", description=__doc__)
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="only this one")
    parser.add_argument(
        "--minutes", type=int, default=MINUTES, metavar="N", help="of 200,000 spans each"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--guarantee", choices=GUARANTEES, default=GUARANTEES[0])
    parser.add_argument(
        "--interval", default=INTERVAL, help="between ticks, in the time of records"
    )
    arguments = parser.parse_args()
    if min(arguments.minutes, arguments.rounds) < 1:
        parser.error("--minutes and --rounds are numbers of at least 1")
    try:
        for workload in arguments.workload or WORKLOADS:
            numbers = (arguments.minutes, arguments.rounds)
            told = (arguments.guarantee, arguments.interval)
            line = measure(Asked(workload, *numbers, *told), two_cores())
            print(orjson.dumps(line).decode(), flush=True)
    except KafkaUnavailableError as error:
        sys.stderr.write(f"no broker to measure with: {error}\n")
        sys.exit(EXIT_UNAVAILABLE)


if __name__ == "__main__":
    main()
