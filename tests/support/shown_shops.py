"""A worker without Kafka or network for the page: the demo's shops, at the speed of a test.

Real traffic, pipeline, registry and flusher; the sink takes everything. Time is a clock
turned by hand, so the numbers are the same at each run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from prometheus_client import CollectorRegistry

from consumer.config import parse_config
from consumer.config.series import registry_settings
from consumer.config.shown import as_tree
from consumer.config.tenants import settings_by_tenant
from consumer.decode import RawRecords
from consumer.demo.shop import ShopTraffic
from consumer.demo.topology import SHOPS
from consumer.flusher import Flusher
from consumer.page.routes import Page, PageSources
from consumer.page.sinks import Sinks
from consumer.page.tap import Tap
from consumer.page.traffic import Traffic
from consumer.pipeline import open_pipeline
from consumer.registry import Registry
from consumer.remote_write.observer import NullObserver
from consumer.telemetry.server import PartitionStatus, Served, Status, StatusServer
from processors.delta import DeltaFrame
from tests.support.clock import HandClock
from tests.support.fakes import START_MS, FakeSender

SINK = "prometheus:9090"
TRACES_PER_S: Mapping[str, int] = {"acme": 6, "globex": 2}
_STEP_S = 1
_TEXT = """
kafka: {bootstrap_servers: "kafka:9092", topic: otlp_spans, client: {sasl.password: hunter2}}
metrics_generator:
  registry: {collection_interval: 5s}
  storage: {remote_write: [{url: "http://prometheus:9090/api/v1/write", name: "prometheus:9090"}]}
"""


class ShownShops:
    """The worker. ``run`` lets time pass; ``server`` serves what there is then."""

    def __init__(self, configuration: str = "") -> None:
        self.clock = HandClock(START_MS / 1_000)
        self.status = Status(version="0.1.0", decoder="native", encoding="otlp_proto")
        self.sinks = Sinks(NullObserver(), [SINK], self.clock)
        self.traffic = Traffic()
        self.sender = FakeSender([])
        self._config = parse_config(_TEXT + configuration, environ={})
        tenants = settings_by_tenant(self._config)
        self._pipeline = open_pipeline(self._config, tenants)
        self._registry = Registry(registry_settings(self._config), started_ms=START_MS)
        self._registry.limit(*tenants.limits())
        tap = Tap(self.sender, self.traffic, self.sinks)
        self._interval_ms = tenants.default.interval_ms
        self._flusher = Flusher(self._registry, tap, tenants)
        self._flusher.begin(START_MS)
        self._shops = [ShopTraffic(shop, number) for number, shop in enumerate(SHOPS, 1)]

    def run(self, seconds: int, *, more: Mapping[str, Sequence[bytes]] | None = None) -> None:
        """Let the shops work so long; ``more`` are records by tenant that come at the begin."""
        for tenant, values in (more or {}).items():
            self._push(tenant, values)
        for _ in range(0, seconds, _STEP_S):
            self.clock.sleep_s(_STEP_S)
            for shop in self._shops:
                traces = [
                    shop.trace(self.clock.now_ms())
                    for _ in range(TRACES_PER_S[shop.tenant] * _STEP_S)
                ]
                self._push(
                    shop.tenant, [value for trace in traces for value in shop.exports(trace)]
                )
            now_ms = self.clock.now_ms()
            self._fold(self._pipeline.advance(0, now_ms).frames, now_ms)
            if now_ms % self._interval_ms < _STEP_S * 1_000:
                self._flusher.tick(now_ms - now_ms % self._interval_ms, {})
                tenants = self.sender.ticks[-1].tenants.values()
                sent = sum(len(block) for blocks in tenants for block in blocks)
                self.sinks.samples_sent(SINK, "acme", sent)
                self.sender.ticks.clear()

    def server(self) -> StatusServer:
        """The HTTP server of a worker that has two partitions."""
        self.status.phase = "assigned"
        self.status.partitions = (
            PartitionStatus(0, 184_220, 184_000, 0, 0.0),
            PartitionStatus(1, 183_911, 183_700, 12, 0.4),
        )
        served = Served(CollectorRegistry(), self.status, as_tree(self._config))
        sources = PageSources(
            self.status,
            self.traffic,
            self.sinks,
            served.configuration,
        )
        page = Page(sources, self.clock)
        return StatusServer(("127.0.0.1", 0), served, clock=self.clock, more=page.routes())

    def _push(self, tenant: str, values: Sequence[bytes]) -> None:
        now_ms = self.clock.now_ms()
        records = RawRecords(
            values=values,
            tenants=(tenant,),
            tenant=np.zeros(len(values), np.uint32),
            time_ms=np.full(len(values), now_ms, np.int64),
            lane=np.zeros(len(values), np.uint32),
        )
        self._fold(self._pipeline.push(records).frames, now_ms)

    def _fold(self, frames: Sequence[DeltaFrame], now_ms: int) -> None:
        self._registry.fold(frames, now_ms)
        self._flusher.folded(frames)
