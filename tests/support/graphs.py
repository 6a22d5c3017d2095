"""Service graphs as the tests drive them: spans in, totals of edges out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from consumer.decode import Encoding, RawRecords, open_decoder
from processors.delta import DeltaFrame, Output
from processors.service_graphs import PARTS, EdgeStore, ServiceGraphs, ServiceGraphsConfig
from processors.service_graphs.pairing import NewPairing
from processors.service_graphs.python_pairing import PythonPairing
from tests.support import otlp

SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
PRODUCER, CONSUMER = Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER
INTERNAL = Span.SPAN_KIND_INTERNAL

WILD = "<wild>"
"""Becomes text that is not UTF-8 on the wire."""


def half(
    service: str | None,
    kind: int,
    own: int,
    parent: int | None = None,
    **fields: Any,
) -> ResourceSpans:
    """One span of ``service``; ids are small numbers, of trace 1 unless ``trace`` says so."""
    trace, resource = fields.pop("trace", 1), fields.pop("resource", {})
    built = otlp.span(
        kind=kind,
        trace_id=trace.to_bytes(16, "big"),
        span_id=own.to_bytes(8, "big"),
        parent_span_id=b"" if parent is None else parent.to_bytes(8, "big"),
        **fields,
    )
    return otlp.resource_spans([built], service=service, resource=resource)


@dataclass(frozen=True)
class GraphRecord:
    """A record of halves."""

    parts: Sequence[ResourceSpans]
    time_ms: int = 0
    lane: int = 0
    tenant: str = "t"

    def value(self) -> bytes:
        return otlp.record(*self.parts).replace(WILD.encode(), b"\xff" * len(WILD))


class Graph:
    """Service graphs with everything that ever came of them, added up.

    ``store`` is one that another graph may have as well; ``parts`` as `ServiceGraphs` has them.
    """

    def __init__(
        self,
        pairing: NewPairing = PythonPairing,
        *,
        store: EdgeStore | None = None,
        parts: Collection[str] = PARTS,
        **config: Any,
    ) -> None:
        self.store = EdgeStore(pairing) if store is None else store
        settings = ServiceGraphsConfig.model_validate(config, strict=False)
        self.processor = ServiceGraphs(settings, parts=parts, store=self.store)
        self.totals: dict[tuple[str, str, tuple[tuple[str, str], ...]], NDArray[np.float64]] = {}
        """(tenant, family, labels) -> values of the family."""
        self._bounds: dict[str, list[str]] = {}
        """Of histograms: the labels of their buckets."""
        self.used: Counter[str] = Counter()
        self.discarded: Counter[tuple[str, str]] = Counter()
        self.edges: Counter[str] = Counter()
        self._decoder = open_decoder(
            Encoding.OTLP_PROTO, self.processor.projection, implementation="python"
        )

    def push(self, *parts: ResourceSpans, time_ms: int = 0, lane: int = 0) -> None:
        """Push a record."""
        self.push_batch([GraphRecord(parts, time_ms, lane)])

    def push_batch(self, records: Sequence[GraphRecord]) -> None:
        """Push records at once."""
        tenants = tuple(dict.fromkeys(record.tenant for record in records))
        raw = RawRecords(
            values=[record.value() for record in records],
            tenants=tenants,
            tenant=np.array([tenants.index(record.tenant) for record in records], np.uint32),
            time_ms=np.array([record.time_ms for record in records], np.int64),
            lane=np.array([record.lane for record in records], np.uint32),
        )
        self._add(self.processor.push(self._decoder.decode(raw).batch))

    def advance(self, time_ms: int, lane: int = 0) -> None:
        self._add(self.processor.advance(lane, time_ms))

    def close(self, lane: int = 0) -> None:
        self._add(self.processor.close(lane))

    def forget(self, lane: int = 0) -> None:
        self._add(self.processor.forget(lane))

    def requests(self) -> dict[str, float]:
        """``client -> server`` and, in brackets, the connection type, with its requests."""
        requests: dict[str, float] = {}
        for (_, family, pairs), values in self.totals.items():
            if family == "traces_service_graph_request_total":
                labels = dict(pairs)
                kind = labels.get("connection_type")
                edge = f"{labels.get('client', '')} -> {labels.get('server', '')}"
                edge += f" ({kind})" if kind else ""
                requests[edge] = requests.get(edge, 0.0) + float(values[0])
        return requests

    def observed(self, side: str) -> dict[float, int]:
        """Sum of a histogram's seconds -> observations, of each edge that has any."""
        name = f"traces_service_graph_request_{side}_seconds"
        values = [values for (_, family, _), values in self.totals.items() if family == name]
        return {round(float(row[-1]), 9): int(row[:-1].sum()) for row in values}

    def failed(self) -> float:
        """Requests with an error."""
        name = "traces_service_graph_request_failed_total"
        return float(sum(row[0] for (_, family, _), row in self.totals.items() if family == name))

    def labels(self) -> list[dict[str, str]]:
        """The labels of each edge."""
        return [dict(pairs) for _, family, pairs in self.totals if family.endswith("request_total")]

    def series(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Everything as series, tenants added up: (name, labels) -> value."""
        series: dict[tuple[str, tuple[tuple[str, str], ...]], float] = defaultdict(float)
        for (_, family, labels), values in self.totals.items():
            bounds = self._bounds.get(family)
            if bounds is None:
                series[family, tuple(sorted(labels))] += float(values[0])
                continue
            *counts, total = values.tolist()
            for bound, count in zip(bounds, np.cumsum(counts).tolist(), strict=True):
                series[f"{family}_bucket", tuple(sorted((*labels, ("le", bound))))] += count
            series[f"{family}_count", tuple(sorted(labels))] += sum(counts)
            series[f"{family}_sum", tuple(sorted(labels))] += total
        return dict(series)

    def unpaired(self) -> dict[tuple[str, ...], float]:
        """Values of the labels -> spans that made no edge."""
        return {
            tuple(f"{name}={value}" for name, value in labels): float(values[0])
            for (_, family, labels), values in self.totals.items()
            if family == "traces_service_graph_unpaired_spans_total"
        }

    def families(self) -> set[str]:
        """The families that anything was counted in."""
        return {family for _, family, _ in self.totals}

    def _add(self, output: Output) -> None:
        self.used += output.used
        self.discarded += output.discarded
        self.edges += output.edges
        for frame in output.frames:
            for family in frame.schema.families:
                if family.bounds:
                    self._bounds[family.name] = [*(f"{each:g}" for each in family.bounds), "+Inf"]
            for key, values in _rows(frame):
                self.totals[key] = self.totals.get(key, np.zeros(len(values))) + values


def _rows(
    frame: DeltaFrame,
) -> Iterator[tuple[tuple[str, str, tuple[tuple[str, str], ...]], NDArray[np.float64]]]:
    for row in range(len(frame)):
        texts = (frame.strings[code] for code in frame.labels[row].tolist())
        named = zip(frame.schema.label_names, texts, strict=True)
        labels = tuple((name, text) for name, text in named if text)
        for index, family in enumerate(frame.schema.families):
            present = frame.present[index]
            if present is None or present[row]:
                tenant = frame.tenants[frame.tenant[row]]
                yield (tenant, family.name, labels), frame.values[index][row]
