"""What an operator does with topics, on a real broker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from consumer.config import parse_config
from consumer.kafka.admin import Admin, TopicOrder
from consumer.operations.topics import create, look, needs_of
from tests.support.kafka_broker import KafkaCluster


def spanmill(kafka: KafkaCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings: Sequence[str] = (f"kafka.bootstrap_servers={kafka.bootstrap}",)
    given = [word for each in settings for word in ("--set", each)]
    command = [sys.executable, "-m", "consumer", *arguments, *given]
    root = Path(__file__).parents[2]
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False, timeout=60
    )


def test_topics_are_created_by_the_command_and_then_found_good(kafka: KafkaCluster) -> None:
    spans = kafka.new_topic("spans", partitions=3)
    words = ("--set", f"kafka.topic={spans}", "--set", f"kafka.dead_letter_topic={spans}-dead")
    dry = spanmill(kafka, "topics", "--dry-run", *words)
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert dry.stdout.splitlines()[2].endswith("default     default   would be created")
    made = spanmill(kafka, "topics", *words)
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stdout.splitlines()[2].endswith("created")
    again = spanmill(kafka, "topics", *words)
    assert [line.split()[-1] for line in again.stdout.splitlines()[1:]] == ["good", "good"]


def test_internal_topics_pass_their_check_and_those_made_otherwise_do_not(
    kafka: KafkaCluster,
) -> None:
    spans = kafka.new_topic("spans", partitions=3)
    admin = Admin({"bootstrap.servers": kafka.bootstrap})
    config = parse_config("", overrides=[f"kafka.topic={spans}"], environ={})
    config = config.model_copy(update={"processing_guarantee": "exactly_once"})
    needs = needs_of(config)
    assert [each.state is None for each in look(needs, admin)] == [False, True, True]
    create(needs, admin)
    found = look(needs, admin)
    assert [each.problems for each in found] == [[], [], []]
    assert [each.state.replicas for each in found if each.state] == [1, 1, 1]

    other = config.model_copy(update={"kafka": config.kafka.model_copy(update={"topic": "x"})})
    admin.create(TopicOrder("x", 1, 1))
    admin.create(TopicOrder("x-spanmill-deltas", 3, 1))
    admin.create(TopicOrder("x-spanmill-snapshots", 16, 1))
    _, deltas, snapshots = look(needs_of(other), admin)
    assert [text.split(",")[0] for text in deltas.problems] == [
        "found 3 partitions",
        "message.timestamp.type is CreateTime",
    ]
    assert [text.split(",")[0] for text in snapshots.problems] == ["cleanup.policy is delete"]
    assert admin.create(TopicOrder("x", 1, 1)) is False


def test_brokers_that_are_not_there_are_told_in_one_line() -> None:
    nowhere = KafkaCluster("127.0.0.1:9")
    ran = spanmill(nowhere, "topics", "--set", "kafka.client.log_level=0")
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1, ran.stderr
