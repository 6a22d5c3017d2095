"""`spanmill preview`: the series that files of spans would make, without Kafka."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

import numpy as np
import orjson

from consumer.config.environment import environment
from consumer.config.load import load_tenants
from consumer.config.model import Config
from consumer.config.series import registry_settings
from consumer.config.tenants import SettingsByTenant, settings_by_tenant
from consumer.decode import Encoding, Failure, RawRecords, open_decoder
from consumer.errors import InputError
from consumer.otlp_files import read_records
from consumer.pipeline import Pipeline
from consumer.registry import Registry
from consumer.remote_write.series import SeriesBlock

_LANE = 0
"""Files have no partitions: all records are of one lane."""

_TIME_MS = 0
"""Files carry no record time: all records are of one moment, and no slack applies."""


def run_preview(
    config: Config,
    inputs: Sequence[Path],
    *,
    encoding: str | None = None,
    keep_pending: bool = False,
    output: TextIO = sys.stdout,
) -> None:
    """Write one JSON object a series, sorted by name, then labels.

    Pending edges expire at the end unless ``keep_pending``. ``encoding`` None means
    that of the configuration for binary files, and OTLP/JSON for JSON lines. Raises
    :class:`InputError` for a file that cannot be read or holds no record of spans.
    """
    configured = Encoding(encoding or config.kafka.encoding)
    tenants = load_tenants(config, environ=environment())
    registry = registry_of(config, tenants)
    pipeline = Pipeline(partial(open_decoder, configured), tenants, has_slack=False)
    for path in inputs:
        is_json, values = read_records(path)
        found = Encoding.OTLP_JSON if is_json else configured
        pipeline.read_with(partial(open_decoder, found))
        _push(pipeline, registry, path, values, config.kafka.default_tenant)
    if not keep_pending:
        registry.fold(pipeline.close(_LANE).frames, _TIME_MS)
    output.writelines(line.decode() + "\n" for line in series_lines(registry))


def series_lines(registry: Registry) -> list[bytes]:
    """One line for each series in ``registry``, in order."""
    tick = registry.collect(_TIME_MS + 1)
    blocks = [block for of_tenant in tick.tenants.values() for block in of_tenant]
    series = sorted((key, line) for block in blocks for key, line in _lines(block))
    return [line for _, line in series]


def _push(
    pipeline: Pipeline, registry: Registry, path: Path, values: Sequence[bytes], tenant: str
) -> None:
    count = len(values)
    outcome = pipeline.push(
        RawRecords(
            values=values,
            tenants=(tenant,),
            tenant=np.zeros(count, np.uint32),
            time_ms=np.full(count, _TIME_MS, np.int64),
            lane=np.full(count, _LANE, np.uint32),
        )
    )
    if len(outcome.failures) == count and not outcome.spans.total():
        raise InputError(f"{path}: no record can be decoded; {_explain(outcome.failures[0])}")
    for failure in outcome.failures:
        sys.stderr.write(f"{path}: left out {_explain(failure)}\n")
    registry.fold(outcome.frames, _TIME_MS)


def _explain(failure: Failure) -> str:
    return f"record {failure.record}: {failure.reason}: {failure.text}"


def registry_of(config: Config, tenants: SettingsByTenant | None = None) -> Registry:
    """A registry like that of a worker, but without the label that names the worker."""
    series = Registry(registry_settings(config), started_ms=_TIME_MS)
    series.limit(*(tenants or settings_by_tenant(config)).limits())
    return series


def _lines(block: SeriesBlock) -> Iterator[tuple[tuple[str, list[tuple[str, str]]], bytes]]:
    for row, value in zip(block.labels.tolist(), block.values.tolist(), strict=True):
        texts = (
            (name, block.strings[code]) for name, code in zip(block.label_names, row, strict=True)
        )
        labels = {**dict(texts), **dict(block.constant_labels)}
        shown = sorted((name, text) for name, text in labels.items() if text)
        number = int(value) if value.is_integer() else value
        line = {"name": block.name, "labels": dict(shown), "value": number}
        yield (block.name, shown), orjson.dumps(line)
