"""Puts the seams together from the configuration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from consumer.clock import Clock
from consumer.config.environment import host_name
from consumer.config.model import Config
from consumer.config.series import registry_settings
from consumer.errors import ConfigError, Problem
from consumer.flusher import Flusher, TickSink
from consumer.kafka.admin import Admin
from consumer.kafka.client import StoppedError
from consumer.kafka.compacted import CompactedReader
from consumer.kafka.dead_letters import DeadLetters
from consumer.kafka.source import SourceSettings, SpanSource
from consumer.kafka.transactions import Transactions
from consumer.overrides import Overrides
from consumer.registry import Registry
from consumer.seam.direct import DirectParts, DirectSeam
from consumer.seam.interface import Seam
from consumer.seam.letters import are_safe
from consumer.seam.log import LogParts, LogSeam, LogSettings
from consumer.seam.outgoing import Outgoing
from consumer.seam.owner import Owner, OwnerParts, OwnerSettings
from consumer.telemetry.reporter import Reporter
from consumer.ticks.record_time import base_ms_of

SHARD_LABEL = "spanmill_shard"
"""On overflow series: each shard has its own."""

CONSUMER_PROPERTIES = {
    "partition.assignment.strategy": "cooperative-sticky",
    "client.id": "spanmill",
    "fetch.queue.backoff.ms": "10",
}
"""librdkafka properties that a user may change, unlike those of ``SourceSettings``.

A full queue of fetched records is looked at again after 10 ms, not after the second that
librdkafka waits by default: a worker that catches up empties it in a fraction of that.
"""

_PRODUCER_PROPERTIES = {"client.id": "spanmill", "compression.type": "lz4", "linger.ms": "5"}


@dataclass(frozen=True, slots=True)
class Around:
    """What a seam is put into."""

    sink: TickSink
    dead_letters: DeadLetters
    reporter: Reporter
    clock: Clock


def open_seam(config: Config, overrides: Overrides, around: Around) -> Seam:
    """The seam that ``processing_guarantee`` asks for."""
    if config.processing_guarantee == "exactly_once":
        return _log_seam(config, overrides, around)
    return direct_seam(config, overrides, around)


def direct_seam(config: Config, overrides: Overrides, around: Around) -> DirectSeam:
    """The seam of ``at_least_once``."""
    settings = registry_settings(config, instance=instance_name(config))
    registry = Registry(settings, started_ms=around.clock.now_ms())
    registry.limit(*overrides.tenants.limits())
    parts = DirectParts(
        registry=registry,
        flusher=Flusher(registry, around.sink, overrides.tenants),
        reporter=around.reporter,
        clock=around.clock,
        is_safe=partial(are_safe, around.dead_letters, around.reporter),
        max_age_ms=config.record_time.max_sample_age,
        ends_series=config.server.end_series_at_shutdown,
    )
    return DirectSeam(parts, base_ms_of(overrides.tenants))


def instance_name(config: Config) -> str:
    """Who this worker is: its static member id, or the host."""
    return config.kafka.group_instance_id or host_name()


def member_properties(config: Config, group: str) -> dict[str, str]:
    """What makes this worker a member of ``group``."""
    kafka = config.kafka
    own = {"bootstrap.servers": kafka.bootstrap_servers, "group.id": group}
    if kafka.group_instance_id:
        own["group.instance.id"] = kafka.group_instance_id
    return {**CONSUMER_PROPERTIES, **kafka.client_properties(), **own}


def _log_seam(config: Config, overrides: Overrides, around: Around) -> LogSeam:
    """The seam of ``exactly_once``. Raises :class:`StoppedError` without its topics.

    Brokers cannot tell a member without a name that was thought dead from a reader of old
    that is in no group, so members have names.
    """
    if not config.kafka.group_instance_id:
        text = "expected a name of this worker alone; exactly_once has no nameless members"
        raise ConfigError([Problem("kafka.group_instance_id", text)])
    shards = _shards(config)
    series_group = f"{config.kafka.group_id}-series"
    transactions = _transactions(config)
    base_ms = base_ms_of(overrides.tenants)
    owner = Owner(
        OwnerSettings(
            deltas_topic=config.repartition_topic,
            snapshot_topic=config.snapshot_topic,
            shards=shards,
            snapshot_ms=config.exactly_once.snapshot_interval,
            max_age_ms=config.record_time.max_sample_age,
        ),
        OwnerParts(
            sink=around.sink,
            transactions=transactions,
            snapshots=CompactedReader(
                {**config.kafka.connection(), "group.id": series_group},
                config.snapshot_topic,
                around.clock,
            ),
            reporter=around.reporter,
            clock=around.clock,
            open_registry=partial(_shard_registry, config),
        ),
        overrides.tenants,
        base_ms,
    )
    properties = {
        **member_properties(config, series_group),
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
    }
    owner.join(SpanSource(SourceSettings(config.repartition_topic, properties), owner))
    parts = LogParts(
        outgoing=Outgoing(shards, registry_settings(config), overrides.tenants),
        owner=owner,
        transactions=transactions,
        reporter=around.reporter,
        clock=around.clock,
        is_safe=partial(are_safe, around.dead_letters, around.reporter),
    )
    settings = LogSettings(
        span_topic=config.kafka.topic,
        deltas_topic=config.repartition_topic,
        shards=shards,
        commit_ms=config.exactly_once.commit_interval,
    )
    return LogSeam(settings, parts, base_ms)


def _shards(config: Config) -> int:
    names = (config.repartition_topic, config.snapshot_topic)
    found = Admin(config.kafka.connection()).topics(names)
    partitions = {name: found[name].partitions if name in found else 0 for name in names}
    if len(set(partitions.values())) > 1 or 0 in partitions.values():
        told = ", ".join(f"{name}: {number}" for name, number in partitions.items())
        raise StoppedError(f"expected two topics with equally many partitions; {told}")
    return partitions[config.repartition_topic]


def _transactions(config: Config) -> Transactions:
    properties = {
        **_PRODUCER_PROPERTIES,
        **config.kafka.connection(),
        "transaction.timeout.ms": str(config.exactly_once.transaction_timeout),
    }
    return Transactions(properties, f"{config.kafka.group_id}-{instance_name(config)}")


def _shard_registry(config: Config, shard: int) -> Registry:
    """Series of one owner need no label that names it, but for what overflows."""
    settings = registry_settings(config)
    labels = (*settings.overflow_labels, (SHARD_LABEL, str(shard)))
    return Registry(replace(settings, overflow_labels=labels), started_ms=0)
