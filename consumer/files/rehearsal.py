"""Files of spans through a pipeline and a registry like a worker's, without Kafka."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from consumer.config.model import Config
from consumer.config.series import registry_settings
from consumer.config.tenants import SettingsByTenant, settings_by_tenant
from consumer.decode import Decoder, Encoding, Failure, RawRecords, open_decoder
from consumer.errors import InputError
from consumer.files.otlp_files import Place, places_file, places_of, read_records
from consumer.pipeline import OpenPlan, Outcome, Pipeline
from consumer.plans import Plan
from consumer.registry import Registry
from processors.batch import Projection

LANE = 0
"""Of all records whose partition is not known."""

TIME_MS = 0
"""Of all records whose time is not known: they are of one moment, and no slack applies."""

OpenEncoded: TypeAlias = Callable[[Encoding, Projection], Decoder]
"""Opens a decoder of an encoding that reads what is asked for."""


class Rehearsal:
    """What a worker would make of files, pushed one after the other.

    ``encoding`` None means that of the configuration for binary files; JSON lines are
    OTLP/JSON in any case. All files are of the default tenant. Records of which the places
    are known have their own times and lanes. The registry keeps to the limits.
    """

    def __init__(
        self,
        config: Config,
        tenants: SettingsByTenant,
        *,
        encoding: str | None = None,
        open_with: OpenEncoded = open_decoder,
        open_plan: OpenPlan = Plan,
    ) -> None:
        self._encoding = Encoding(encoding or config.kafka.encoding)
        self._tenant = config.kafka.default_tenant
        self._open_with = open_with
        self.pipeline = Pipeline(
            partial(open_with, self._encoding), tenants, has_slack=False, open_plan=open_plan
        )
        self.registry = registry_of(config, tenants)
        self._lanes = {LANE}

    def push(self, path: Path) -> Outcome:
        """Push the records of ``path``; tell on standard error which cannot be decoded.

        Raises :class:`InputError` for a file that cannot be read or holds no record of spans.
        """
        is_json, values = read_records(path)
        encoding = Encoding.OTLP_JSON if is_json else self._encoding
        records = self._records(path, values)
        self._lanes.update(records.lane.tolist())
        self.pipeline.read_with(partial(self._open_with, encoding), has_slack=is_timed(records))
        outcome, count = self.pipeline.push(records), len(values)
        if len(outcome.failures) == count and not outcome.spans.total():
            raise InputError(f"{path}: no record can be decoded; {_text(outcome.failures[0])}")
        for failure in outcome.failures:
            sys.stderr.write(f"{path}: left out {_text(failure)}\n")
        self.registry.fold(outcome.frames, TIME_MS)
        return outcome

    def close(self) -> Outcome:
        """Give up the halves of edges that wait, as if their time had run out."""
        outcome = Outcome()
        for lane in sorted(self._lanes):
            closed = self.pipeline.close(lane)
            self.registry.fold(closed.frames, TIME_MS)
            outcome.frames += closed.frames
            for processor, used in closed.used.items():
                outcome.use(processor, used)
            outcome.discarded += closed.discarded
        return outcome

    def _records(self, path: Path, values: Sequence[bytes]) -> RawRecords:
        """``values`` with their places, where those are known; partition 0 is lane 1."""
        count = len(values)
        places = places_of(path) or [Place(TIME_MS, LANE - 1, 0)] * count
        if len(places) != count:
            raise InputError(
                f"{places_file(path)}: {len(places)} places, but {path} has {count} records"
            )
        return RawRecords(
            values=values,
            tenants=(self._tenant,),
            tenant=np.zeros(count, np.uint32),
            time_ms=np.array([place.time_ms for place in places], np.int64),
            lane=np.array([place.partition + 1 for place in places], np.uint32),
        )


def is_timed(records: RawRecords) -> bool:
    """Whether the times of ``records`` are known."""
    return bool(records.time_ms.any())


def registry_of(config: Config, tenants: SettingsByTenant | None = None) -> Registry:
    """A registry like that of a worker, but without the label that names the worker."""
    series = Registry(registry_settings(config), started_ms=TIME_MS)
    series.limit(*(tenants or settings_by_tenant(config)).limits())
    return series


def _text(failure: Failure) -> str:
    return f"record {failure.record}: {failure.reason}: {failure.text}"
