"""Service graphs: who calls whom, out of client and server halves of one edge."""

from __future__ import annotations

from processors.settings import DurationMs, Settings

DEFAULT_BUCKETS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
"""Seconds (tempo-behaviour.md 1.6)."""


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
