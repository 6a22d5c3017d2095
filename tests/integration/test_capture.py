"""From a topic of a real Kafka to what explain says of it, by the command line alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from consumer.kafka.client import OutgoingRecord, RecordWriter
from tests.support import otlp
from tests.support.graphs import CLIENT, SERVER, GraphRecord, half
from tests.support.kafka_broker import KafkaCluster

ROOT = Path(__file__).parents[2]
TRACES, WAIT_MS = 30, 10_000
START_MS = otlp.START_NS // 1_000_000


def spanmill(*arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "consumer", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def write_traces(cluster: KafkaCluster, topic: str) -> None:
    """Two records a trace; the server's of every third trace is written after the wait."""
    writer = RecordWriter({"bootstrap.servers": cluster.bootstrap})
    for number in range(TRACES):
        late_ms = WAIT_MS + 1_000 if number % 3 == 0 else 1_000
        client = half("shop", CLIENT, 1, trace=number + 1, parent=None)
        server = half("stock", SERVER, 2, 1, trace=number + 1)
        key = (number + 1).to_bytes(16, "big").hex().encode()
        for part, time_ms in ((client, START_MS), (server, START_MS + late_ms)):
            value = GraphRecord([part]).value()
            writer.write(
                OutgoingRecord(topic, value, key, [("X-Scope-OrgID", b"acme")], time_ms=time_ms)
            )
    assert writer.flush(20.0) == []


def test_a_captured_topic_is_explained_as_a_worker_would_see_it(
    kafka: KafkaCluster, tmp_path: Path
) -> None:
    topic = kafka.new_topic("captured", partitions=4)
    write_traces(kafka, topic)
    file = tmp_path / "spans.otlp"
    brokers = (
        "--set",
        f"kafka.bootstrap_servers={kafka.bootstrap}",
        "--set",
        f"kafka.topic={topic}",
    )
    said = spanmill("capture", str(file), *brokers, "--tenant", "acme", "--records", "1000")
    assert said.startswith(f"{file}: {2 * TRACES} records of ")
    told = spanmill("explain", "--json", str(file), "--set", "kafka.default_tenant=acme")
    spans = [json.loads(line) for line in told.splitlines()]
    reasons = Counter(span["processors"]["service-graphs"]["reason"] for span in spans)
    late = TRACES // 3
    assert {span["tenant"] for span in spans} == {"acme"}
    assert reasons[None] == 2 * (TRACES - late)
    assert reasons["unpaired_server"] == reasons["unpaired_client"] == late
