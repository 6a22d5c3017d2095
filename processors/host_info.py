"""Host info: which hosts the spans came from (tempo-behaviour.md 1.5).

Every resource tells its host, also one whose spans were all left out before.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from processors.batch import ABSENT, TYPE_MARKS, Codes, Projection, SpanBatch
from processors.delta import (
    DeltaFrame,
    Family,
    Instrument,
    Output,
    Schema,
    Stateless,
    count_by_tenant,
    count_discarded,
)
from processors.grouping import group
from processors.labels import Dictionary
from processors.settings import Settings

_METRIC_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_LABELS = ("grafana_host_id", "host_source")


def _check_metric_name(name: str) -> str:
    if not _METRIC_NAME.fullmatch(name):
        raise ValueError("expected a metric name: letters, digits, _ and :, no digit in front")
    return name


class HostInfoConfig(Settings):
    """Tempo's block `metrics_generator.processor.host_info`: same keys, same defaults."""

    host_identifiers: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)
    ] = ("k8s.node.name", "host.id")
    metric_name: Annotated[str, AfterValidator(_check_metric_name)] = "traces_host_info"


class HostInfo(Stateless):
    """Emits a gauge, always 1, for each host."""

    name = "host-info"

    def __init__(self, config: HostInfoConfig) -> None:
        self._identifiers = config.host_identifiers
        family = Family(config.metric_name, Instrument.GAUGE, "A host of spans; always 1.")
        self._schema = Schema(label_names=_LABELS, families=(family,))
        self.projection = Projection(typed_resource_keys=config.host_identifiers)

    def push(self, batch: SpanBatch) -> Output:
        """Tell the host of each resource in ``batch``; spans count by what theirs tells."""
        dictionary = Dictionary(batch.strings)
        host, source = self._hosts(batch, dictionary)
        of_span = host[batch.resource]
        valid = dictionary.valid([of_span], len(batch))
        unknown = valid & (of_span == ABSENT)
        discarded: Counter[tuple[str, str]] = Counter()
        discarded += count_discarded(batch, unknown, "no_host_identifier")
        discarded += count_discarded(batch, ~valid, "invalid_utf8")
        used = count_by_tenant(batch, valid & ~unknown)
        resource = batch.served_resources()
        told = dictionary.valid([host[resource]], len(resource)) & (host[resource] != ABSENT)
        resource = resource[told]
        if not len(resource):
            return Output(used=used, discarded=discarded)
        tenant = batch.records.tenant[batch.resources.record[resource]]
        groups = group([tenant, host[resource], source[resource]])
        rows = resource[groups.first]
        frame = DeltaFrame(
            schema=self._schema,
            tenants=batch.records.tenants,
            tenant=tenant[groups.first],
            strings=dictionary.text(),
            labels=np.column_stack([host[rows], source[rows]]),
            values=(np.ones((len(groups), 1)),),
            present=(None,),
            first=groups.first,
            spans=groups.count(),
            is_info=True,
        )
        return Output(frames=[frame], used=used, discarded=discarded)

    def _hosts(self, batch: SpanBatch, dictionary: Dictionary) -> tuple[Codes, Codes]:
        """The host of each resource and the attribute that says so (uint32[r])."""
        text = batch.strings.text
        host = np.zeros(len(batch.resources.service), np.uint32)
        source = np.zeros_like(host)
        for key in self._identifiers:
            distinct, of_resource = np.unique(batch.resources.typed[key], return_inverse=True)
            names = [_string(text[code]) for code in distinct.tolist()]
            codes = [dictionary.code(name) if name else ABSENT for name in names]
            found = np.array(codes, np.uint32)[of_resource]
            is_first = (host == ABSENT) & (found != ABSENT)
            host[is_first] = found[is_first]
            source[is_first] = dictionary.code(key)
        return host, source


def _string(typed: str) -> str:
    """The text of a value that is a string; empty for others."""
    return typed[1:] if typed.startswith(TYPE_MARKS["string"]) else ""
