"""Edges, and halves that found none, as frames of deltas (tempo-behaviour.md 1 and 1.4)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.batch import ABSENT, EMPTY, Codes, Mask
from processors.delta import DeltaFrame, Family, Instrument, Schema
from processors.grouping import Groups, group
from processors.histograms import HistogramSettings, Measured, count, duration_families, measure
from processors.labels import label_name, prefer, without_empty
from processors.service_graphs.edge_store import SPAN_ID, TRACE_ID, EdgeStore, dimension
from processors.service_graphs.edges import MESSAGING, Edges
from processors.service_graphs.halves import NOBODY
from processors.service_graphs.pairing import Numbers
from processors.service_graphs.settings import (
    CONNECTION_INFO,
    LATENCY,
    REQUEST,
    VIRTUAL_NODE_LABEL,
    ServiceGraphsConfig,
)
from processors.sparse import Exemplars, Spans, choose

RESERVED_LABELS = ("client", "server", "connection_type")

_PREFIX = "traces_service_graph"
UNPAIRED = Family(
    f"{_PREFIX}_unpaired_spans_total",
    Instrument.COUNTER,
    "Spans of one side of a request that the other side was not found for.",
)

Labels = Mapping[str, Codes]


class EdgeFrames:
    """Makes frames of edges by one configuration.

    ``parts``: which families there are. ``weighs``: whether halves have a weight.
    """

    def __init__(
        self,
        config: ServiceGraphsConfig,
        parts: Collection[str],
        histograms: HistogramSettings,
        *,
        weighs: bool,
    ) -> None:
        self._config = config
        self._weighs = weighs
        self._has_exemplars = histograms.exemplars
        self._families = _families(config, parts, histograms)

    def labels(self, edges: Edges, store: EdgeStore) -> dict[str, Codes]:
        """Label name -> kept string of each edge."""
        labels = {
            "client": edges.client,
            "server": edges.server,
            "connection_type": edges.connection_type,
        }
        for key in self._config.label_attributes:
            for attribute, codes in self._dimension(key, edges, store).items():
                name = label_name(attribute, RESERVED_LABELS)
                labels[name] = prefer(codes, labels[name]) if name in labels else codes
        if self._config.enable_virtual_node_label:
            of_attribute = labels.get(VIRTUAL_NODE_LABEL, np.zeros(len(edges), np.uint32))
            labels[VIRTUAL_NODE_LABEL] = prefer(edges.virtual_node, of_attribute)
        return {name: without_empty(codes) for name, codes in labels.items()}

    def _dimension(self, key: str, edges: Edges, store: EdgeStore) -> Labels:
        """The attribute ``key`` of each side, or of the side that was processed last."""
        of_client = store.of(edges.client_half, dimension(key))
        of_server = store.of(edges.server_half, dimension(key))
        if self._config.enable_client_server_prefix:
            return {f"client_{key}": of_client, f"server_{key}": of_server}
        server_is_last = edges.server_half > edges.client_half
        last = np.where(server_is_last, of_server, of_client)
        first = np.where(server_is_last, of_client, of_server)
        return {key: np.where(last != ABSENT, last, first)}

    def frame(self, edges: Edges, labels: Labels, store: EdgeStore) -> DeltaFrame:
        """Everything that is counted of ``edges``, once for each group of equal labels."""
        half = edges.last_half()
        tenant = store.of(half, "tenant")
        groups = group([tenant, *labels.values()])
        weights = None
        if self._weighs:
            weight = store.of(half, "weight")
            weights = np.where(weight > 0, weight, 1.0)
        measured = self._measure(edges, groups, weights, store)
        tenants, tenant_code = np.unique(tenant[groups.first], return_inverse=True)
        return DeltaFrame(
            schema=Schema(label_names=tuple(labels), families=tuple(self._families.values())),
            tenants=tuple(store.tenants.text[code] for code in tenants.tolist()),
            tenant=tenant_code.astype(np.uint32),
            strings=store.kept.text,
            labels=np.column_stack([codes[groups.first] for codes in labels.values()]),
            values=tuple(each.values for each in measured),
            present=tuple(
                None if name in _ALWAYS else _is_observed(each.values)
                for (name, _), each in zip(self._families, measured, strict=True)
            ),
            first=half[groups.first],
            spans=groups.count(),
            cells=tuple(each.cells for each in measured),
            exemplars=tuple(each.exemplars for each in measured),
        )

    def _measure(
        self,
        edges: Edges,
        groups: Groups,
        weights: NDArray[np.float64] | None,
        store: EdgeStore,
    ) -> list[Measured]:
        """What each family counts in each group.

        The span behind an exemplar is that of the side that was measured, else the other.
        """
        failed = store.of(edges.client_half, "failed") | store.of(edges.server_half, "failed")
        of_server = self._spans(edges.server_half, edges.client_half, store)
        of_client = self._spans(edges.client_half, edges.server_half, store)
        by_server, by_client = edges.server_seconds, edges.client_seconds
        slowest = np.where(np.isnan(by_server), by_client, by_server)
        measured = []
        for (name, _), family in self._families.items():
            match name:
                case "total":
                    found = count(groups, weights, _slowest(of_server, groups, slowest))
                case "failed_total":
                    weight = failed * (1.0 if weights is None else weights)
                    seconds = np.where(failed, slowest, np.nan)
                    found = count(groups, weight, _slowest(of_server, groups, seconds))
                case "server":
                    found = measure(family, groups, by_server, weights, of_server)
                case "client":
                    found = measure(family, groups, by_client, weights, of_client)
                case "messaging_system":
                    seconds = _in_transit(edges, store)
                    found = measure(family, groups, seconds, weights, of_server)
                case _:
                    found = Measured(np.ones((len(groups), 1)))
            measured.append(found)
        return measured

    def _spans(self, half: Numbers, other: Numbers, store: EdgeStore) -> _HalfSpans | None:
        """The spans of ``half``, or of the ``other`` where there is none."""
        if not self._has_exemplars:
            return None
        return _HalfSpans(np.where(half == NOBODY, other, half), store)


def _slowest(
    spans: _HalfSpans | None, groups: Groups, seconds: NDArray[np.float64]
) -> Exemplars | None:
    if spans is None or np.isnan(seconds).all():
        return None
    return choose(spans, groups.of_row, seconds)


@dataclass(frozen=True, slots=True)
class _HalfSpans:
    """The spans of ``halves``, as the ``store`` has them."""

    halves: Numbers
    store: EdgeStore

    def where(self, rows: NDArray[np.intp]) -> Spans:
        """The spans in ``rows``."""
        halves, of = self.halves[rows], self.store.of
        trace_id = np.column_stack([of(halves, column) for column in TRACE_ID])
        return Spans(trace_id, of(halves, SPAN_ID), of(halves, "end_ns"))


_ALWAYS = ("total", "connection_info")
"""Families that every edge has."""


def unpaired_frame(halves: Sequence[tuple[Numbers, str]], store: EdgeStore) -> DeltaFrame | None:
    """Halves that made no edge, with the reason, counted for the service that sent them."""
    numbers = np.concatenate([numbers for numbers, _ in halves])
    service = store.of(numbers, "service")
    told = store.kept.valid_rows([service]) & (service > EMPTY)
    reasons = [np.full(len(each), store.kept.code(reason), np.uint32) for each, reason in halves]
    reason = np.concatenate(reasons)[told]
    numbers, service = numbers[told], service[told]
    if not len(numbers):
        return None
    is_client = store.of(numbers, "is_client")
    absent = np.uint32(ABSENT)
    labels = {
        "client": np.where(is_client, service, absent),
        "server": np.where(is_client, absent, service),
        "reason": reason,
    }
    tenant = store.of(numbers, "tenant")
    groups = group([tenant, *labels.values()])
    tenants, tenant_code = np.unique(tenant[groups.first], return_inverse=True)
    return DeltaFrame(
        schema=Schema(label_names=tuple(labels), families=(UNPAIRED,)),
        tenants=tuple(store.tenants.text[code] for code in tenants.tolist()),
        tenant=tenant_code.astype(np.uint32),
        strings=store.kept.text,
        labels=np.column_stack([codes[groups.first] for codes in labels.values()]),
        values=(groups.count()[:, np.newaxis],),
        present=(None,),
        first=numbers[groups.first],
        spans=groups.count(),
    )


def _families(
    config: ServiceGraphsConfig, parts: Collection[str], histograms: HistogramSettings
) -> Mapping[tuple[str, Instrument], Family]:
    """Which families ``parts`` stand for, by the last words of their names."""
    families: dict[tuple[str, Instrument], Family] = {}
    bounds = tuple(sorted(config.histogram_buckets))

    def counter(name: str, text: str) -> None:
        family = Family(f"{_PREFIX}_request_{name}", Instrument.COUNTER, text)
        families[name, Instrument.COUNTER] = family

    def seconds(name: str, text: str) -> None:
        full = f"{_PREFIX}_request_{name}_seconds"
        for instrument, family in duration_families(full, text, bounds, histograms).items():
            families[name, instrument] = family

    if REQUEST in parts:
        counter("total", "Requests between two nodes.")
        counter("failed_total", "Requests with an error.")
    if LATENCY in parts:
        seconds("server", "Duration of requests as the server saw it.")
        seconds("client", "Duration of requests as the client saw it.")
        if config.enable_messaging_system_latency_histogram:
            seconds("messaging_system", "From sending a message to its receipt.")
    if CONNECTION_INFO in parts:
        families["connection_info", Instrument.GAUGE] = Family(
            f"{_PREFIX}_connection_info", Instrument.GAUGE, "1 for every edge that was seen."
        )
    return families


def _in_transit(edges: Edges, store: EdgeStore) -> NDArray[np.float64]:
    """Seconds from the end of sending to the start of receiving; NaN where not after."""
    sent = store.of(edges.client_half, "end_ns")
    received = store.of(edges.server_half, "start_ns")
    is_pair = (edges.client_half != NOBODY) & (edges.server_half != NOBODY)
    is_message = edges.connection_type == store.kept.code(MESSAGING)
    nanos = np.where(received > sent, received - sent, np.uint64(0)).astype(np.float64)
    return np.where(is_pair & is_message & (received > sent), nanos / 1e9, np.nan)


def _is_observed(values: NDArray[np.float64]) -> Mask:
    """Rows of a counter or of a histogram (but for its sum) that are not all zero.

    None is negative, so their sums tell: NumPy looks for any much more slowly.
    """
    return np.asarray(np.einsum("ij->i", values[:, : max(1, values.shape[1] - 1)]) != 0)
