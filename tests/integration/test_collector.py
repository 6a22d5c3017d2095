"""A real Collector, as deploy/collector has it, between the demo's shops and two workers.

It is the Collector's own code, linked into ``tests/validate``, on a real Kafka: so the key,
the hashing, the encoding and the header of the tenant are what a user would get.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from consumer.demo.send import send_load
from tests.support.kafka_broker import KafkaCluster
from tests.support.processes import ChildProcess, answers_ok, free_port
from tests.support.prometheus import Prometheus
from tests.support.workers import metric, open_stage

ROOT = Path(__file__).parents[2]
VALIDATOR = ROOT / "tests" / "validate" / "target" / "validate"
CONFIGURATION = ROOT / "deploy" / "collector" / "collector.yaml"
TENANTS = {"acme", "globex"}


class Collector:
    """A Collector of our own; what differs from the configuration are ports and the topic."""

    def __init__(self, folder: Path, kafka: KafkaCluster, topic: str) -> None:
        self.port = free_port()
        self._health = free_port()
        receivers = {"grpc": free_port(), "http": self.port}
        prometheus = {"host": "127.0.0.1", "port": free_port()}
        changes = {
            "receivers": {
                "otlp": {
                    "protocols": {
                        name: {"endpoint": f"127.0.0.1:{port}"} for name, port in receivers.items()
                    }
                }
            },
            "exporters": {"kafka": {"traces": {"topic": topic}}},
            "extensions": {"health_check": {"endpoint": f"127.0.0.1:{self._health}"}},
            "service": {
                "telemetry": {
                    "metrics": {"readers": [{"pull": {"exporter": {"prometheus": prometheus}}}]}
                }
            },
        }
        file = folder / "changes.yaml"
        file.write_text(yaml.safe_dump(changes))
        self.process = ChildProcess(
            [str(VALIDATOR), "run", str(CONFIGURATION), str(file)],
            folder / "collector.log",
            environment={"KAFKA_BROKERS": kafka.bootstrap},
        )

    def start(self) -> None:
        self.process.start()
        self.process.wait_ready(lambda: answers_ok(f"http://127.0.0.1:{self._health}/"), 60.0)


@pytest.fixture(autouse=True)
def _validator() -> None:
    if not VALIDATOR.exists():
        reason = "tests/validate is not built (make test does it; it needs Go)"
        if os.environ.get("CI"):
            pytest.fail(f"needed in CI: {reason}")
        pytest.skip(reason)


def test_what_a_collector_writes_is_counted_by_tenant_and_paired(
    kafka: KafkaCluster, prometheus: Prometheus, tmp_path: Path
) -> None:
    with open_stage(tmp_path, kafka, prometheus.remote_write_url) as stage:
        collector = Collector(tmp_path, kafka, stage.topic)
        with collector.process:
            collector.start()
            first, second = stage.start("pod-0", "pod-1")
            address = f"http://127.0.0.1:{collector.port}"
            assert send_load(address, rate=300, duration_s=3.0, seed=1) == 0
            assert collector.process.stop() == 0, collector.process.describe()
        stage.wait_committed()
        workers = (first, second)
        name = "spanmill_spans_received_total"
        spans = {tenant: sum(metric(w, name, tenant=tenant) for w in workers) for tenant in TENANTS}
        assert min(spans.values()) > 0
        assert sum(metric(w, name) for w in workers) == sum(spans.values()), "no other tenant"
        assert all(metric(w, name) > 0 for w in workers), "every worker has its share"
        paired = sum(metric(w, "spanmill_edges_paired_total") for w in workers)
        unpaired = sum(metric(w, "spanmill_edges_expired_total") for w in workers)
        assert paired > 100
        assert unpaired == 0, "both halves of every edge reached one worker"
