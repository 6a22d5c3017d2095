"""Takes note of what service graphs do with each span."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from consumer.explain.findings import Findings, FoundEdge
from consumer.explain.spans import numbers_of
from processors.batch import Codes, SpanBatch
from processors.service_graphs import EdgeStore, ServiceGraphs
from processors.service_graphs.edges import Edges
from processors.service_graphs.frames import EdgeFrames, unpaired_frame
from processors.service_graphs.half_rows import Reading
from processors.service_graphs.halves import NOBODY
from processors.service_graphs.pairing import Numbers

_EDGE = "\0edge"
"""A label that no two edges share, so that a frame has a row for each."""


class GraphWitness:
    """A :class:`processors.service_graphs.Witness` that knows which half is of which span."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._span_of: list[int] = []
        """The span of each half, by its number."""

    def reads(self, batch: SpanBatch, reading: Reading, store: EdgeStore) -> None:
        """Learn the numbers of the halves of ``batch``."""
        numbers = numbers_of(batch)
        for mask, reason in reading.left_out:
            self._findings.discard(numbers[mask].tolist(), ServiceGraphs.name, reason)
        if reading.rows is None:
            return
        if store.next_number != len(self._span_of):
            raise AssertionError("halves came that the witness was not told of")
        kept = numbers[reading.kept]
        behind = reading.rows.columns.get("behind")
        if behind is not None:  # a link is of the span before it
            kept = kept[np.cumsum(behind == 0) - 1]
        self._span_of += kept.tolist()

    def makes(
        self, edges: Edges, labels: Mapping[str, Codes], frames: EdgeFrames, store: EdgeStore
    ) -> None:
        """Take note of edges, and of what each counts in."""
        apart = {**labels, _EDGE: np.arange(len(edges), dtype=np.uint32)}
        frame = frames.frame(edges, apart, store)
        schema = replace(frame.schema, label_names=frame.schema.label_names[:-1])
        frame, row = replace(frame, schema=schema, labels=frame.labels[:, :-1]), frame.labels[:, -1]
        clients = self._spans(edges.client_half[row])
        servers = self._spans(edges.server_half[row])
        first = len(self._findings.edges)
        found = [
            FoundEdge(number, client, server)
            for number, (client, server) in enumerate(zip(clients, servers, strict=True), first)
        ]
        self._findings.join(frame, found, ServiceGraphs.name)

    def uses(self, numbers: Numbers) -> None:
        """Take note of halves that counted."""
        self._findings.use(self._known(numbers), ServiceGraphs.name)

    def loses(self, numbers: Numbers, reason: str) -> None:
        """Take note of halves that did not count."""
        self._findings.discard(self._known(numbers), ServiceGraphs.name, reason)

    def misses(self, halves: Sequence[tuple[Numbers, str]], store: EdgeStore) -> None:
        """Take note of what the metric of unpaired spans says of each half."""
        for numbers, reason in halves:
            for place, span in enumerate(self._known(numbers)):
                frame = unpaired_frame([(numbers[place : place + 1], reason)], store)
                if frame is not None:
                    self._findings.count(frame, [span], ServiceGraphs.name)

    def _known(self, numbers: Numbers) -> list[int]:
        return [self._span_of[number] for number in numbers.tolist()]

    def _spans(self, numbers: Numbers) -> list[int | None]:
        return [None if n == NOBODY else self._span_of[n] for n in numbers.tolist()]
