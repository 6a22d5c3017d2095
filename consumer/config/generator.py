"""The block ``metrics_generator``: Tempo's keys and defaults (tempo-behaviour.md 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from consumer.config.checks import (
    Block,
    LabelName,
    check_label_name,
    check_service_graphs,
    check_span_metrics,
    duration,
)
from consumer.config.remote_write import RemoteWriteConfig
from processors.host_info import HostInfoConfig
from processors.service_graphs import ServiceGraphsConfig
from processors.settings import DurationMs, Finding, refuse
from processors.span_metrics import SpanMetricsConfig

HUNDRED_YEARS = "876000h"


def _check_optional_label(name: str) -> str:
    return check_label_name(name) if name else name


def _check_names(entries: tuple[RemoteWriteConfig, ...]) -> tuple[RemoteWriteConfig, ...]:
    findings: list[Finding] = []
    names: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.name and entry.name in names:
            findings.append(((index, "name"), f"found {entry.name!r} twice, expected a name each"))
        names.add(entry.name)
    refuse(findings)
    return entries


RemoteWrite = Annotated[tuple[RemoteWriteConfig, ...], AfterValidator(_check_names)]
"""Endpoints, those that have a name with one each."""


class ProcessorConfig(Block):
    """What the processors do."""

    service_graphs: Annotated[ServiceGraphsConfig, AfterValidator(check_service_graphs)] = (
        ServiceGraphsConfig()
    )
    """Who calls whom."""
    span_metrics: Annotated[SpanMetricsConfig, AfterValidator(check_span_metrics)] = (
        SpanMetricsConfig()
    )
    """Rate, errors, duration and size per operation."""
    host_info: HostInfoConfig = HostInfoConfig()
    """Which hosts the spans come from."""


class RegistryConfig(Block):
    """How series are kept and labelled."""

    collection_interval: Annotated[DurationMs, duration("100ms", "1h")] = 15_000
    """Time between two ticks; a tick writes every active series."""
    stale_duration: Annotated[DurationMs, duration("1s", "876000h")] = 900_000
    """A series without news for this long ends."""
    external_labels: Mapping[LabelName, str] = Field(default_factory=dict)
    """Labels of every series; they win over a label of the same name."""
    inject_tenant_id_as: Annotated[str, AfterValidator(_check_optional_label)] = ""
    """A label that holds the tenant; empty: none."""
    max_label_name_length: Annotated[int, Field(ge=0)] = 1_024
    """Longest label name in bytes; 0: no limit."""
    max_label_value_length: Annotated[int, Field(ge=0)] = 2_048
    """Longest label value in bytes; 0: no limit."""


class WalConfig(Block):
    """Tempo's write-ahead log; spanmill has none."""

    wal_segment_size: int | None = None
    """Size of a segment."""
    wal_compression: str | None = None
    """Compression."""
    stripe_size: int | None = None
    """Stripes of the series' map."""
    truncate_frequency: DurationMs | None = None
    """Time between two truncations."""
    min_wal_time: DurationMs | None = None
    """Shortest time to keep."""
    max_wal_time: DurationMs | None = None
    """Longest time to keep."""
    no_lockfile: bool | None = None
    """Do without a lock file."""


class StorageConfig(Block):
    """Where the series go."""

    path: str | None = None
    """Tempo's directory for its write-ahead log."""
    wal: WalConfig | None = None
    """Tempo's write-ahead log."""
    remote_write_flush_deadline: Annotated[DurationMs, duration("1s", "1h")] = 60_000
    """How long an endpoint that the overrides do not name any more has for what waits for it.
    (The last tick of all has `server.shutdown_timeout`.)"""
    remote_write_add_org_id_header: bool = True
    """Send the tenant as `X-Scope-OrgID`, unless it is `single-tenant`."""
    remote_write: RemoteWrite = ()
    """Endpoints; each gets every series of the tenants that have none of their own."""


class MetricsGeneratorConfig(Block):
    """What is made of the spans."""

    processor: ProcessorConfig = ProcessorConfig()
    """What the processors do."""
    registry: RegistryConfig = RegistryConfig()
    """How series are kept and labelled."""
    storage: StorageConfig = StorageConfig()
    """Where the series go."""
    limiter_type: Literal["series", "entity"] = "series"
    """What is limited per tenant: `max_active_series`, or `max_active_entities`."""
    metrics_ingestion_time_range_slack: Annotated[DurationMs, duration("0s", HUNDRED_YEARS)] = (
        30_000
    )
    """A span counts if it ended within this distance of its record's timestamp."""
    codec: Literal["push-bytes", "otlp"] | None = None
    """Tempo's name for `kafka.encoding`: `push-bytes` is `tempo`, `otlp` is `otlp_proto`."""
    instance_id: str | None = None
    """Tempo's name for `kafka.group_instance_id`."""
    leave_consumer_group_on_shutdown: bool = False
    """Leave the group at once when stopping: no static member id, unless one is given."""
    ring: Mapping[str, object] | None = Field(default=None, repr=False)
    """Tempo's ring."""
    ring_mode: Literal["partition", "generator"] | None = None
    """Tempo's ring."""
    override_ring_key: str | None = None
    """Tempo's ring."""
    ingest_concurrency: Annotated[int, Field(ge=1)] | None = None
    """Tempo's consumers in one process."""
    skip_stale_backlog_on_startup: bool | None = None
    """Tempo drops what its slack would drop anyway."""
