"""What an operator does with topics, groups and dead letters, on a real broker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from consumer.config import parse_config
from consumer.kafka.admin import Admin, TopicOrder
from consumer.kafka.client import OutgoingRecord, RecordWriter
from consumer.operations.topics import create, look, needs_of
from tests.support.kafka_broker import KafkaCluster
from tests.support.processes import wait_until
from tests.support.remote_write_receiver import Receiver
from tests.support.workers import open_stage

TIME_MS = 1_700_000_000_000


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


def write(kafka: KafkaCluster, records: Sequence[OutgoingRecord]) -> None:
    writer = RecordWriter({"bootstrap.servers": kafka.bootstrap})
    for record in records:
        writer.write(record)
    assert writer.flush(20.0) == []


def test_a_group_is_reset_to_a_time_and_a_worker_goes_on_there(
    kafka: KafkaCluster, tmp_path: Path
) -> None:
    address = {"bootstrap.servers": kafka.bootstrap}
    with Receiver() as receiver, open_stage(tmp_path, kafka, receiver.url, partitions=1) as stage:
        words = ("--set", f"kafka.topic={stage.topic}", "--set", f"kafka.group_id={stage.group}")
        write(kafka, [OutgoingRecord(stage.topic, b"", time_ms=TIME_MS + n) for n in range(6)])
        (worker,) = stage.start("pod-0")
        stage.wait_committed()
        busy = spanmill(kafka, "reset", "--to", "earliest", "--yes", *words)
        assert busy.returncode == 2
        assert "pod-0" in busy.stdout
        worker.stop()
        to = ("reset", "--to", "2023-11-14T22:13:20.004Z", *words)
        # A static member counts until its session has run out.
        wait_until(lambda: not Admin(address).group(stage.group).members, "the end of it")
        shown = spanmill(kafka, *to)
        assert shown.stdout.splitlines()[2].split() == ["0", "6", "4", "6", "2", "again"]
        assert stage.committed() == {0: 6}
        done = spanmill(kafka, *to, "--yes")
        assert done.returncode == 0, done.stderr
        assert stage.committed() == {0: 4}
        worker.start_ready()
        stage.wait_committed()


def test_dead_letters_are_listed_shown_and_sent_again(kafka: KafkaCluster, tmp_path: Path) -> None:
    dead = kafka.new_topic("dead", partitions=2)
    block = {"dead_letter_topic": dead}
    with (
        Receiver() as receiver,
        open_stage(tmp_path, kafka, receiver.url, partitions=1, kafka_block=block) as stage,
    ):
        broken = [
            OutgoingRecord(stage.topic, b"\x0a\xff", b"trace", [("own", b"1")], TIME_MS + n)
            for n in range(3)
        ]
        write(kafka, broken)
        (worker,) = stage.start("pod-0")
        stage.wait_committed()
        worker.stop()
        words = [
            word
            for setting in (
                f"kafka.topic={stage.topic}",
                f"kafka.group_id={stage.group}",
                f"kafka.dead_letter_topic={dead}",
            )
            for word in ("--set", setting)
        ]
        listed = spanmill(kafka, "dead-letters", "list", *words)
        assert listed.stdout.splitlines()[-1] == f"3 dead letters in {dead}", listed.stderr
        place = listed.stdout.splitlines()[1].split()[0]
        shown = spanmill(kafka, "dead-letters", "show", place, *words)
        assert f"{stage.topic}/0/0" in shown.stdout
        dry = spanmill(kafka, "dead-letters", "replay", "--dry-run", *words)
        assert "3 would be sent" in dry.stdout
        assert kafka.end_offsets(stage.topic) == {0: 3}
        sent = spanmill(kafka, "dead-letters", "replay", "--yes", *words)
        assert sent.returncode == 0, sent.stderr
        again = spanmill(kafka, "dead-letters", "replay", "--yes", *words)
        assert "nothing to send again" in again.stdout
        records = kafka.read(stage.topic, 6)[3:]
        assert [record.value() for record in records] == [b"\x0a\xff"] * 3
        assert {record.timestamp()[1] for record in records} == {TIME_MS + n for n in range(3)}
        headers = dict(records[0].headers() or ())
        assert headers["own"] == b"1"
        assert str(headers["spanmill.replayed"]).startswith(f"b'{dead}/")
