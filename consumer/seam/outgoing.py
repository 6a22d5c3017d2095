"""Deltas on their way to the owners of their series: by tick and schema, then by shard.

Bound: the caller commits when :attr:`Outgoing.size_bytes` is large.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consumer.config.tenants import SettingsByTenant
from consumer.registry.admission import Limits
from consumer.registry.cardinality import OVERFLOW_VALUE, Labelled, LabelValues, ValueLimiter
from consumer.registry.hashes import LabelHashes, text_hash, with_name
from consumer.registry.registry import truncated
from consumer.registry.settings import RegistrySettings
from consumer.seam.frames import encode_frame
from consumer.seam.merge import add_up, concatenate
from processors.batch import Codes
from processors.delta import DeltaFrame, Schema
from processors.strings import KeptStrings

MOST_RECORD_BYTES = 900_000
"""Of a record of an internal topic, before compression; brokers refuse more than 1 MiB."""


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A record for the owner of a shard."""

    shard: int
    value: bytes


class Outgoing:
    """Deltas since the last commit.

    Labels are cut, and the values of labels that have too many replaced, before a series is
    given its shard: what is one series in the end has one owner.
    """

    def __init__(self, shards: int, settings: RegistrySettings, tenants: SettingsByTenant) -> None:
        self._shards = shards
        self._settings = settings
        self._strings = KeptStrings(rewrite=lambda text: truncated(text, settings.max_value_bytes))
        self._tenants = KeptStrings()
        self._hashes = LabelHashes(self._strings)
        self._limits = Limits(self._tenants)
        self._values = ValueLimiter(self._hashes, settings.stale_ms)
        self._frames: dict[tuple[int, bool, Schema], list[DeltaFrame]] = {}
        self.size_bytes = 0
        """About what waits."""
        self.apply(tenants)

    def __bool__(self) -> bool:
        return bool(self._frames)

    def apply(self, tenants: SettingsByTenant) -> None:
        """Let the limits of ``tenants`` count from now on."""
        self._limits.set(*tenants.limits())
        self._values.forget(self._limits.cardinality)

    def add(self, tick_ms: int, frames: Sequence[DeltaFrame]) -> None:
        """Deltas of ``tick_ms``. Their strings may go on growing meanwhile."""
        for frame in frames:
            if len(frame):
                key = tick_ms, frame.is_info, frame.schema
                self._frames.setdefault(key, []).append(self._kept(frame))
                self.size_bytes += sum(values.nbytes for values in frame.values)

    def clear(self) -> None:
        """Drop everything: it comes again."""
        self._frames = {}
        self.size_bytes = 0
        self.take_label_values()

    def take_label_values(self) -> LabelValues:
        """What became of the values of labels since the last call."""
        return self._values.take(self._tenants.text, self._limits.cardinality)

    def records(self) -> Iterator[ShardRecord]:
        """Everything, as records for the shards; the same deltas make the same records."""
        for (tick_ms, _, schema), frames in self._frames.items():
            whole = concatenate(frames, self._strings, self._tenants)
            self._limit_values(whole, tick_ms)
            added = add_up(whole)
            of_row = self._shards_of(schema, added)
            for shard in np.unique(of_row).tolist():
                of_shard = _own_tenants(added.take(np.flatnonzero(of_row == shard)))
                for value in _encoded(tick_ms, of_shard):
                    yield ShardRecord(shard, value)
        self._frames = {}
        self.size_bytes = 0
        renamed = self._strings.compact([])
        if renamed is not None:
            self._hashes.rename(renamed)

    def _kept(self, frame: DeltaFrame) -> DeltaFrame:
        """``frame`` with strings that nobody changes."""
        labels = self._strings.keep(frame.strings, frame.labels)
        return replace(frame, labels=labels, strings=self._strings.text)

    def _limit_values(self, frame: DeltaFrame, tick_ms: int) -> None:
        if self._limits.any_cardinality and not frame.is_info:
            overflow = self._strings.code(OVERFLOW_VALUE)
            names = frame.schema.label_names
            given = Labelled(frame.tenant, names, frame.labels, frame.spans_of_rows())
            self._values.limit(given, self._limits.cardinality, overflow, tick_ms)

    def _shards_of(self, schema: Schema, frame: DeltaFrame) -> Codes:
        """The shard of each row (uint32[n]), by its tenant and labels, whatever is measured."""
        names = [truncated(name, self._settings.max_name_bytes) for name in schema.label_names]
        hashes = self._hashes.of_sets(names, frame.labels)
        of_tenant = np.array([text_hash(name) for name in frame.tenants], np.uint64)
        mixed = with_name(hashes ^ of_tenant[frame.tenant], "")
        return (mixed % np.uint64(self._shards)).astype(np.uint32)


def _own_tenants(frame: DeltaFrame) -> DeltaFrame:
    """``frame`` with the tenants that it has."""
    codes, tenant = np.unique(frame.tenant, return_inverse=True)
    names = tuple(frame.tenants[code] for code in codes.tolist())
    return replace(frame, tenants=names, tenant=tenant.astype(np.uint32))


def _encoded(tick_ms: int, frame: DeltaFrame) -> Iterator[bytes]:
    """The frame in records that brokers take; one row always fits."""
    value = encode_frame(tick_ms, frame)
    if len(value) <= MOST_RECORD_BYTES or len(frame) == 1:
        yield value
        return
    half = len(frame) // 2
    for rows in (np.arange(half), np.arange(half, len(frame))):
        yield from _encoded(tick_ms, _own_tenants(frame.take(rows)))
