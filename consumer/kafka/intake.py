"""Kafka records to raw records: the tenant, the time and the lane of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consumer.config.blocks import KafkaConfig
from consumer.decode import RawRecords
from consumer.kafka.client import IncomingRecord
from consumer.kafka.dead_letters import Origin

_TENANT = re.compile(r"[!-~]{1,256}")
"""Printable ASCII without blanks: what can stand in an HTTP header, and in a label."""


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """Where the tenant of a record stands (design, "Tenant")."""

    tenant_header: str
    default_tenant: str
    tenant_in_key: bool
    """Tempo's records have the tenant as their key."""

    @classmethod
    def of(cls, kafka: KafkaConfig) -> IntakeSettings:
        """What the configuration says of it."""
        return cls(
            tenant_header=kafka.tenant_header,
            default_tenant=kafka.default_tenant,
            tenant_in_key=kafka.encoding == "tempo",
        )


@dataclass(frozen=True, slots=True)
class Intake:
    """Records that can be decoded, and those whose tenant makes no sense."""

    records: Sequence[IncomingRecord]
    raw: RawRecords
    refused: Sequence[IncomingRecord]


def tenants_of(records: Sequence[IncomingRecord], settings: IntakeSettings) -> Sequence[str | None]:
    """The tenant of each record; ``None`` where it makes no sense."""
    header = settings.tenant_header.lower()
    names = [_tenant(record, header, settings) for record in records]
    # Names come again and again; each is looked at once.
    known = {name: name if _TENANT.fullmatch(name) else None for name in set(names)}
    return [known[name] for name in names]


def take_in(
    records: Sequence[IncomingRecord], tenants: Sequence[str | None], times_ms: Sequence[int]
) -> Intake:
    """``records`` with the tenants that :func:`tenants_of` found, and the times of ``times_ms``."""
    codes: dict[str, int] = {}
    tenant: list[int] = []
    kept: list[IncomingRecord] = []
    kept_ms: list[int] = []
    refused: list[IncomingRecord] = []
    for record, name, time_ms in zip(records, tenants, times_ms, strict=True):
        if name is None:
            refused.append(record)
            continue
        kept.append(record)
        kept_ms.append(time_ms)
        tenant.append(codes.setdefault(name, len(codes)))
    raw = RawRecords(
        values=[record.value for record in kept],
        tenants=tuple(codes),
        tenant=np.array(tenant, np.uint32),
        time_ms=np.array(kept_ms, np.int64),
        lane=np.array([record.partition for record in kept], np.uint32),
    )
    return Intake(records=kept, raw=raw, refused=refused)


def origin_of(record: IncomingRecord, topic: str) -> Origin:
    """Where ``record`` came from, for the dead-letter topic."""
    return Origin(
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        time_ms=record.time_ms,
        key=record.key,
        headers=tuple(record.headers),
    )


def _tenant(record: IncomingRecord, header: str, settings: IntakeSettings) -> str:
    for name, value in record.headers:
        if name.lower() == header and value:
            return value.decode("utf-8", "replace")
    if settings.tenant_in_key and record.key:
        return record.key.decode("utf-8", "replace")
    return settings.default_tenant
