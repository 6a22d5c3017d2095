"""Service graphs span by span, written plainly from tempo-behaviour.md 2.2 to 2.5.

With all of :class:`Differences` off it makes what Tempo makes; with all on, what spanmill
makes. So a case that Tempo's series were recorded for tells what ours must be.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from consumer.decode.messages import TRACES
from processors.service_graphs import ServiceGraphsConfig
from tests.support.oracle_spans import (
    CLIENT_KINDS,
    CONSUMER,
    ERROR,
    PRODUCER,
    SERVER_KINDS,
    Differences,
    Edge,
    Half,
    adjusted_count,
    first,
    first_found,
    is_utf8,
)
from tests.support.oracle_stores import FanOut, OneEdge
from tests.support.policies import accepts

Labels = tuple[tuple[str, str], ...]
Series = dict[tuple[str, Labels], float]


class Oracle:
    """Service graphs of one tenant; ``series`` is what has been counted."""

    def __init__(
        self, config: ServiceGraphsConfig, parts: Iterable[str], rules: Differences
    ) -> None:
        self._config = config
        self._parts = frozenset(parts)
        self._rules = rules
        self._store: FanOut | OneEdge = FanOut(self) if rules.d2_fan_out else OneEdge(self)
        self._seen: set[tuple[bytes, bytes, bool]] = set()
        self._count = 0
        self.series: Series = defaultdict(float)

    @property
    def max_items(self) -> int:
        return self._config.max_items

    @property
    def rules(self) -> Differences:
        return self._rules

    def push(self, record: bytes) -> None:
        """Take an ``otlp_proto`` record."""
        for group in TRACES.FromString(record).resource_spans:
            resource = group.resource.attributes
            service = first("service.name", resource)
            for scope in group.scope_spans if service is not None else ():
                for span in scope.spans:
                    if span.kind in (*CLIENT_KINDS, *SERVER_KINDS):
                        self._count += 1
                        self._take(Half(span, resource, service or "", self._count))

    def expire(self) -> None:
        """Let the time of everything that waits run out."""
        self._store.expire()
        self._seen.clear()

    def _take(self, half: Half) -> None:
        if not accepts(self._config.filter_policies, half.span, half.resource):
            self._store.filtered(half)
        elif not half.service and not half.is_root:
            self._store.take(half)
        elif not self._rules.d3_repeated or half.identity not in self._seen:
            self._seen.add(half.identity)
            self._store.take(half)

    def gone(self, half: Half) -> None:
        """``half`` was crowded out."""
        self._seen.discard(half.identity)

    def write(self, edge: Edge, half: Half) -> None:
        """Put down what ``half`` says (2.2.5 to 2.2.7)."""
        span = half.span
        edge.kinds.add(span.kind)
        is_message = span.kind in (PRODUCER, CONSUMER)
        edge.connection_type = "messaging_system" if is_message else ""
        edge.failed |= span.status.code == ERROR
        edge.sides.add(half.is_client)
        edge.weight = self._weight(half)
        self._write_dimensions(edge, half)
        peer = first_found(first(k, span.attributes) for k in self._config.peer_attributes)
        edge.peer = edge.peer if peer is None else peer
        if half.is_client:
            edge.client, edge.client_seconds = half.service, half.seconds()
            edge.sent_ns = span.end_time_unix_nano
            self._write_database(edge, half)
        else:
            edge.server, edge.server_seconds = half.service, half.seconds()
            edge.received_ns = span.start_time_unix_nano
            edge.is_root = half.is_root

    def _write_dimensions(self, edge: Edge, half: Half) -> None:
        prefix = ""
        if self._config.enable_client_server_prefix:
            prefix = "client_" if half.is_client else "server_"
        keys = [(f"{prefix}{key}", key) for key in self._config.dimensions]
        if self._config.enable_virtual_node_label and not prefix:
            keys.append(("virtual_node", "virtual_node"))
        for name, key in keys:
            value = half.find(key)
            if value is not None:
                edge.dimensions[name] = value

    def _write_database(self, edge: Edge, half: Half) -> None:
        called = first_found(map(half.find, self._config.database_name_attributes))
        if called is None:
            return
        edge.connection_type = "database"
        edge.server_seconds = half.seconds()
        address, port = half.find("network.peer.address"), half.find("network.peer.port")
        if address is not None and port is not None:
            address = f"{address}:{port}"
        names = [half.find("peer.service"), half.find("server.address"), address, called or None]
        name = first_found(names)
        if name or (name is not None and not self._rules.empty_erases_nothing):
            edge.server = name
        edge.is_call = bool(name)

    def _weight(self, half: Half) -> float:
        if self._config.enable_tracestate_span_multiplier:
            adjusted = adjusted_count(half.span.trace_state.decode())
            if adjusted > 0:
                return adjusted
        key = self._config.span_multiplier_key
        for attributes in (half.span.attributes, half.resource) if key else ():
            values = [each.value for each in attributes if each.key == key.encode()]
            ratio = values[0].double_value if values else 0.0
            if self._rules.d16_any_number and values and values[0].HasField("int_value"):
                ratio = float(values[0].int_value)
            if 0 < ratio < float("inf"):
                return 1 / ratio
        return 1.0

    def complete(self, edge: Edge) -> None:
        """Count an edge (2.2.8)."""
        is_message = edge.sides == {True, False} and not {PRODUCER, CONSUMER}.isdisjoint(edge.kinds)
        is_pair = not edge.is_call and not edge.virtual
        if self._rules.d4_either_messaging and is_message and is_pair:
            edge.connection_type = "messaging_system"
        labels = self._labels(edge)
        if not all(is_utf8(value) for _, value in labels):
            return
        if "request" in self._parts:
            self._add("request_total", labels, edge.weight)
            if edge.failed:
                self._add("request_failed_total", labels, edge.weight)
        if "latency" in self._parts:
            for side, seconds in (("client", edge.client_seconds), ("server", edge.server_seconds)):
                if seconds is not None or not self._rules.d1_measured_side:
                    self._observe(f"request_{side}_seconds", labels, seconds or 0.0, edge.weight)
            self._observe_transit(edge, labels)
        if "connection-info" in self._parts:
            self.series["traces_service_graph_connection_info", labels] = 1

    def _observe_transit(self, edge: Edge, labels: Labels) -> None:
        is_on = self._config.enable_messaging_system_latency_histogram
        nanos = edge.received_ns - edge.sent_ns
        is_pair = edge.sides == {True, False} or not self._rules.d1_measured_side
        if is_on and edge.connection_type == "messaging_system" and nanos > 0 and is_pair:
            name = "request_messaging_system_seconds"
            self._observe(name, labels, nanos / 1e9, edge.weight)

    def _labels(self, edge: Edge) -> Labels:
        builtin = {
            "client": edge.client,
            "server": edge.server,
            "connection_type": edge.connection_type,
        }
        labels = dict(builtin)
        dimensions = edge.dimensions
        if edge.virtual and self._config.enable_virtual_node_label:
            dimensions = {**dimensions, "virtual_node": edge.virtual}
        order = [f"{side}{key}" for key in self._config.dimensions for side in self._prefixes()]
        if self._config.enable_virtual_node_label:
            order.append("virtual_node")
        for attribute in order:
            name = re.sub(r"[^A-Za-z0-9_]", "_", attribute)
            if self._rules.d6_reserved_labels and name in builtin:
                name = f"__{name}"
            elif self._rules.d10_digits and name[:1].isdigit():
                name = f"_{name}"
            value = dimensions.get(attribute, "")
            if value or not self._rules.d9_last_non_empty:
                labels[name] = value
        return tuple(sorted((name, value) for name, value in labels.items() if value))

    def _prefixes(self) -> Sequence[str]:
        return ("client_", "server_") if self._config.enable_client_server_prefix else ("",)

    def _add(self, name: str, labels: Labels, value: float) -> None:
        self.series[f"traces_service_graph_{name}", labels] += value

    def _observe(self, name: str, labels: Labels, seconds: float, weight: float) -> None:
        for bound in (*sorted(self._config.histogram_buckets), float("inf")):
            le = "+Inf" if bound == float("inf") else f"{bound:g}"
            with_le = tuple(sorted((*labels, ("le", le))))
            self._add(f"{name}_bucket", with_le, weight if seconds <= bound else 0)
        self._add(f"{name}_count", labels, weight)
        self._add(f"{name}_sum", labels, seconds * weight)

    def give_up(self, edge: Edge) -> None:
        """Make a virtual edge of what found no counterpart, if it can be one (2.2.10)."""
        edge = replace(edge, connection_type="virtual_node")
        if not edge.client and edge.is_root:
            edge.client, edge.virtual = edge.peer or self._config.unknown_client_name, "client"
        elif edge.client and not edge.server and edge.peer:
            edge.server, edge.virtual = edge.peer, "server"
        if edge.virtual:
            self.complete(edge)
