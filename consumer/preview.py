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
from consumer.registry import Registry
from consumer.rehearsal import TIME_MS, Rehearsal
from consumer.remote_write.series import SeriesBlock


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


def series_lines(registry: Registry) -> list[bytes]:
    """One line for each series in ``registry``, in order."""
    tick = registry.collect(TIME_MS + 1)
    blocks = [block for of_tenant in tick.tenants.values() for block in of_tenant]
    series = sorted((key, line) for block in blocks for key, line in _lines(block))
    return [line for _, line in series]


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
