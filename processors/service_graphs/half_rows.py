"""Which spans are halves of edges, and what is kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.batch import ABSENT, EMPTY, STATUS_ERROR, Codes, Kind, Mask, Projection, SpanBatch
from processors.filters import Filter
from processors.labels import Dictionary
from processors.multiplier import Multiplier
from processors.service_graphs.databases import DatabaseNames
from processors.service_graphs.edge_store import (
    SPAN_ID,
    TRACE_ID,
    EdgeStore,
    HalfRows,
    dimension,
)
from processors.service_graphs.keys import span_keys, trace_keys
from processors.service_graphs.pairing import Side
from processors.service_graphs.settings import ServiceGraphsConfig

CLIENT_KINDS = (Kind.CLIENT, Kind.PRODUCER)
SERVER_KINDS = (Kind.SERVER, Kind.CONSUMER)

FILTERED = "service_graphs_filtered"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the spans of a batch are: ``rows`` of the halves that are ``kept`` (bool[n]).

    ``left_out`` (bool[n], reason) are the spans that are counted by now, whatever else they
    are kept for. ``rows`` is ``None`` where nothing is kept.
    """

    rows: HalfRows | None
    kept: Mask
    left_out: Sequence[tuple[Mask, str]]


class HalfReader:
    """Makes rows of spans by one configuration."""

    def __init__(self, config: ServiceGraphsConfig, *, has_ids: bool = False) -> None:
        """``has_ids``: keep the ids of spans, for exemplars."""
        self._config = config
        self._has_ids = has_ids
        self._filter = Filter(config.filter_policies)
        self._databases = DatabaseNames(config.database_name_attributes, config.database_name_order)
        self._multiplier = Multiplier(
            config.span_multiplier_key,
            from_trace_state=config.enable_tracestate_span_multiplier,
        )
        found = (*self._databases.keys, *config.label_attributes)
        own = Projection(
            resource_keys=tuple(dict.fromkeys(found)),
            span_keys=tuple(dict.fromkeys((*found, *config.peer_attributes))),
            links=config.enable_span_links,
        )
        self.projection = own.union(self._filter.projection).union(self._multiplier.projection)

    @property
    def weighs(self) -> bool:
        """Whether spans may count more than once."""
        return not self._multiplier.is_one

    def read(self, batch: SpanBatch, store: EdgeStore) -> Reading:
        """The halves in ``batch``, and the spans that are none."""
        is_server = _is_one_of(SERVER_KINDS, batch.kind)
        is_edge_kind = is_server | _is_one_of(CLIENT_KINDS, batch.kind)
        left_out = [(~is_edge_kind, "span_kind")]
        service = batch.service()
        is_root_server = is_server & batch.is_root
        is_empty = service == EMPTY
        kept = is_edge_kind & ((service > EMPTY) | (is_empty & is_root_server))
        excluded = None
        if self._config.filter_policies:
            excluded = is_edge_kind & (service != ABSENT) & ~self._filter.accepts(batch)
            left_out.append((excluded, FILTERED))
            left_out.append((is_edge_kind & ~kept & ~excluded, "no_service_name"))
            kept = (kept & ~excluded) | (excluded & ~is_root_server)
        else:
            left_out.append((is_edge_kind & ~kept, "no_service_name"))
        if is_empty.any():
            kept |= is_server & is_empty & ~is_root_server
        if excluded is not None:
            excluded = excluded[kept]
        halves = batch if kept.all() else batch.filter(kept)
        rows = self._rows(halves, excluded, store) if len(halves) else None
        return Reading(rows, kept, left_out)

    def _rows(self, batch: SpanBatch, excluded: Mask | None, store: EdgeStore) -> HalfRows:
        columns = self._columns(batch, store)
        if excluded is not None:
            side, is_client = columns["side"], columns["is_client"]
            side[excluded & is_client] = Side.FILTERED_CLIENT
            side[excluded & ~is_client] = Side.FILTERED_SERVER
        tenant = columns["tenant"]
        trace = trace_keys(tenant, batch.trace_id)
        own, parent = span_keys(trace, batch.span_id), span_keys(trace, batch.parent_id)
        record = batch.record
        if self._config.enable_span_links:
            links = _links(batch, columns, parent)
            source = links.source
            own, record, parent = own[source], record[source], links.parent
            columns = {name: column[source] for name, column in columns.items()}
            columns["behind"] = links.behind
            columns["side"][links.behind > 0] = Side.LINK
        starts = np.flatnonzero(np.diff(record, prepend=record[0] + 1))
        return HalfRows(
            columns=columns,
            own=own,
            parent=parent,
            starts=starts,
            lane=batch.records.lane[record[starts]],
            time_ms=batch.records.time_ms[record[starts]],
        )

    def _columns(self, batch: SpanBatch, store: EdgeStore) -> dict[str, NDArray[Any]]:
        """What is kept of a half; strings become kept strings."""
        dictionary = Dictionary(batch.strings)
        is_client = _is_one_of(CLIENT_KINDS, batch.kind)
        database = self._databases.find(batch, is_client, dictionary)
        service = batch.service()
        side = np.where(service > EMPTY, np.uint8(Side.SERVER), np.uint8(Side.ALONE))
        side[(service == EMPTY) & ~batch.is_root] = Side.NAMELESS
        side[is_client] = Side.CLIENT
        if self._config.enable_span_links:
            side[batch.kind == Kind.PRODUCER] = Side.PRODUCER
        side[database > EMPTY] = Side.CLOSED
        codes = {
            "service": service,
            "peer": self._peer(batch),
            "database": database,
            **{dimension(key): batch.find(key) for key in self._config.label_attributes},
        }
        text, valid = dictionary.text(), dictionary.validity()
        tenants = store.tenants.codes(batch.records.tenants)
        kept = store.kept.keep(text, np.stack(list(codes.values())), valid)
        columns = {
            "side": side,
            "tenant": tenants[batch.tenant()],
            "is_client": is_client,
            "is_root": batch.is_root,
            "kind": batch.kind.astype(np.int8),
            "failed": batch.status == STATUS_ERROR,
            "seconds": batch.duration_s(),
            "start_ns": batch.start_ns,
            "end_ns": batch.end_ns,
            **dict(zip(codes, kept, strict=True)),
        }
        if self.weighs:
            columns["weight"] = self._multiplier.of(batch)
        if self._has_ids:
            columns |= dict(zip(TRACE_ID, batch.trace_id.T, strict=True))
            columns[SPAN_ID] = batch.span_id
        return columns

    def _peer(self, batch: SpanBatch) -> Codes:
        """The first of the peer attributes that the span has, empty or not."""
        peer = np.zeros(len(batch), np.uint32)
        for key in self._config.peer_attributes:
            of_span = batch.attributes[key]
            if of_span.any():
                peer = np.where(peer == ABSENT, of_span, peer)
        return peer


@dataclass(frozen=True, slots=True)
class _Links:
    """Rows of spans, each with its links after it.

    ``source`` is the span of a row, ``behind`` how far back that span's own row is,
    ``parent`` whom the row names.
    """

    source: NDArray[np.intp]
    behind: NDArray[np.uint32]
    parent: NDArray[np.uint64]


def _links(
    batch: SpanBatch, columns: dict[str, NDArray[Any]], parent: NDArray[np.uint64]
) -> _Links:
    """The distinct links of consumers that name another span than the parent."""
    count = len(batch)
    own_rows = _Links(np.arange(count), np.zeros(count, np.uint32), parent)
    if batch.links is None or not len(batch.links.span_id):
        return own_rows
    speaks = (columns["kind"] == Kind.CONSUMER) & (columns["side"] == Side.SERVER)
    span = np.repeat(np.arange(count), np.diff(batch.links.offsets))
    key = span_keys(trace_keys(columns["tenant"][span], batch.links.trace_id), batch.links.span_id)
    row = np.flatnonzero(speaks[span] & (key != parent[span]))
    row = row[np.lexsort((key[row], span[row]))]
    span, key = span[row], key[row]
    is_new = np.ones(len(row), np.bool_)
    is_new[1:] = (span[1:] != span[:-1]) | (key[1:] != key[:-1])
    span, key = span[is_new], key[is_new]
    rank = (np.arange(len(span)) - np.searchsorted(span, span) + 1).astype(np.uint32)
    source = np.concatenate([own_rows.source, span])
    behind = np.concatenate([own_rows.behind, rank])
    order = np.lexsort((behind, source))
    return _Links(source[order], behind[order], np.concatenate([parent, key])[order])


def _is_one_of(kinds: tuple[Kind, Kind], kind: NDArray[np.int32]) -> Mask:
    first, second = kinds
    return np.asarray((kind == first) | (kind == second))
