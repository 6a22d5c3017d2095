"""Reads out of a tick's blocks what the page shows: operations and edges.

Only blocks of the families named here are looked into, so the cost does not depend on what
else a tenant has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consumer.page.codes import Keys, locate
from consumer.page.ledger import Rows
from consumer.remote_write.series import SeriesBlock
from processors.batch import ABSENT

OVERFLOW = "metric_overflow"
"""The only label of the series that hold what a tenant had no room for."""
FAILED = "STATUS_CODE_ERROR"

Blocks = Mapping[str, Sequence[SeriesBlock]]
"""The blocks of a tenant by the name of their series."""


@dataclass(frozen=True, slots=True)
class Operations:
    """The names of span metrics: with Tempo's, or with OpenTelemetry's."""

    calls: str
    seconds: str
    service: str

    @property
    def labels(self) -> tuple[str, ...]:
        """What tells one operation from another."""
        return (self.service, "span_name", "span_kind", OVERFLOW)


TEMPO = Operations("traces_spanmetrics_calls_total", "traces_spanmetrics_latency", "service")
OTEL = Operations(
    "traces_span_metrics_calls_total", "traces_span_metrics_duration_seconds", "service_name"
)

REQUESTS = "traces_service_graph_request_total"
FAILURES = "traces_service_graph_request_failed_total"
SERVER_SECONDS = "traces_service_graph_request_server_seconds"
CLIENT_SECONDS = "traces_service_graph_request_client_seconds"
EDGE_LABELS = ("client", "server", "connection_type", "virtual_node", OVERFLOW)


_PARTS = ("", "_bucket", "_count", "_sum")
"""Of a histogram: the native one, and the series of the classic one."""

_SHOWN = {
    *(TEMPO.calls, OTEL.calls, REQUESTS, FAILURES),
    *(
        seconds + part
        for seconds in (TEMPO.seconds, OTEL.seconds, SERVER_SECONDS, CLIENT_SECONDS)
        for part in _PARTS
    ),
}

_NATIVE_BOUNDS = np.append(2.0 ** (np.arange(-56, 33) / 4), np.inf)
"""Buckets of native histograms are told in these: 61 µs to 256 s, by 19 % each."""


def shown_blocks(blocks: Iterable[SeriesBlock]) -> Blocks:
    """Those of ``blocks`` that the page is about."""
    found: dict[str, list[SeriesBlock]] = defaultdict(list)
    for block in blocks:
        if block.name in _SHOWN:
            found[block.name].append(block)
    return found


def names_of(blocks: Blocks) -> Operations:
    """Under which names span metrics are there; with both it does not matter which."""
    return next((names for names in (TEMPO, OTEL) if _counted(blocks, names)), TEMPO)


def calls_of(blocks: Blocks, names: Operations) -> tuple[Rows, bool]:
    """Calls and failed calls by operation (w = 2); whether there is a status to tell failures by.

    Where calls are not counted, the observations of the histogram are.
    """
    found = _counted(blocks, names)
    parts = []
    for block in found:
        failed = _is_text(block, "status_code", FAILED)
        values = np.column_stack([block.values, np.where(failed, block.values, 0.0)])
        parts.append(_rows(block, names.labels, values))
    has_status = any("status_code" in block.label_names for block in found)
    return _joined(parts, len(names.labels), 2), has_status


def _counted(blocks: Blocks, names: Operations) -> Sequence[SeriesBlock]:
    """The blocks that say how many calls there were: the first family that is there."""
    for name in (names.calls, f"{names.seconds}_count", names.seconds):
        if name in blocks:
            return blocks[name]
    return ()


def totals_of(blocks: Blocks, name: str, labels: Sequence[str]) -> Rows:
    """The series of one name (w = 1)."""
    parts = [_rows(block, labels, block.values[:, np.newaxis]) for block in blocks.get(name, ())]
    return _joined(parts, len(labels), 1)


def buckets_of(
    blocks: Blocks, seconds: str, labels: Sequence[str], wanted: Keys
) -> tuple[Rows, NDArray[np.float64]]:
    """The buckets of the groups in ``wanted`` (distinct keys) and their bounds (w = bounds).

    Where the bounds are being changed, those that most series have count.
    """
    tables = _tables(blocks.get(f"{seconds}_bucket", ()))
    if not tables:
        native = [_native(block, labels, wanted) for block in blocks.get(seconds, ())]
        bounds = _NATIVE_BOUNDS if native else np.zeros(0)
        return _joined(native, len(labels), len(bounds)), bounds
    largest = max(tables, key=lambda table: len(table[0]))
    bounds = _bounds(largest)
    same = [table for table in tables if np.array_equal(_bounds(table), bounds)]
    return _wanted_rows(same, labels, wanted, len(bounds)), bounds


def means_of(blocks: Blocks, seconds: str, labels: Sequence[str], wanted: Keys) -> Rows:
    """The observations of the groups in ``wanted`` (distinct keys), and their sum (w = 2)."""
    counts, sums = blocks.get(f"{seconds}_count", ()), blocks.get(f"{seconds}_sum", ())
    tables = [pair for pair in zip(counts, sums, strict=False) if _are_same(*pair)]
    if tables:
        return _wanted_rows(tables, labels, wanted, 2)
    native = []
    for block in blocks.get(seconds, ()):
        if block.histograms is not None:
            values = np.column_stack([block.histograms.count, block.histograms.sum])
            rows = _rows(block, labels, values)
            native.append(rows.where(np.flatnonzero(locate(wanted, rows.keys) >= 0)))
    return _joined(native, len(labels), 2)


def _native(block: SeriesBlock, labels: Sequence[str], wanted: Keys) -> Rows:
    """The native histograms of the groups in ``wanted``, cumulative in ``_NATIVE_BOUNDS``."""
    width = len(_NATIVE_BOUNDS)
    rows = _rows(block, labels, np.zeros((len(block), width)))
    at = np.flatnonzero(locate(wanted, rows.keys) >= 0)
    rows = rows.where(at)
    if block.histograms is None:
        return rows
    told = block.histograms.cut(at)
    row = np.repeat(np.arange(len(at)), np.diff(told.offsets))
    upper = np.exp2(told.bucket * np.exp2(-told.schema[row].astype(np.float64)))
    column = np.searchsorted(_NATIVE_BOUNDS, upper * (1 - 1e-9))
    flat = np.bincount(row * width + column, told.bucket_count, len(at) * width)
    counts = flat.astype(np.float64).reshape(len(at), width)
    counts[:, 0] += told.zero_count
    return replace(rows, values=np.cumsum(counts, axis=1))


def _wanted_rows(
    tables: Iterable[Sequence[SeriesBlock]], labels: Sequence[str], wanted: Keys, width: int
) -> Rows:
    """The rows of ``tables``, each of some blocks of the same series, that are ``wanted``."""
    parts = []
    for table in tables:
        rows = _rows(table[0], labels, np.zeros((len(table[0]), 0)))
        at = np.flatnonzero(locate(wanted, rows.keys) >= 0)
        values = np.column_stack([block.values[at] for block in table])
        parts.append(replace(rows.where(at), values=values))
    return _joined(parts, len(labels), width)


def services_of(rows: Rows, text: Sequence[str]) -> frozenset[str]:
    """The services among operations: who sent spans."""
    return frozenset(text[code] for code in np.unique(rows.keys[:, 0]).tolist())


def _tables(blocks: Iterable[SeriesBlock]) -> list[list[SeriesBlock]]:
    """Blocks of one histogram's buckets, together where they are of the same series."""
    tables: list[list[SeriesBlock]] = []
    for block in blocks:
        last = tables[-1][0] if tables else None
        if last is not None and _le(block) > _le(tables[-1][-1]) and _are_same(block, last):
            tables[-1].append(block)
        else:
            tables.append([block])
    return tables


def _are_same(one: SeriesBlock, other: SeriesBlock) -> bool:
    return one.label_names == other.label_names and len(one) == len(other)


def _le(block: SeriesBlock) -> float:
    return float(dict(block.constant_labels).get("le", "inf"))


def _bounds(table: Sequence[SeriesBlock]) -> NDArray[np.float64]:
    return np.array([_le(block) for block in table])


def _rows(block: SeriesBlock, labels: Sequence[str], values: NDArray[np.float64]) -> Rows:
    columns = [_column(block, label) for label in labels]
    return Rows(np.column_stack(columns), values, block.newborn, block.ended)


def _column(block: SeriesBlock, label: str) -> NDArray[np.uint32]:
    if label in block.label_names:
        return block.labels[:, block.label_names.index(label)]
    return np.full(len(block), ABSENT, np.uint32)


def _is_text(block: SeriesBlock, label: str, text: str) -> NDArray[np.bool_]:
    column = _column(block, label)
    codes = [code for code in np.unique(column).tolist() if block.strings[code] == text]
    return np.isin(column, codes)


def _joined(parts: Sequence[Rows], key_width: int, width: int) -> Rows:
    if len(parts) == 1:
        return parts[0]
    none = np.zeros(0, np.bool_)
    parts = [
        Rows(np.zeros((0, key_width), np.uint32), np.zeros((0, width)), none, none),
        *parts,
    ]
    return Rows(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.newborn for part in parts]),
        np.concatenate([part.ended for part in parts]),
    )
