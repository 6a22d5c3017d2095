"""The dashboards and alerts on a real worker: what they ask for is there, and nothing fires.

The demo's shops write to a real Kafka, a worker writes to a real Prometheus, and that
Prometheus scrapes the worker; then it is asked what Grafana would ask.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from consumer.clock import SystemClock
from consumer.demo.load import Load
from consumer.demo.shop import ShopTraffic
from consumer.demo.topology import SHOPS
from consumer.distributor import Target
from consumer.kafka.client import OutgoingRecord, RecordWriter
from tests.support.kafka_broker import KafkaCluster
from tests.support.processes import wait_until
from tests.support.prometheus import Prometheus
from tests.support.workers import open_stage

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
RATE_SPANS_PER_S = 400
TICKS = 15
SETTINGS = {
    "processor": {
        "service_graphs": {
            "enable_unpaired_spans_metric": True,
            "enable_messaging_system_latency_histogram": True,
        }
    },
    "max_active_series": 100_000,
    "max_cardinality_per_label": 1_000,
}
NOTHING_IS_WRONG = {
    *("Samples tried again A", "Samples refused or not sent A", "Samples refused or not sent B"),
    *("Errors of sending threads A", "Native histograms and exemplars C"),
    *("Span names replaced by templates A", "Spans with an overflowed label A"),
    *(
        "Descriptions of metrics B",
        "Paused, by reason A",
        "Pauses A",
        "Overrides read again A",
        "Updates without room A",
    ),
    *("Updates without room B", "Series that begin and end B"),
}
"""Queries that are empty while nothing of the kind has happened: their counters begin then."""
NOT_ASKED_FOR = {
    *("Native histograms and exemplars A", "Since the overrides were last good A"),
    *("Entities A", "Entities B", "Entities C"),
    *("Entities that begin and end A", "Entities that begin and end B"),
}
pytestmark = pytest.mark.timeout(240)  # a broker, a Prometheus, a worker, and fifteen ticks

MEANT = {"SpanmillRecordsUndecodable"}
"""The alert that this test itself gives a reason for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Prometheus, a quarter of a minute after the start."""

    server: Prometheus
    guarantee: str
    time_s: float


@pytest.fixture(scope="module", params=["at_least_once", "exactly_once"])
def asked(
    request: pytest.FixtureRequest,
    kafka: KafkaCluster,
    prometheus: Prometheus,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("dashboards")
    blocks = {
        "processing_guarantee": request.param,
        "overrides": {"defaults": {"metrics_generator": SETTINGS}},
        "exactly_once": {"shards": 2, "snapshot_interval": "2s"},
    }
    letters = kafka.new_topic("letters")
    kafka_block = {"dead_letter_topic": letters, "create_topics": True, "replication_factor": 1}
    with ExitStack() as stack:
        stage = stack.enter_context(
            open_stage(
                folder, kafka, prometheus.remote_write_url, kafka_block=kafka_block, blocks=blocks
            )
        )
        writer = RecordWriter({"bootstrap.servers": kafka.bootstrap})
        traffic = [ShopTraffic(shop, number) for number, shop in enumerate(SHOPS)]
        load = Load(
            writer,
            Target(stage.topic),
            clock=SystemClock(),
            rate=RATE_SPANS_PER_S,
            traffic=traffic,
        )
        (worker,) = stage.start("pod-0")
        prometheus.scrape(worker.url.removeprefix("http://"))
        stack.enter_context(load)
        writer.write(OutgoingRecord(stage.topic, b"no spans at all", key=b"0" * 32))
        writer.write(OutgoingRecord(stage.topic, orphan(), key=b"0" * 32))
        wait_until(
            lambda: bool(prometheus.query(f"spanmill_ticks_total > {TICKS}", time.time())),
            f"{TICKS} ticks",
            60.0,
        )
        yield Asked(prometheus, request.param, time.time())
        prometheus.scrape()


def orphan() -> bytes:
    """A span of a server whose client never comes."""
    request = ExportTraceServiceRequest()
    container = request.resource_spans.add()
    name = container.resource.attributes.add(key="service.name")
    name.value.string_value = "orphan"
    now_ns = time.time_ns()
    container.scope_spans.add().spans.add(
        trace_id=b"orphan's trace..",
        span_id=b"orphan..",
        parent_span_id=b"a client",
        name="GET /",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=now_ns - 10**6,
        end_time_unix_nano=now_ns,
    )
    return request.SerializeToString()


def queries(board: str) -> list[tuple[str, str]]:
    """Each query of a dashboard with everything chosen, and where it stands."""
    found = []
    for panel in json.loads((DASHBOARDS / f"{board}.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "15s").replace("$__range", "30s")
            found.append((f"{panel['title']} {target['refId']}", re.sub(r"\$[a-z]\w*", ".*", text)))
    return found


def empty(asked: Asked, board: str) -> set[str]:
    """Where nothing is shown."""
    return {where for where, query in queries(board) if not asked.server.query(query, asked.time_s)}


def test_the_operators_dashboard_is_filled_but_for_what_never_happened(asked: Asked) -> None:
    assert empty(asked, "workers") == NOTHING_IS_WRONG | NOT_ASKED_FOR


@pytest.mark.parametrize("board", ["red", "service-map"])
def test_what_is_made_of_spans_is_shown_in_every_panel(asked: Asked, board: str) -> None:
    assert empty(asked, board) == set()


def test_the_map_has_the_nodes_that_its_edges_join(asked: Asked) -> None:
    texts = dict(queries("service-map"))
    nodes = asked.server.query(texts["Who calls whom nodes"], asked.time_s)
    edges = asked.server.query(texts["Who calls whom edges"], asked.time_s)
    ids = {each.labels["id"] for each in nodes}
    assert {each.labels["title"] for each in nodes} == ids
    ends = {each.labels[side] for each in edges for side in ("client", "server")}
    assert ids == ends
    assert len({each.labels["id"] for each in edges}) == len(edges)


def test_no_alert_is_about_to_fire_for_a_worker_that_is_well(asked: Asked) -> None:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    true = {
        rule["alert"]
        for group in groups
        for rule in group["rules"]
        if asked.server.query(rule["expr"], asked.time_s)
    }
    assert true == MEANT
