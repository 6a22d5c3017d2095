"""What can be configured about service graphs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from processors.filters import FilterPolicy
from processors.multiplier import MultiplierSettings
from processors.service_graphs.databases import NAME_ORDER
from processors.settings import DurationMs

DEFAULT_BUCKETS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
"""Seconds (tempo-behaviour.md 1.6)."""

REQUEST, LATENCY, CONNECTION_INFO = "request", "latency", "connection-info"
PARTS = frozenset({REQUEST, LATENCY})
"""What ``service-graphs`` is; a sub-processor ``service-graphs-<part>`` is one part alone."""

VIRTUAL_NODE_LABEL = "virtual_node"


class ServiceGraphsConfig(MultiplierSettings):
    """Tempo's block `metrics_generator.processor.service_graphs`: same keys, same defaults.

    Ours are the last four.
    """

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
    filter_policies: tuple[FilterPolicy, ...] = ()
    database_name_order: tuple[str, ...] = NAME_ORDER
    unknown_client_name: Annotated[str, Field(min_length=1)] = "user"
    enable_unpaired_spans_metric: bool = False
    enable_span_links: bool = False

    @property
    def label_attributes(self) -> tuple[str, ...]:
        """The attributes that become labels.

        ``virtual_node`` is one where its label is on and has no prefix (tempo-behaviour.md 1.4).
        """
        if self.enable_virtual_node_label and not self.enable_client_server_prefix:
            return tuple(dict.fromkeys([*self.dimensions, VIRTUAL_NODE_LABEL]))
        return tuple(dict.fromkeys(self.dimensions))
