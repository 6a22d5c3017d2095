"""Service graphs: who calls whom, out of the client and server halves of edges.

Halves wait in record time for their counterpart (``processors/pairing.py``). Rules:
tempo-behaviour.md 1.4 and 2.2, except the differences D1 to D6 of the design.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.batch import ABSENT, EMPTY, STATUS_ERROR, Codes, Kind, Mask, Projection, SpanBatch
from processors.databases import ADDRESS_KEYS, database_node
from processors.delta import DeltaFrame, Family, Instrument, Output, Schema, count_discarded
from processors.edges import Edges, concatenate
from processors.grouping import group
from processors.halves import NOBODY, HalfStore
from processors.histograms import observe
from processors.keys import span_keys, trace_keys
from processors.labels import Dictionary, label_name, prefer, without_empty
from processors.pairing import Halves, NewPairing, Pairs, Side
from processors.python_pairing import PythonPairing
from processors.settings import DurationMs, Settings
from processors.strings import KeptStrings

DEFAULT_BUCKETS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
"""Seconds (tempo-behaviour.md 1.6)."""

DATABASE, MESSAGING, VIRTUAL = "database", "messaging_system", "virtual_node"
"""Values of the label ``connection_type``; a plain request has none."""

UNKNOWN_CLIENT = "user"
RESERVED_LABELS = ("client", "server", "connection_type")

_CLIENT_KINDS = (Kind.CLIENT, Kind.PRODUCER)
_SERVER_KINDS = (Kind.SERVER, Kind.CONSUMER)


class ServiceGraphsConfig(Settings):
    """Tempo's block `metrics_generator.processor.service_graphs`: same keys, same defaults."""

    wait: DurationMs = 10_000
    max_items: int = 10_000
    workers: int = 10
    histogram_buckets: tuple[float, ...] = DEFAULT_BUCKETS
    dimensions: tuple[str, ...] = ()
    enable_client_server_prefix: bool = False
    peer_attributes: tuple[str, ...] = ("peer.service", "db.name", "db.system", "db.system.name")
    database_name_attributes: tuple[str, ...] = (
        "db.namespace", "db.name", "db.system", "db.system.name",
    )  # fmt: skip
    enable_messaging_system_latency_histogram: bool = False
    enable_virtual_node_label: bool = False


class ServiceGraphs:
    """Emits ``traces_service_graph_request_*``."""

    name = "service-graphs"

    def __init__(self, config: ServiceGraphsConfig, pairing: NewPairing = PythonPairing) -> None:
        self._config = config
        self._families = _families(config)
        found = (*ADDRESS_KEYS, *config.database_name_attributes, *config.dimensions)
        self.projection = Projection(
            resource_keys=tuple(dict.fromkeys(found)),
            span_keys=tuple(dict.fromkeys((*found, *config.peer_attributes))),
        )
        self._pairing = pairing(config.wait, config.max_items)
        self._store = HalfStore()
        self._kept = KeptStrings()
        self._tenants = KeptStrings()

    def push(self, batch: SpanBatch) -> Output:
        """Take the halves of ``batch``; emit the edges that are whole or given up."""
        discarded: Counter[tuple[str, str]] = Counter()
        is_server = _is_one_of(_SERVER_KINDS, batch.kind)
        is_edge_kind = is_server | _is_one_of(_CLIENT_KINDS, batch.kind)
        discarded += count_discarded(batch, ~is_edge_kind, "span_kind")
        service = batch.service()
        named = (service > EMPTY) | ((service == EMPTY) & is_server & batch.is_root)
        discarded += count_discarded(batch, is_edge_kind & ~named, "no_service_name")
        halves = batch.filter(is_edge_kind & named)
        pairs = self._pair(halves) if len(halves) else Pairs()
        return self._emit(pairs, discarded)

    def advance(self, lane: int, time_ms: int) -> Output:
        """Give up the halves of ``lane`` that waited long enough at ``time_ms``."""
        return self._emit(self._pairing.advance(lane, time_ms), Counter())

    def close(self, lane: int) -> Output:
        """Give up all halves of ``lane``: their time is over."""
        return self._emit(Pairs(expired=self._pairing.close(lane)), Counter())

    def forget(self, lane: int) -> Output:
        """Drop all halves of ``lane``: it is read on elsewhere."""
        forgotten = self._count_by_kind(self._pairing.close(lane), "forgotten")
        self._release()
        return Output(discarded=forgotten)

    def pending(self) -> int:
        """Halves without a counterpart."""
        return self._pairing.pending()

    def _pair(self, batch: SpanBatch) -> Pairs:
        """Let new halves pair, and keep their columns."""
        columns = self._columns(batch)
        tenant = columns["tenant"]
        trace = trace_keys(tenant, batch.trace_id)
        starts = np.flatnonzero(np.diff(batch.record, prepend=batch.record[0] + 1))
        record = batch.record[starts]
        pairs = self._pairing.push(
            Halves(
                first=self._store.next_number,
                own=span_keys(trace, batch.span_id),
                parent=span_keys(trace, batch.parent_id),
                side=columns["side"],
                tenant=tenant,
                starts=starts,
                lane=batch.records.lane[record],
                time_ms=batch.records.time_ms[record],
            )
        )
        self._store.append(columns)
        return pairs

    def _columns(self, batch: SpanBatch) -> dict[str, NDArray[Any]]:
        """What is kept of a half; strings become kept strings."""
        dictionary = Dictionary(batch.strings)
        database = database_node(batch, self._config.database_name_attributes, dictionary)
        is_client = _is_one_of(_CLIENT_KINDS, batch.kind)
        service = batch.service()
        side = np.where(service > EMPTY, np.uint8(Side.SERVER), np.uint8(Side.ALONE))
        side[is_client] = Side.CLIENT
        side[is_client & (database > EMPTY)] = Side.CLOSED
        codes = {
            "service": service,
            "peer": self._peer(batch),
            "database": np.where(is_client, database, np.uint32(ABSENT)),
            **{_dimension(key): batch.find(key) for key in self._config.dimensions},
        }
        text, valid = dictionary.text(), dictionary.validity()
        tenants = np.array([self._tenants.code(name) for name in batch.records.tenants], np.uint32)
        return {
            "side": side,
            "tenant": tenants[batch.tenant()],
            "is_root": batch.is_root,
            "kind": batch.kind.astype(np.int8),
            "failed": batch.status == STATUS_ERROR,
            "seconds": batch.duration_s(),
            "start_ns": batch.start_ns,
            "end_ns": batch.end_ns,
            **{name: self._kept.keep(text, column, valid) for name, column in codes.items()},
        }

    def _peer(self, batch: SpanBatch) -> Codes:
        """The first of the peer attributes that the span has, empty or not."""
        peer = np.zeros(len(batch), np.uint32)
        for key in self._config.peer_attributes:
            peer = np.where(peer == ABSENT, batch.attributes[key], peer)
        return peer

    def _emit(self, pairs: Pairs, discarded: Counter[tuple[str, str]]) -> Output:
        """Make a frame of the edges in ``pairs``; count the halves that came to an end."""
        if pairs.is_empty():
            self._release()
            return Output(discarded=discarded)
        virtual = self._virtual(pairs.expired)
        edges = concatenate([self._requests(pairs), self._database_calls(pairs), virtual])
        labels = self._labels(edges)
        valid = self._kept.valid_rows(list(labels.values()))
        of_virtual = np.concatenate([virtual.client_half, virtual.server_half])
        ended = np.concatenate([pairs.settled, pairs.closed, of_virtual[of_virtual != NOBODY]])
        is_used = np.ones(len(ended), np.bool_)
        if not valid.all():
            is_used = np.isin(ended, edges.settled_by(valid))
            edges, labels = edges.where(valid), {name: labels[name][valid] for name in labels}
        lost = np.setdiff1d(pairs.expired, of_virtual)
        discarded += self._count(ended[~is_used], "invalid_utf8")
        discarded += self._count_by_kind(lost, "unpaired")
        discarded += self._count_by_kind(pairs.evicted, "store_full")
        discarded += self._count(pairs.repeated, "repeated")
        discarded += self._count(pairs.absorbed[:, 1], "database_server")
        used = Counter({t: n for (t, _), n in self._count(ended[is_used], "").items()})
        frames = [self._frame(edges, labels)] if len(edges) else []
        edge_counts = self._count_edges(edges.connection_type)
        self._release()
        return Output(frames=frames, used=used, discarded=discarded, edges=edge_counts)

    def _count_edges(self, connection_type: Codes) -> Counter[str]:
        counts = np.bincount(connection_type)
        codes = np.flatnonzero(counts).tolist()
        return Counter({self._kept.text[code] or "request": int(counts[code]) for code in codes})

    def _requests(self, pairs: Pairs) -> Edges:
        """Edges of two halves. Either side makes it messaging (D4)."""
        client, server = pairs.edges[:, 0], pairs.edges[:, 1]
        is_messaging = (self._of(client, "kind") == Kind.PRODUCER) | (
            self._of(server, "kind") == Kind.CONSUMER
        )
        return Edges(
            client_half=client,
            server_half=server,
            client=self._of(client, "service"),
            server=self._of(server, "service"),
            connection_type=np.where(is_messaging, self._kept.code(MESSAGING), np.uint32(ABSENT)),
            virtual_node=np.zeros(len(client), np.uint32),
            client_seconds=self._of(client, "seconds"),
            server_seconds=self._of(server, "seconds"),
        )

    def _database_calls(self, pairs: Pairs) -> Edges:
        """Edges of a client half alone; the database is taken to need all of its time.

        A server half that came before it lends its error and its dimensions.
        """
        client = pairs.closed
        earlier = pairs.absorbed[pairs.absorbed[:, 1] < pairs.absorbed[:, 0]]
        server = np.full(len(client), NOBODY)
        server[np.searchsorted(client, earlier[:, 0])] = earlier[:, 1]
        seconds = self._of(client, "seconds")
        return Edges(
            client_half=client,
            server_half=server,
            client=self._of(client, "service"),
            server=self._of(client, "database"),
            connection_type=np.full(len(client), self._kept.code(DATABASE), np.uint32),
            virtual_node=np.zeros(len(client), np.uint32),
            client_seconds=seconds,
            server_seconds=seconds,
        )

    def _virtual(self, expired: NDArray[np.int64]) -> Edges:
        """Edges to a node that sent no span: the caller of a root, the named peer of a client."""
        is_client = self._of(expired, "side") == Side.CLIENT
        peer = self._of(expired, "peer")
        is_root = self._of(expired, "is_root")
        is_edge = np.where(is_client, peer > EMPTY, is_root)
        half, is_client, peer = expired[is_edge], is_client[is_edge], peer[is_edge]
        service, seconds = self._of(half, "service"), self._of(half, "seconds")
        caller = np.where(peer > EMPTY, peer, self._kept.code(UNKNOWN_CLIENT))
        return Edges(
            client_half=np.where(is_client, half, NOBODY),
            server_half=np.where(is_client, NOBODY, half),
            client=np.where(is_client, service, caller),
            server=np.where(is_client, peer, service),
            connection_type=np.full(len(half), self._kept.code(VIRTUAL), np.uint32),
            virtual_node=np.where(
                is_client, self._kept.code("server"), self._kept.code("client")
            ).astype(np.uint32),
            client_seconds=np.where(is_client, seconds, np.nan),
            server_seconds=np.where(is_client, np.nan, seconds),
        )

    def _labels(self, edges: Edges) -> dict[str, Codes]:
        """Label name -> kept string of each edge (tempo-behaviour.md 1.4)."""
        labels = {
            "client": edges.client,
            "server": edges.server,
            "connection_type": edges.connection_type,
        }
        if self._config.enable_virtual_node_label:
            labels["virtual_node"] = edges.virtual_node
        for key in self._config.dimensions:
            of_client = self._of(edges.client_half, _dimension(key))
            of_server = self._of(edges.server_half, _dimension(key))
            if self._config.enable_client_server_prefix:
                added = {f"client_{key}": of_client, f"server_{key}": of_server}
            else:
                server_is_last = edges.server_half > edges.client_half
                last = np.where(server_is_last, of_server, of_client)
                first = np.where(server_is_last, of_client, of_server)
                added = {key: np.where(last != ABSENT, last, first)}
            for attribute, codes in added.items():
                name = label_name(attribute, RESERVED_LABELS)
                labels[name] = prefer(codes, labels[name]) if name in labels else codes
        return {name: without_empty(codes) for name, codes in labels.items()}

    def _frame(self, edges: Edges, labels: Mapping[str, Codes]) -> DeltaFrame:
        half = np.maximum(edges.client_half, edges.server_half)
        tenant = self._of(half, "tenant")
        groups = group([tenant, *labels.values()])
        failed = self._of(edges.client_half, "failed") | self._of(edges.server_half, "failed")
        failures = groups.sum(failed)
        bounds = self._families[2].bounds
        server = observe(groups, edges.server_seconds, bounds)
        client = observe(groups, edges.client_seconds, bounds)
        values = [groups.count()[:, np.newaxis], failures[:, np.newaxis], server, client]
        if self._config.enable_messaging_system_latency_histogram:
            values.append(observe(groups, self._in_transit(edges), bounds))
        tenants, tenant_code = np.unique(tenant[groups.first], return_inverse=True)
        return DeltaFrame(
            schema=Schema(label_names=tuple(labels), families=self._families),
            tenants=tuple(self._tenants.text[code] for code in tenants.tolist()),
            tenant=tenant_code.astype(np.uint32),
            strings=self._kept.text,
            labels=np.column_stack([codes[groups.first] for codes in labels.values()]),
            values=tuple(values),
            present=(None, *map(_is_observed, values[1:])),
            first=half[groups.first],
            spans=values[0][:, 0],
        )

    def _in_transit(self, edges: Edges) -> NDArray[np.float64]:
        """Seconds from the end of sending to the start of receiving; NaN where not after."""
        sent, received = (
            self._of(edges.client_half, "end_ns"),
            self._of(edges.server_half, "start_ns"),
        )
        is_pair = (edges.client_half != NOBODY) & (edges.server_half != NOBODY)
        is_message = edges.connection_type == self._kept.code(MESSAGING)
        nanos = np.where(received > sent, received - sent, np.uint64(0)).astype(np.float64)
        return np.where(is_pair & is_message & (received > sent), nanos / 1e9, np.nan)

    def _of(self, numbers: NDArray[np.int64], column: str) -> NDArray[Any]:
        """A column of the halves with ``numbers``; zero for :data:`NOBODY`."""
        return self._store.take(column, numbers)

    def _count(self, numbers: NDArray[np.int64], reason: str) -> Counter[tuple[str, str]]:
        if not len(numbers):
            return Counter()
        counts = np.bincount(self._of(numbers, "tenant"))
        tenants = np.flatnonzero(counts).tolist()
        return Counter({(self._tenants.text[code], reason): int(counts[code]) for code in tenants})

    def _count_by_kind(self, numbers: NDArray[np.int64], reason: str) -> Counter[tuple[str, str]]:
        counted: Counter[tuple[str, str]] = Counter()
        if not len(numbers):
            return counted
        kinds = self._of(numbers, "kind")
        for kind in (*_CLIENT_KINDS, *_SERVER_KINDS):
            counted += self._count(numbers[kinds == kind], f"{reason}_{kind.name.lower()}")
        return counted

    def _release(self) -> None:
        """Let go of halves that nothing can name any more, and of their strings."""
        if not len(self._store):
            return
        oldest = self._pairing.oldest()
        self._store.release(self._store.next_number if oldest is None else oldest)
        columns = ["service", "peer", "database", *map(_dimension, self._config.dimensions)]
        renamed = self._kept.compact([self._store.all(name) for name in columns])
        if renamed is not None:
            for name in columns:
                self._store.replace(name, renamed[self._store.all(name)])


def _families(config: ServiceGraphsConfig) -> tuple[Family, ...]:
    prefix = "traces_service_graph_request"
    bounds = tuple(sorted(config.histogram_buckets))

    def seconds(name: str, text: str) -> Family:
        return Family(f"{prefix}_{name}_seconds", Instrument.HISTOGRAM, text, "seconds", bounds)

    families = [
        Family(f"{prefix}_total", Instrument.COUNTER, "Requests between two nodes."),
        Family(f"{prefix}_failed_total", Instrument.COUNTER, "Requests with an error."),
        seconds("server", "Duration of requests as the server saw it."),
        seconds("client", "Duration of requests as the client saw it."),
    ]
    if config.enable_messaging_system_latency_histogram:
        families.append(seconds("messaging_system", "From sending a message to its receipt."))
    return tuple(families)


def _is_one_of(kinds: Iterable[Kind], kind: NDArray[np.int32]) -> Mask:
    mask: Mask = np.logical_or.reduce([kind == one for one in kinds])
    return mask


def _is_observed(values: NDArray[np.float64]) -> Mask:
    """Rows of a counter or of a histogram (but for its sum) that are not all zero."""
    return np.asarray(values[:, : max(1, values.shape[1] - 1)].any(axis=1))


def _dimension(key: str) -> str:
    """The column of the store that keeps attribute ``key``."""
    return f"dimension {key}"
