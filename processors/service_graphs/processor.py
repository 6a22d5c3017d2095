"""Service graphs: who calls whom, out of the client and server halves of edges.

Halves wait in record time for their counterpart (``processors/service_graphs/pairing.py``). Rules:
tempo-behaviour.md 1.4 and 2.2, except the differences D1 to D6 of the design.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np

from processors.batch import Codes, SpanBatch
from processors.delta import Output, count_discarded
from processors.histograms import HistogramSettings
from processors.service_graphs.edge_store import EdgeStore
from processors.service_graphs.edges import Edges, edges_of
from processors.service_graphs.frames import EdgeFrames, unpaired_frame
from processors.service_graphs.half_rows import CLIENT_KINDS, FILTERED, SERVER_KINDS, HalfReader
from processors.service_graphs.halves import NOBODY
from processors.service_graphs.pairing import Numbers, Pairs
from processors.service_graphs.settings import PARTS, ServiceGraphsConfig
from processors.service_graphs.witness import UNWATCHED, Witness


class ServiceGraphs:
    """Emits ``traces_service_graph_*``.

    Tenants with equal settings share one of these. All that share a ``store`` know each
    other's halves, so a tenant may move; :meth:`pending` is 0 when nothing waits any more.
    ``witness`` is told what becomes of each span.
    """

    name = "service-graphs"

    def __init__(
        self,
        config: ServiceGraphsConfig,
        *,
        parts: Collection[str] = PARTS,
        histograms: HistogramSettings | None = None,
        store: EdgeStore | None = None,
        witness: Witness = UNWATCHED,
    ) -> None:
        histograms = histograms or HistogramSettings()
        self._config = config
        self._witness = witness
        self._reader = HalfReader(config, has_ids=histograms.exemplars)
        self.projection = self._reader.projection
        self._frames = EdgeFrames(config, parts, histograms, weighs=self._reader.weighs)
        self._store = EdgeStore() if store is None else store
        self._owner = self._store.join()
        weakref.finalize(self, self._store.leave, self._owner).atexit = False

    def push(self, batch: SpanBatch) -> Output:
        """Take the halves of ``batch``; emit the edges that are whole or given up."""
        reading = self._reader.read(batch, self._store)
        self._witness.reads(batch, reading, self._store)
        discarded: Counter[tuple[str, str]] = Counter()
        for mask, reason in reading.left_out:
            discarded.update(count_discarded(batch, mask, reason))
        if reading.rows is None:
            return Output(discarded=discarded)
        limits = (self._config.wait, self._config.max_items)
        return self._emit(self._store.push(self._owner, reading.rows, *limits), discarded)

    def advance(self, lane: int, time_ms: int) -> Output:
        """Give up the halves of ``lane`` that waited long enough at ``time_ms``."""
        return self._emit(self._store.advance(self._owner, lane, time_ms), Counter())

    def close(self, lane: int) -> Output:
        """Give up all halves of ``lane``: their time is over."""
        return self._emit(Pairs(expired=self._store.close(self._owner, lane)), Counter())

    def forget(self, lane: int) -> Output:
        """Drop all halves of ``lane``: it is read on elsewhere."""
        discarded: Counter[tuple[str, str]] = Counter()
        for numbers, reason in self._by_kind(self._store.close(self._owner, lane), "forgotten"):
            discarded.update(self._count(numbers, reason))
        self._store.release()
        return Output(discarded=discarded)

    def pending(self) -> int:
        """Halves without a counterpart."""
        return self._store.pending(self._owner)

    def _emit(self, pairs: Pairs, discarded: Counter[tuple[str, str]]) -> Output:
        """Make frames of the edges in ``pairs``; count the halves that came to an end."""
        if pairs.is_empty():
            self._store.release()
            return Output(discarded=discarded)
        used, frames = np.concatenate([pairs.settled, pairs.closed]), []
        lost, counts = pairs.expired, Counter[str]()
        edges = edges_of(pairs, self._store, self._config.unknown_client_name)
        if edges is not None:
            if len(lost):
                of_edges = np.concatenate([edges.client_half, edges.server_half])
                of_edges = of_edges[of_edges != NOBODY]
                is_virtual = np.isin(lost, of_edges, kind="table")
                used = np.concatenate([used, lost[is_virtual]])
                lost = lost[~is_virtual]
            labels = self._frames.labels(edges, self._store)
            edges, labels, used, wild = self._valid(edges, labels, used)
            discarded.update(self._count(wild, "invalid_utf8"))
            if len(edges):
                self._witness.makes(edges, labels, self._frames, self._store)
                frames.append(self._frames.frame(edges, labels, self._store))
                counts = self._count_edges(edges.connection_type)
        discarded.update(self._count(pairs.repeated, "repeated"))
        self._count_unmarked(pairs.unmarked, discarded)
        unpaired = [(numbers, reason) for numbers, reason in self._unpaired(pairs, lost)]
        for numbers, reason in unpaired:
            discarded.update(self._count(numbers, reason))
        if unpaired and self._config.enable_unpaired_spans_metric:
            self._witness.misses(unpaired, self._store)
            frame = unpaired_frame(unpaired, self._store)
            frames += [] if frame is None else [frame]
        self._witness.uses(used)
        output = Output(
            frames=frames, used=self._store.count(used), discarded=discarded, edges=counts
        )
        self._store.release()
        return output

    def _valid(
        self, edges: Edges, labels: dict[str, Codes], used: Numbers
    ) -> tuple[Edges, dict[str, Codes], Numbers, Numbers]:
        """The edges whose labels are UTF-8, and of ``used`` halves those of them and the others."""
        valid = self._store.kept.valid_rows(list(labels.values()))
        if valid.all():
            return edges, labels, used, used[:0]
        is_used = np.isin(used, edges.settled_by(valid, self._store))
        labels = {name: codes[valid] for name, codes in labels.items()}
        return edges.where(valid), labels, used[is_used], used[~is_used]

    def _unpaired(self, pairs: Pairs, lost: Numbers) -> Iterator[tuple[Numbers, str]]:
        """Halves that made no edge, by reason."""
        yield from self._by_kind(lost, "unpaired")
        yield from self._by_kind(pairs.evicted, "store_full")
        if len(pairs.excused):
            yield pairs.excused, "counterpart_filtered"
        if len(pairs.absorbed):
            yield pairs.absorbed[:, 1], "database_server"

    def _by_kind(self, numbers: Numbers, reason: str) -> Iterator[tuple[Numbers, str]]:
        if not len(numbers):
            return
        kinds = self._store.of(numbers, "kind")
        for kind in (*CLIENT_KINDS, *SERVER_KINDS):
            of_kind = numbers[kinds == kind]
            if len(of_kind):
                yield of_kind, f"{reason}_{kind.name.lower()}"

    def _count_unmarked(self, numbers: Numbers, discarded: Counter[tuple[str, str]]) -> None:
        """Tell the filtered spans that there was no room to remember from the others."""
        self._witness.loses(numbers, "filter_marker_overflow")
        for tenant, count in self._store.count(numbers).items():
            discarded[tenant, FILTERED] -= count
            discarded[tenant, "filter_marker_overflow"] += count

    def _count(self, numbers: Numbers, reason: str) -> Counter[tuple[str, str]]:
        self._witness.loses(numbers, reason)
        counted = self._store.count(numbers)
        return Counter({(tenant, reason): count for tenant, count in counted.items()})

    def _count_edges(self, connection_type: Codes) -> Counter[str]:
        text = self._store.kept.text
        counts = np.bincount(connection_type)
        codes = np.flatnonzero(counts).tolist()
        return Counter({text[code] or "request": int(counts[code]) for code in codes})
