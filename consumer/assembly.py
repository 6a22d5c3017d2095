"""Puts a worker together from its configuration, and runs it."""

from __future__ import annotations

import logging
import math
import threading
from contextlib import ExitStack

from prometheus_client import CollectorRegistry

from consumer.clock import SystemClock
from consumer.config.environment import environment, own_version
from consumer.config.model import Config
from consumer.config.shown import as_tree
from consumer.cores import usable_cores
from consumer.decode import Encoding
from consumer.decode.ahead import open_ahead
from consumer.kafka.admin import Admin
from consumer.kafka.client import RecordWriter
from consumer.kafka.dead_letters import DeadLetters
from consumer.kafka.intake import IntakeSettings
from consumer.kafka.source import SourceSettings, SpanSource
from consumer.operations.topics import prepare
from consumer.overrides import Overrides
from consumer.page.routes import Page, PageSources
from consumer.page.sinks import Sinks
from consumer.page.tap import Tap
from consumer.page.traffic import Traffic
from consumer.pipeline import open_pipeline
from consumer.remote_write.sender import Sender
from consumer.seam.build import Around, member_properties, open_seam
from consumer.signals import hang_up_sets, stop_signals
from consumer.telemetry.metrics import Metrics
from consumer.telemetry.reporter import Reporter
from consumer.telemetry.server import Served, Status, StatusServer
from consumer.ticks.record_time import RecordTime
from consumer.worker import Parts, Worker, WorkerSettings

MOST_POLL_S = 0.05
"""With `exactly_once` the loop has two topics to read, and waits at neither for long."""

CLOSE_TIMEOUT_S = 1.0
"""For requests under way; the worker has delivered what it could before."""

_log = logging.getLogger(__name__)


def run_worker(config: Config) -> int:
    """Run a worker until SIGTERM or SIGINT; the exit code of the process."""
    clock = SystemClock()
    registry = CollectorRegistry()
    metrics = Metrics.of_process(registry)
    status = Status(version=own_version(), encoding=config.kafka.encoding)
    overrides = Overrides(config, environ=environment(), now_ms=clock.now_ms())
    sinks = Sinks(metrics.remote_write, overrides.routes.endpoints(), clock)
    sender = Sender(overrides.routes, clock=clock, observer=sinks)
    traffic = Traffic(in_parts=config.processing_guarantee == "exactly_once")
    around = Around(
        sink=Tap(sender, traffic, sinks),
        dead_letters=_dead_letters(config),
        reporter=Reporter(metrics, status, clock),
        clock=clock,
    )
    ahead = open_ahead(Encoding(config.kafka.encoding), usable_cores())
    pipeline = open_pipeline(config, overrides.tenants, ahead)
    status.decoder = pipeline.decoder.implementation
    metrics.intake.decoder_is(status.decoder, status.encoding)
    metrics.intake.build_is(status.version)
    if overrides.path is not None:
        metrics.overrides.started(clock.now_ms() / 1_000)
    for notice in (*config.notices, *overrides.tenants.notices):
        _log.warning("%s", notice)
    if status.decoder != "native":
        _log.warning("the native decoder is not installed; decoding in Python is slower")
    address = (config.server.host, config.server.port)
    served = Served(registry, status, as_tree(config))
    sources = PageSources(status, traffic, sinks, served.configuration)
    server = StatusServer(address, served, clock=clock, more=Page(sources, clock).routes())
    with ExitStack() as stack:
        if ahead is not None:
            stack.callback(ahead.close)
        stop = stack.enter_context(stop_signals())
        if overrides.path is not None:
            stack.enter_context(hang_up_sets(overrides.wanted))
        stack.enter_context(server)
        if config.kafka.create_topics or config.processing_guarantee == "exactly_once":
            prepare(config, Admin(config.kafka.connection()), stop)
        if stop.is_set():
            return 0
        parts = Parts(
            pipeline=pipeline,
            seam=open_seam(config, overrides, around),
            dead_letters=around.dead_letters,
            overrides=overrides,
            reporter=around.reporter,
            clock=clock,
            ahead=ahead,
        )
        told = {"port": server.port, "decoder": status.decoder, "decode_ahead": ahead is not None}
        _log.info("worker started", extra=told)
        _turn(config, parts, sender, stop)
    return 0


def _turn(config: Config, parts: Parts, sender: Sender, stop: threading.Event) -> None:
    """Run the loop; whatever ends it, close what is open."""
    worker = Worker(_settings(config), parts)
    source = SpanSource(source_settings(config), worker)
    sender.start()
    try:
        worker.run(source, stop)
    finally:
        source.close()
        parts.seam.close(parts.clock.monotonic_s() + config.server.shutdown_timeout / 1_000)
        sender.close(timeout_s=CLOSE_TIMEOUT_S)


def record_time(config: Config) -> RecordTime:
    """How record time is read."""
    return RecordTime(
        idle_grace_ms=config.record_time.idle_grace,
        max_skew_ms=config.record_time.max_record_skew,
        max_ahead=config.record_time.max_ahead,
        rebuilds=config.processing_guarantee == "exactly_once",
    )


def _settings(config: Config) -> WorkerSettings:
    kafka = config.kafka
    most_poll_s = MOST_POLL_S if config.processing_guarantee == "exactly_once" else math.inf
    return WorkerSettings(
        topic=kafka.topic,
        intake=IntakeSettings.of(kafka),
        time=record_time(config),
        poll_s=min(kafka.poll_timeout / 1_000, most_poll_s),
        shutdown_s=config.server.shutdown_timeout / 1_000,
    )


def source_settings(config: Config) -> SourceSettings:
    """How to join the group."""
    kafka = config.kafka
    own = member_properties(config, kafka.group_id)
    return SourceSettings(
        topic=kafka.topic,
        properties={**own, "auto.offset.reset": kafka.auto_offset_reset},
        max_batch_records=kafka.max_batch_records,
        max_batch_bytes=kafka.max_batch_bytes,
        needs_committed=config.processing_guarantee == "exactly_once",
    )


def _dead_letters(config: Config) -> DeadLetters:
    kafka = config.kafka
    if not kafka.dead_letter_topic:
        return DeadLetters("", None, own_version())
    properties = {**kafka.client_properties(), "bootstrap.servers": kafka.bootstrap_servers}
    return DeadLetters(kafka.dead_letter_topic, RecordWriter(properties), own_version())
