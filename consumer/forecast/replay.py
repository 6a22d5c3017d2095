"""The spans of files, decoded once, through the pipeline under any settings.

Bound: all columns of the input are held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consumer.config.model import Config
from consumer.config.series import registry_settings
from consumer.config.tenants import SettingsByTenant, TenantSettings
from consumer.decode import Decoded, Decoder, RawRecords
from consumer.files.rehearsal import TIME_MS, is_timed
from consumer.pipeline import Pipeline
from consumer.registry import Registry
from processors.batch import Projection, SpanBatch


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one file."""

    records: RawRecords
    decoded: Decoded


class Recording:
    """A :class:`consumer.decode.Decoder` of which ``parts`` keep what it decoded."""

    def __init__(self, decoder: Decoder, parts: list[Part]) -> None:
        self._decoder = decoder
        self._parts = parts
        self.implementation = decoder.implementation

    def decode(self, records: RawRecords) -> Decoded:
        """Decode all records."""
        decoded = self._decoder.decode(records)
        self._parts.append(Part(records, decoded))
        return decoded


class _Played:
    """A decoder that gives what was decoded before, part by part."""

    implementation = "replay"

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = iter(parts)

    def decode(self, records: RawRecords) -> Decoded:
        part = next(self._parts)
        if part.records is not records:
            raise AssertionError("records are replayed in the order in which they came")
        return part.decoded


class Replay:
    """``parts`` have every attribute that any settings ask for."""

    def __init__(self, config: Config, parts: Sequence[Part]) -> None:
        self._settings = registry_settings(config)
        self._parts = parts

    def __len__(self) -> int:
        return sum(len(batch) for batch in self.batches())

    def batches(self) -> Iterator[SpanBatch]:
        """The spans, file by file."""
        return (part.decoded.batch for part in self._parts)

    def first(self, spans: int) -> Sequence[Part]:
        """The parts up to so many spans."""
        parts = []
        for part in self._parts:
            batch = part.decoded.batch
            cut = batch.filter(np.arange(len(batch)) < spans)
            parts.append(replace(part, decoded=replace(part.decoded, batch=cut)))
            spans -= len(cut)
        return parts

    def series(self, settings: TenantSettings, parts: Sequence[Part] | None = None) -> Registry:
        """Everything that ``settings`` would make of all spans, or of ``parts``; no limits."""
        played = self._parts if parts is None else parts

        decoder = _Played(played)

        def open_with(_projection: Projection) -> Decoder:
            return decoder

        pipeline = Pipeline(open_with, SettingsByTenant(settings))
        registry = Registry(self._settings, started_ms=TIME_MS)
        for part in played:
            pipeline.read_with(open_with, has_slack=is_timed(part.records))
            registry.fold(pipeline.push(part.records).frames, TIME_MS)
        for lane in sorted({lane for part in played for lane in part.records.lane.tolist()}):
            registry.fold(pipeline.close(lane).frames, TIME_MS)
        return registry
