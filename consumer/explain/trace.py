"""Takes note of what processors that hold nothing do with each span.

They count by tenant; so where every span has a tenant of its own, every count and every
row of a frame is of one span. That takes a second run of the same processor.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from consumer.explain.findings import Findings
from consumer.explain.spans import SeenSpans, numbers_of
from processors.batch import Records, Resources, SpanBatch
from processors.delta import Output, Processor, Stateless


class Traced(Stateless):
    """A stateless ``processor`` as it is, of which ``findings`` are made besides."""

    def __init__(self, processor: Processor, spans: SeenSpans, findings: Findings) -> None:
        self.name = processor.name
        self.projection = processor.projection
        self._processor = processor
        self._spans = spans
        self._findings = findings

    def push(self, batch: SpanBatch) -> Output:
        """Count the spans of ``batch``, and see which counted where."""
        output = self._processor.push(batch)
        if len(batch):
            self._take_note(self._processor.push(apart(batch)))
        return output

    def _take_note(self, output: Output) -> None:
        findings = self._findings
        findings.use([int(span) for span in output.used], self.name)
        for span, reason in output.discarded:
            findings.discard([int(span)], self.name, reason)
        for frame in output.frames:
            spans = [int(frame.tenants[code]) for code in frame.tenant.tolist()]
            tenants = [self._spans[span].tenant for span in spans]
            names, codes = np.unique(np.array(tenants, object).astype(str), return_inverse=True)
            of_tenant = replace(
                frame, tenants=tuple(names.tolist()), tenant=codes.astype(np.uint32)
            )
            findings.count(of_tenant, spans, self.name)


def apart(batch: SpanBatch) -> SpanBatch:
    """``batch`` with a record, a resource and a tenant for each span: its number, as text."""
    rows = np.arange(len(batch), dtype=np.uint32)
    records = batch.records
    return replace(
        batch,
        records=Records(
            tenants=tuple(map(str, numbers_of(batch).tolist())),
            tenant=rows,
            time_ms=records.time_ms[batch.record],
            lane=records.lane[batch.record],
            skip=records.skip[batch.record],
        ),
        resources=_resources(batch.resources, batch.resource),
        record=rows,
        resource=rows,
    )


def _resources(resources: Resources, rows: NDArray[np.uint32]) -> Resources:
    """The resources in ``rows``, each as often as it is there."""
    lengths = np.diff(resources.all_offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    places = np.repeat(resources.all_offsets[:-1][rows], lengths) + within
    return Resources(
        record=np.arange(len(rows), dtype=np.uint32),
        service=resources.service[rows],
        attributes={key: codes[rows] for key, codes in resources.attributes.items()},
        all_offsets=offsets,
        all_keys=resources.all_keys[places],
        all_values=resources.all_values[places],
        typed={key: codes[rows] for key, codes in resources.typed.items()},
    )
