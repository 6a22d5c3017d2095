"""What was found out about each span."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consumer.registry import Registry
from processors.delta import DeltaFrame


@dataclass(frozen=True, slots=True)
class SeriesSet:
    """Series of one label set, by the families that they are of.

    ``overflow``: families that had no room for it, so that it counted in the overflow
    series; ``unobserved``: families that the edge had nothing to tell to.
    """

    labels: Mapping[str, str]
    metrics: Sequence[str]
    overflow: Sequence[str] = ()
    unobserved: Sequence[str] = ()


@dataclass(slots=True)
class FoundEdge:
    """An edge between spans, by their numbers; ``None`` for a side that never came."""

    number: int
    client: int | None
    server: int | None
    series: SeriesSet | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """Those of its series."""
        return {} if self.series is None else self.series.labels


@dataclass(slots=True)
class Finding:
    """What one processor did with a span. ``is_used`` None: it still waits for another."""

    is_used: bool | None = None
    reason: str = ""
    """Of being discarded."""
    series: list[SeriesSet] = field(default_factory=list)
    edges: list[FoundEdge] = field(default_factory=list)


class Findings:
    """Findings by span and processor; frames become series when :meth:`settle` is called."""

    def __init__(self) -> None:
        self.edges: list[FoundEdge] = []
        self._of_span: dict[int, dict[str, Finding]] = defaultdict(dict)
        self._frames: list[tuple[DeltaFrame, Sequence[int], str]] = []
        self._of_edges: list[tuple[DeltaFrame, Sequence[FoundEdge]]] = []

    def of(self, span: int) -> Mapping[str, Finding]:
        """By processor, what was found about the span with this number."""
        return self._of_span.get(span, {})

    def finding(self, span: int, processor: str) -> Finding:
        """What one processor did with a span, to be added to."""
        return self._of_span[span].setdefault(processor, Finding())

    def use(self, spans: Sequence[int], processor: str) -> None:
        """``processor`` counted ``spans`` as used."""
        for span in spans:
            self.finding(span, processor).is_used = True

    def discard(self, spans: Sequence[int], processor: str, reason: str) -> None:
        """``processor`` counted ``spans`` as discarded."""
        for span in spans:
            finding = self.finding(span, processor)
            finding.is_used, finding.reason = False, reason

    def count(self, frame: DeltaFrame, spans: Sequence[int], processor: str) -> None:
        """The rows of ``frame`` are of one span each: ``spans``."""
        self._frames.append((frame, spans, processor))

    def join(self, frame: DeltaFrame, edges: Sequence[FoundEdge], processor: str) -> None:
        """The rows of ``frame`` are of one edge each: ``edges``, which are new."""
        self._of_edges.append((frame, edges))
        self.edges += edges
        for edge in edges:
            for span in dict.fromkeys((edge.client, edge.server)):
                if span is not None:
                    self.finding(span, processor).edges.append(edge)

    def settle(self, registry: Registry) -> None:
        """Look up the series that frames fed, once all deltas are in ``registry``."""
        for frame, spans, processor in self._frames:
            for span, series in zip(spans, _series(frame, registry), strict=True):
                self.finding(span, processor).series.append(series)
        for frame, edges in self._of_edges:
            for edge, series in zip(edges, _series(frame, registry), strict=True):
                edge.series = series
        self._frames, self._of_edges = [], []


def _series(frame: DeltaFrame, registry: Registry) -> Sequence[SeriesSet]:
    """The series of each row of ``frame``."""
    found = registry.find(frame)
    names = np.array([family.name for family in frame.schema.families], object)
    everywhere = np.ones(len(frame), np.bool_)
    observed = np.column_stack([everywhere if mask is None else mask for mask in frame.present])
    return [
        SeriesSet(
            labels,
            metrics=_distinct(names[is_observed & is_alive]),
            overflow=_distinct(names[is_observed & ~is_alive]),
            unobserved=_distinct(names[~is_observed]),
        )
        for labels, is_observed, is_alive in zip(found.labels, observed, found.alive, strict=True)
    ]


def _distinct(names: NDArray[np.object_]) -> Sequence[str]:
    """Each name once: a classic and a native histogram share theirs."""
    return [*dict.fromkeys(names.tolist())]
