"""`spanmill preview`: the series that files of spans would make, without Kafka."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import orjson

from consumer.config.environment import environment
from consumer.config.load import load_tenants
from consumer.config.model import Config
from consumer.files.rehearsal import TIME_MS, Rehearsal
from consumer.registry import Registry
from consumer.remote_write.native_histograms import is_whole, wire_buckets
from consumer.remote_write.series import NativeHistograms, SeriesBlock


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
    tenants = load_tenants(config, environ=environment())
    rehearsal = Rehearsal(config, tenants, encoding=encoding)
    for path in inputs:
        rehearsal.push(path)
    if not keep_pending:
        rehearsal.close()
    output.writelines(line.decode() + "\n" for line in series_lines(rehearsal.registry))


def series_lines(registry: Registry, *, has_exemplars: bool = False) -> list[bytes]:
    """One line for each series in ``registry``, in order."""
    tick = registry.collect(TIME_MS + 1)
    blocks = [block for of_tenant in tick.tenants.values() for block in of_tenant]
    series = sorted(
        (key, line) for block in blocks for key, line in _lines(block, has_exemplars=has_exemplars)
    )
    return [line for _, line in series]


def _lines(
    block: SeriesBlock, *, has_exemplars: bool
) -> Iterator[tuple[tuple[str, list[tuple[str, str]]], bytes]]:
    exemplars = _exemplars(block) if has_exemplars else {}
    for number, row in enumerate(block.labels.tolist()):
        texts = (
            (name, block.strings[code]) for name, code in zip(block.label_names, row, strict=True)
        )
        labels = {**dict(texts), **dict(block.constant_labels)}
        shown = sorted((name, text) for name, text in labels.items() if text)
        line: dict[str, object] = {"name": block.name, "labels": dict(shown)}
        if block.histograms is None:
            line["value"] = _number(float(block.values[number]))
        else:
            line["histogram"] = _histogram(block.histograms.cut(slice(number, number + 1)))
        if number in exemplars:
            line["exemplar"] = exemplars[number]
        yield (block.name, shown), orjson.dumps(line)


def _number(value: float) -> float:
    return int(value) if value.is_integer() else value


def _histogram(one: NativeHistograms) -> dict[str, object]:
    """A native histogram as remote write has it: spans of buckets, counts as deltas if whole."""
    wire = wire_buckets(one.bucket, one.bucket_count)
    shown: dict[str, object] = {
        "schema": int(one.schema[0]),
        "count": _number(float(one.count[0])),
        "sum": _number(float(one.sum[0])),
        "zero_threshold": one.zero_threshold,
        "zero_count": _number(float(one.zero_count[0])),
        "positive_spans": [{"Offset": o, "Length": n} for o, n in wire.spans],
    }
    if is_whole(one):
        shown["positive_deltas"] = wire.deltas()
    else:
        shown["positive_counts"] = wire.counts
    return shown


def _exemplars(block: SeriesBlock) -> dict[int, dict[str, object]]:
    if block.exemplars is None:
        return {}
    return {
        row: {"labels": dict(labels), "value": _number(value), "timestamp": time_ms}
        for row, value, time_ms, labels in block.exemplars.texts()
    }
