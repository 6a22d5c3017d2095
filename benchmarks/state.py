"""State of a chosen size: deltas of as many label sets as make the series that are wanted.

They are what span metrics make of one span each by default, with exemplars.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from processors.batch import Kind, Records, Resources, SpanBatch, Strings
from processors.delta import DeltaFrame
from processors.histograms import HistogramSettings
from processors.span_metrics import DEFAULT_BUCKETS, SpanMetrics, SpanMetricsConfig

SERIES_OF_LABEL_SET = len(DEFAULT_BUCKETS) + 1 + 2 + 2
"""Buckets with +Inf, sum and count; calls and size."""

TENANT = "single-tenant"
_SERVICES = 50
_ROWS = 10_000
"""Of a frame: about what a batch of 16,000 spans of many operations makes."""

_PROCESSOR = SpanMetrics(SpanMetricsConfig(), histograms=HistogramSettings(exemplars=True))


def frames(first: int, label_sets: int) -> Iterator[DeltaFrame]:
    """Deltas of ``label_sets`` label sets from number ``first`` on, each with one span."""
    for start in range(first, first + label_sets, _ROWS):
        rows = min(_ROWS, first + label_sets - start)
        yield from _PROCESSOR.push(_spans(start, rows)).frames


def _spans(first: int, rows: int) -> SpanBatch:
    """Spans of ``rows`` operations, the numbers of which begin with ``first``."""
    numbers = np.arange(first, first + rows)
    services = [f"service-{number:02d}" for number in range(_SERVICES)]
    names = [f"GET /api/v1/resources-{number}/{{id}}" for number in numbers.tolist()]
    texts = ["", "", *services, *names]
    service = (2 + numbers % _SERVICES).astype(np.uint32)
    nothing = np.zeros(0, np.uint32)
    record = np.zeros(rows, np.uint32)
    nanos = np.zeros(rows, np.uint64)
    return SpanBatch(
        strings=Strings(texts, np.ones(len(texts), np.bool_)),
        records=Records(
            (TENANT,), record[:1], np.zeros(1, np.int64), record[:1], np.zeros(1, np.bool_)
        ),
        resources=Resources(record, service, {}, np.zeros(rows + 1, np.int64), nothing, nothing),
        record=record,
        resource=np.arange(rows, dtype=np.uint32),
        name=(2 + _SERVICES + np.arange(rows)).astype(np.uint32),
        kind=np.full(rows, Kind.SERVER, np.int32),
        status=np.zeros(rows, np.int32),
        start_ns=nanos,
        end_ns=nanos + np.uint64(10_000_000),
        size_bytes=np.full(rows, 500, np.int64),
        trace_id=np.column_stack([numbers, numbers]).astype(np.uint64) + np.uint64(1),
        span_id=numbers.astype(np.uint64),
        parent_id=nanos,
        is_root=np.zeros(rows, np.bool_),
    )
