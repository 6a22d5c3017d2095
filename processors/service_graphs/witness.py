"""Who is told what becomes of each span in service graphs, one by one.

The counts and frames that a processor emits no longer say which span did what. A witness
is told before they are made; the hot path has :data:`UNWATCHED`, which looks away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from processors.batch import Codes, SpanBatch
from processors.service_graphs.edge_store import EdgeStore
from processors.service_graphs.edges import Edges
from processors.service_graphs.frames import EdgeFrames
from processors.service_graphs.half_rows import Reading
from processors.service_graphs.pairing import Numbers


class Witness(Protocol):
    """Knows halves by their numbers; those of a span begin where :meth:`reads` says."""

    def reads(self, batch: SpanBatch, reading: Reading, store: EdgeStore) -> None:
        """Spans came. The first of their halves will be number ``store.next_number``."""
        ...

    def makes(
        self, edges: Edges, labels: Mapping[str, Codes], frames: EdgeFrames, store: EdgeStore
    ) -> None:
        """Edges are about to be counted with ``labels``, by ``frames``."""
        ...

    def uses(self, numbers: Numbers) -> None:
        """These halves are counted as used."""
        ...

    def loses(self, numbers: Numbers, reason: str) -> None:
        """These halves are counted as discarded."""
        ...

    def misses(self, halves: Sequence[tuple[Numbers, str]], store: EdgeStore) -> None:
        """These are about to be counted as unpaired spans, with the reason."""
        ...


class _Unwatched:
    """A witness of nothing."""

    def reads(self, batch: SpanBatch, reading: Reading, store: EdgeStore) -> None:
        """Look away."""

    def makes(
        self, edges: Edges, labels: Mapping[str, Codes], frames: EdgeFrames, store: EdgeStore
    ) -> None:
        """Look away."""

    def uses(self, numbers: Numbers) -> None:
        """Look away."""

    def loses(self, numbers: Numbers, reason: str) -> None:
        """Look away."""

    def misses(self, halves: Sequence[tuple[Numbers, str]], store: EdgeStore) -> None:
        """Look away."""


UNWATCHED: Witness = _Unwatched()
