"""Starts the parts of the demo in order, watches them, and ends them in reverse.

Mock Kafka, receiver, worker process, OTLP listener, load. Exit code 0 when span metrics
and service-graph edges arrived for every tenant, else 1.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from consumer.clock import Clock, SystemClock
from consumer.demo.load import Load
from consumer.demo.receiver import PATH, Receiver
from consumer.demo.report import TenantReport
from consumer.demo.shop import ShopTraffic
from consumer.demo.topology import SHOPS
from consumer.demo.view import final_summary, print_to
from consumer.demo.watch import Watch
from consumer.demo.worker_process import (
    Surroundings,
    WorkerProcess,
    config_text,
    worker_command,
)
from consumer.distributor import (
    DEFAULT_PORT,
    Publisher,
    Target,
    make_app,
    writer_properties,
)
from consumer.http_listener import HttpListener
from consumer.kafka.client import RecordWriter, mock_cluster
from consumer.signals import stop_signals

HOST = "127.0.0.1"
TOPIC = "otlp_spans"
DEAD_LETTER_TOPIC = "otlp_spans_dead_letters"
START_TIMEOUT_S = 30.0
DRAIN_TIMEOUT_S = 5.0
POLL_S = 0.1
QUIET = {"log_level": "2"}
"""librdkafka's own lines would spoil the view; what fails is told by the flush."""

WorkerCommand = Callable[[Path], Sequence[str]]


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line says. ``duration_s`` None: until a signal; a port of 0: any."""

    duration_s: float | None = None
    rate: float = 400.0
    otlp_port: int = DEFAULT_PORT
    page_port: int = 0
    plain: bool = False
    seed: int = 1


def run_demo(options: DemoOptions, command: WorkerCommand = worker_command) -> int:
    """Run until a signal or the end of the duration; the exit code.

    ``command`` gives the worker's command line for a configuration file.
    """
    console = Console()
    clock = SystemClock()
    receiver = Receiver(clock)
    with ExitStack() as stack:
        stopped = stack.enter_context(stop_signals())
        bootstrap = stack.enter_context(mock_cluster([TOPIC, DEAD_LETTER_TOPIC]))
        inbox = stack.enter_context(HttpListener(receiver.app(), host=HOST, port=0))
        worker = stack.enter_context(
            _worker(bootstrap, inbox.address + PATH, command, options.page_port)
        )
        console.print("starting the worker …", style="dim")
        if not _await_ready(worker, clock, stopped):
            return _give_up(console, worker)
        console.print(f"Look at {worker.page}", soft_wrap=True, highlight=False)
        address = stack.enter_context(_otlp_listener(bootstrap, options.otlp_port, console))
        receiver.begin()
        load = stack.enter_context(_load(bootstrap, options, clock))
        watch = Watch(load, worker, receiver, clock=clock, otlp_address=address)
        live = console.is_terminal and not options.plain
        watch.run(console, stopped, options.duration_s, live=live)
        if worker.exit_code is not None:
            return _give_up(console, worker)
        load.stop()
        _drain(watch, load, clock)
        if worker.stop() != 0:
            _give_up(console, worker)
        return _conclude(console, load, receiver.reports())


@contextmanager
def _worker(
    bootstrap: str, remote_write_url: str, command: WorkerCommand, port: int
) -> Iterator[WorkerProcess]:
    with TemporaryDirectory(prefix="spanmill-demo-") as folder:
        surroundings = Surroundings(
            bootstrap_servers=bootstrap,
            topic=TOPIC,
            dead_letter_topic=DEAD_LETTER_TOPIC,
            remote_write_url=remote_write_url,
            port=port or _free_port(),
        )
        config_file = Path(folder, "worker.yaml")
        config_file.write_text(config_text(surroundings))
        log_file = Path(folder, "worker.log")
        with WorkerProcess(command(config_file), log_file, surroundings.port) as worker:
            yield worker


@contextmanager
def _otlp_listener(bootstrap: str, port: int, console: Console) -> Iterator[str]:
    """Yield the listener's address; empty, with a word about it, when the port is taken."""
    writer = RecordWriter(writer_properties(bootstrap, QUIET))
    with closing(Publisher(writer)) as publisher:
        try:
            listener = HttpListener(make_app(publisher, Target(TOPIC)), host=HOST, port=port)
        except OSError as error:
            console.print(
                f"No OTLP listener: port {port} cannot be had ({error.strerror});"
                " --otlp-port 0 takes a free one.",
                soft_wrap=True,
            )
            yield ""
            return
        with listener:
            console.print(
                f"OTLP/HTTP is taken on {listener.address}", soft_wrap=True, highlight=False
            )
            yield listener.address


def _load(bootstrap: str, options: DemoOptions, clock: Clock) -> Load:
    traffic = [ShopTraffic(shop, options.seed + number) for number, shop in enumerate(SHOPS)]
    writer = RecordWriter(writer_properties(bootstrap, QUIET))
    return Load(writer, Target(TOPIC), clock=clock, rate=options.rate, traffic=traffic)


def _await_ready(worker: WorkerProcess, clock: Clock, stopped: threading.Event) -> bool:
    deadline_s = clock.monotonic_s() + START_TIMEOUT_S
    while worker.exit_code is None and clock.monotonic_s() < deadline_s:
        if worker.ready():
            return True
        if stopped.wait(POLL_S):
            return False
    return False


def _drain(watch: Watch, load: Load, clock: Clock) -> None:
    """Let the worker take what was written last, so that the sums agree."""
    deadline_s = clock.monotonic_s() + DRAIN_TIMEOUT_S
    while watch.look().spans < load.spans and clock.monotonic_s() < deadline_s:
        clock.sleep_s(POLL_S)


def _give_up(console: Console, worker: WorkerProcess) -> int:
    code = worker.exit_code
    what = "is not ready" if code is None else f"ended with exit code {code}"
    console.print(f"The worker {what}. Its log ends so:", style="bold red")
    console.print(worker.log_tail(), markup=False, highlight=False, soft_wrap=True)
    return 1


def _conclude(console: Console, load: Load, reports: Mapping[str, TenantReport]) -> int:
    """Print the summary; 0 when every tenant's metrics arrived."""
    print_to(console, final_summary(reports))
    missing = []
    for tenant, written in load.spans_by_tenant.items():
        report = reports.get(tenant)
        counted = 0 if report is None else round(report.calls)
        console.print(
            f"{tenant}: {written} spans written, {counted} counted by the metrics", highlight=False
        )
        if report is None or not report.complete:
            missing.append(tenant)
    if missing:
        console.print(f"No metrics arrived for: {', '.join(missing)}", style="bold red")
        return 1
    console.print("Metrics arrived for every tenant.", style="bold green")
    return 0


def _free_port() -> int:
    """Return a port that is free now; the worker takes it a moment later."""
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
