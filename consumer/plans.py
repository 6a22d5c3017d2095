"""Plans: the processors that tenants with equal settings share."""

from __future__ import annotations

from collections.abc import Iterator

from consumer.config.tenants import Processing
from processors.batch import Projection
from processors.delta import Processor, Stateless
from processors.host_info import HostInfo
from processors.service_graphs import PARTS as GRAPH_PARTS
from processors.service_graphs import UNWATCHED, EdgeStore, ServiceGraphs, Witness
from processors.span_metrics import PARTS, SpanMetrics


class Plan:
    """The processors that ``processing`` switches on; ``edges`` is what all plans share.

    ``witness`` is told what service graphs make of each span.
    """

    def __init__(
        self, processing: Processing, edges: EdgeStore, witness: Witness = UNWATCHED
    ) -> None:
        self.processors = tuple(_processors(processing, edges, witness))
        self.stateful = [each for each in self.processors if not isinstance(each, Stateless)]
        self.projection = Projection()
        for processor in self.processors:
            self.projection = self.projection.union(processor.projection)
        self.is_draining = False
        """Whether nobody has it any more."""

    def pending(self) -> int:
        """Spans that wait in it."""
        return sum(processor.pending() for processor in self.stateful)


def _processors(processing: Processing, edges: EdgeStore, witness: Witness) -> Iterator[Processor]:
    """Those that are on; a new processor gets its lines here."""
    parts = processing.parts(SpanMetrics.name, sorted(PARTS))
    if parts:
        yield SpanMetrics(
            processing.span_metrics,
            parts,
            sanitization=processing.span_name_sanitization,
            histograms=processing.histograms,
        )
    parts = processing.parts(ServiceGraphs.name, sorted(GRAPH_PARTS))
    if parts:
        yield ServiceGraphs(
            processing.service_graphs,
            parts=parts,
            histograms=processing.histograms,
            store=edges,
            witness=witness,
        )
    if HostInfo.name in processing.processors:
        yield HostInfo(processing.host_info)
