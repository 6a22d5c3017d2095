"""Real workers on real parts: one stage for each test, with a topic and a group of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.kafka_broker import KafkaCluster
from tests.support.processes import SpanmillWorker, answers_ok, free_port, wait_until

START_TIMEOUT_S = 40.0
# 6 s is the least session that a broker allows by default.
CLIENT = {
    "session.timeout.ms": "6000",
    "heartbeat.interval.ms": "300",
    "reconnect.backoff.max.ms": "500",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the workers of one test play. ``kafka_block`` etc. are added to the configuration."""

    folder: Path
    kafka: KafkaCluster
    topic: str
    sink_url: str
    workers: ExitStack
    interval: str = "1s"
    shutdown: str = "10s"
    wait: str = "2s"
    kafka_block: Mapping[str, Any] = field(default_factory=dict)
    registry_block: Mapping[str, Any] = field(default_factory=dict)
    blocks: Mapping[str, Any] = field(default_factory=dict)
    """Other keys of the configuration."""

    @property
    def group(self) -> str:
        """The consumer group of this stage's workers."""
        return f"group-of-{self.topic}"

    def committed(self) -> dict[int, int]:
        """The committed offsets, by partition; 0 where there is none."""
        found = self.kafka.committed(self.group, self.topic)
        return {partition: max(0, offset) for partition, offset in found.items()}

    def worker(self, member: str) -> SpanmillWorker:
        """A worker that is not started yet; it ends with the stage."""
        port = free_port()
        path = self.folder / f"{member}.yaml"
        path.write_text(yaml.safe_dump(self._config(member, port), sort_keys=False))
        worker = SpanmillWorker(path, port)
        self.workers.callback(worker.stop, timeout_s=10.0)
        return worker

    def start(self, *members: str) -> list[SpanmillWorker]:
        """Start workers at once and wait until each of them is ready."""
        started = [self.worker(member) for member in members]
        for worker in started:
            worker.start()
        for worker in started:
            worker.wait_ready(partial(answers_ok, f"{worker.url}/ready"), START_TIMEOUT_S)
        return started

    def wait_committed(self, timeout_s: float = 30.0) -> None:
        """Wait until everything that the topic holds is committed."""
        ends = self.kafka.end_offsets(self.topic)
        wait_until(lambda: self.committed() == ends, f"commits up to {ends}", timeout_s)

    def _config(self, member: str, port: int) -> dict[str, Any]:
        return {
            **self.blocks,
            "kafka": {
                "bootstrap_servers": self.kafka.bootstrap,
                "topic": self.topic,
                "group_id": self.group,
                "group_instance_id": member,
                "poll_timeout": "50ms",
                "client": CLIENT,
                **self.kafka_block,
            },
            "server": {
                "host": "127.0.0.1",
                "port": port,
                "log_format": "text",
                "shutdown_timeout": self.shutdown,
            },
            "metrics_generator": {
                "processor": {"service_graphs": {"wait": self.wait}},
                "registry": {
                    "collection_interval": self.interval,
                    "external_labels": {"stage": self.topic},
                    "inject_tenant_id_as": "tenant",
                    **self.registry_block,
                },
                "storage": {
                    "remote_write": [
                        {
                            "url": self.sink_url,
                            "name": "sink",
                            "queue_config": {"max_backoff": "200ms"},
                        }
                    ]
                },
            },
        }


@contextmanager
def open_stage(folder: Path, kafka: KafkaCluster, sink_url: str, **more: Any) -> Iterator[Stage]:
    """A stage with a new topic of ``partitions`` (4); its workers are stopped at the end."""
    topic = kafka.new_topic("spans", partitions=more.pop("partitions", 4))
    with ExitStack() as workers:
        yield Stage(folder, kafka, topic, sink_url, workers, **more)


def metrics(worker: SpanmillWorker, names: Sequence[str]) -> list[float]:
    """The sums of a worker's own series of each name at one moment."""
    sums = dict.fromkeys(names, 0.0)
    for family in text_string_to_metric_families(worker.get("/metrics")):
        for sample in family.samples:
            if sample.name in sums:
                sums[sample.name] += sample.value
    return list(sums.values())


def metric(worker: SpanmillWorker, name: str, **labels: str) -> float:
    """The sum of a worker's own series ``name`` that have ``labels``; 0 if there is none."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(worker.get("/metrics"))
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
