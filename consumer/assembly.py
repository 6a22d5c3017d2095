"""Puts a worker together from its configuration, and runs it."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from functools import partial

from prometheus_client import CollectorRegistry

from consumer.clock import Clock, SystemClock
from consumer.config.environment import environment, host_name, own_version
from consumer.config.model import Config
from consumer.config.series import registry_settings
from consumer.config.shown import as_tree
from consumer.config.tenants import SettingsByTenant
from consumer.flusher import Flusher, TickSink
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
from consumer.record_time import RecordTime, base_ms_of
from consumer.registry import Registry
from consumer.remote_write.sender import Sender
from consumer.seam.direct import DirectParts, DirectSeam
from consumer.seam.letters import are_safe
from consumer.signals import hang_up_sets, stop_signals
from consumer.telemetry.metrics import Metrics
from consumer.telemetry.reporter import Reporter
from consumer.telemetry.server import Served, Status, StatusServer
from consumer.worker import Parts, Worker, WorkerSettings

OUR_PROPERTIES = {
    "partition.assignment.strategy": "cooperative-sticky",
    "client.id": "spanmill",
}
"""librdkafka properties that a user may change, unlike those of ``SourceSettings``."""

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
    traffic = Traffic(started_ms=clock.now_ms())
    tap = Tap(sender, traffic, sinks)
    parts = _parts(config, overrides, tap, Reporter(metrics, status, clock), clock)
    status.decoder = parts.pipeline.decoder.implementation
    metrics.intake.decoder_is(status.decoder, status.encoding)
    metrics.intake.build_is(status.version)
    if parts.overrides.path is not None:
        metrics.overrides.started(clock.now_ms() / 1_000)
    for notice in (*config.notices, *parts.overrides.tenants.notices):
        _log.warning("%s", notice)
    if status.decoder != "native":
        _log.warning("the native decoder is not installed; decoding in Python is slower")
    address = (config.server.host, config.server.port)
    served = Served(registry, status, as_tree(config))
    sources = PageSources(status, traffic, sinks, served.configuration)
    server = StatusServer(address, served, clock=clock, more=Page(sources, clock).routes())
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals())
        if parts.overrides.path is not None:
            stack.enter_context(hang_up_sets(parts.overrides.wanted))
        stack.enter_context(server)
        if config.kafka.create_topics or config.processing_guarantee == "exactly_once":
            prepare(config, Admin(config.kafka.connection()), stop)
        _log.info("worker started", extra={"port": server.port, "decoder": status.decoder})
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
        sender.close(timeout_s=CLOSE_TIMEOUT_S)


def _parts(
    config: Config, overrides: Overrides, sender: TickSink, reporter: Reporter, clock: Clock
) -> Parts:
    dead_letters = _dead_letters(config)
    return Parts(
        pipeline=open_pipeline(config, overrides.tenants),
        seam=direct_seam(config, overrides.tenants, sender, (dead_letters, reporter, clock)),
        overrides=overrides,
        dead_letters=dead_letters,
        reporter=reporter,
        clock=clock,
    )


def direct_seam(
    config: Config,
    tenants: SettingsByTenant,
    sender: TickSink,
    around: tuple[DeadLetters, Reporter, Clock],
) -> DirectSeam:
    """The seam of ``at_least_once``."""
    dead_letters, reporter, clock = around
    registry = Registry(registry_settings(config, instance=instance_name(config)), started_ms=0)
    registry.limit(*tenants.limits())
    parts = DirectParts(
        registry=registry,
        flusher=Flusher(registry, sender, tenants),
        reporter=reporter,
        clock=clock,
        is_safe=partial(are_safe, dead_letters, reporter),
        max_age_ms=config.record_time.max_sample_age,
    )
    return DirectSeam(parts, base_ms_of(tenants))


def record_time(config: Config) -> RecordTime:
    """How record time is read."""
    return RecordTime(
        idle_grace_ms=config.record_time.idle_grace,
        max_skew_ms=config.record_time.max_record_skew,
        max_ahead=config.record_time.max_ahead,
    )


def _settings(config: Config) -> WorkerSettings:
    kafka = config.kafka
    return WorkerSettings(
        topic=kafka.topic,
        intake=IntakeSettings(
            tenant_header=kafka.tenant_header,
            default_tenant=kafka.default_tenant,
            tenant_in_key=kafka.encoding == "tempo",
        ),
        time=record_time(config),
        poll_s=kafka.poll_timeout / 1_000,
        shutdown_s=config.server.shutdown_timeout / 1_000,
    )


def instance_name(config: Config) -> str:
    """Who this worker is: its static member id, or the host."""
    return config.kafka.group_instance_id or host_name()


def source_settings(config: Config) -> SourceSettings:
    """How to join the group."""
    kafka = config.kafka
    own = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": kafka.group_id,
        "auto.offset.reset": kafka.auto_offset_reset,
    }
    if kafka.group_instance_id:
        own["group.instance.id"] = kafka.group_instance_id
    return SourceSettings(
        topic=kafka.topic,
        properties={**OUR_PROPERTIES, **kafka.client_properties(), **own},
        max_batch_records=kafka.max_batch_records,
        max_batch_bytes=kafka.max_batch_bytes,
    )


def _dead_letters(config: Config) -> DeadLetters:
    kafka = config.kafka
    if not kafka.dead_letter_topic:
        return DeadLetters("", None, own_version())
    properties = {**kafka.client_properties(), "bootstrap.servers": kafka.bootstrap_servers}
    return DeadLetters(kafka.dead_letter_topic, RecordWriter(properties), own_version())
