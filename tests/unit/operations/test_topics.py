from __future__ import annotations

from threading import Event

import pytest

from consumer.config import Config, parse_config
from consumer.operations import topics
from consumer.operations.topics import TopicsError, create, look, needs_of, prepare
from consumer.operations.topics_command import run_topics
from tests.unit.operations.topics_fakes import FakeCluster

DELTAS, SNAPSHOTS = "spans-spanmill-deltas", "spans-spanmill-snapshots"
RIGHT: dict[str, str | int] = {
    "cleanup__policy": "delete",
    "message__timestamp__type": "LogAppendTime",
    "min__insync__replicas": 2,
    "retention__ms": 86_400_000,
}
SHARDS = 4


def config_of(*settings: str, exactly_once: bool = True) -> Config:
    given = ["kafka.topic=spans", f"exactly_once.shards={SHARDS}", *settings]
    config = parse_config("", overrides=given, environ={})
    if not exactly_once:
        return config
    return config.model_copy(update={"processing_guarantee": "exactly_once"})


def cluster_with_all(**deltas: str | int) -> FakeCluster:
    """A cluster on which everything is right but ``deltas`` of the repartition topic."""
    cluster = FakeCluster()
    partitions = int(deltas.pop("partitions", SHARDS))
    replicas = int(deltas.pop("replicas", 3))
    cluster.put("spans")
    cluster.put(DELTAS, partitions, replicas, **(RIGHT | deltas))
    cluster.put(SNAPSHOTS, SHARDS, cleanup__policy="compact", min__insync__replicas=2)
    return cluster


def problems(cluster: FakeCluster, *settings: str) -> list[str]:
    found = look(needs_of(config_of(*settings)), cluster)
    return [f"{each.need.name}: {text}" for each in found for text in each.problems]


def warnings(cluster: FakeCluster) -> list[str]:
    return [text for each in look(needs_of(config_of()), cluster) for text in each.warnings]


def test_topics_that_are_right_are_neither_wrong_nor_risky() -> None:
    cluster = cluster_with_all()
    assert (problems(cluster), warnings(cluster)) == ([], [])


@pytest.mark.parametrize("replicas", [1, 3])
def test_what_is_created_passes_its_own_check(replicas: int) -> None:
    cluster = FakeCluster(replicas=replicas)
    needs = needs_of(config_of("kafka.dead_letter_topic=dead"), span_partitions=12)
    create(needs, cluster)
    assert problems(cluster, "kafka.dead_letter_topic=dead") == []
    assert cluster.states["spans"].partitions == 12
    assert cluster.states[DELTAS].partitions == SHARDS
    assert cluster.states[SNAPSHOTS].partitions == SHARDS


def test_the_span_topic_is_created_only_when_that_is_asked_for() -> None:
    cluster = FakeCluster()
    create(needs_of(config_of()), cluster)
    assert cluster.states.keys() == {DELTAS, SNAPSHOTS}
    [missing] = problems(cluster)
    assert missing == "spans: there is no such topic (spans)"


def test_at_least_once_needs_no_internal_topics() -> None:
    config = config_of("kafka.dead_letter_topic=dead", exactly_once=False)
    assert [need.name for need in needs_of(config)] == ["spans", "dead"]


def test_internal_topics_may_have_names_of_their_own() -> None:
    config = config_of("exactly_once.repartition_topic=r", "exactly_once.snapshot_topic=k")
    assert [need.name for need in needs_of(config)] == ["spans", "r", "k"]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"partitions": 5}, "found 5 partitions, expected 4 (exactly_once.shards)"),
        ({"cleanup__policy": "compact"}, "cleanup.policy is compact, expected delete"),
        ({"retention__ms": 3_600_000}, "retention.ms is 3600000, expected at least 86400000"),
        ({"retention__bytes": 1_000_000}, "retention.bytes is 1000000, expected -1"),
        ({"message__timestamp__type": "CreateTime"}, "message.timestamp.type is CreateTime"),
        ({"min__insync__replicas": 1}, "min.insync.replicas is 1 of 3 replicas, expected 2"),
        ({"max__message__bytes": 1000}, "max.message.bytes is 1000, expected at least 1000000"),
        (
            {"unclean__leader__election__enable": "true"},
            "unclean.leader.election.enable is true, expected false",
        ),
    ],
)
def test_a_wrong_setting_of_the_repartition_topic_is_told(
    changed: dict[str, str | int], text: str
) -> None:
    [problem] = problems(cluster_with_all(**changed))
    assert problem.startswith(f"{DELTAS}: {text}")


def test_deltas_may_be_kept_for_ever() -> None:
    assert problems(cluster_with_all(retention__ms=-1)) == []


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_snapshots_that_are_not_only_compacted_are_told(policy: str) -> None:
    cluster = cluster_with_all()
    cluster.put(SNAPSHOTS, SHARDS, cleanup__policy=policy, min__insync__replicas=2)
    [problem] = problems(cluster)
    assert problem.startswith(f"{SNAPSHOTS}: cleanup.policy is {policy}, expected compact")


def test_a_span_topic_that_is_compacted_is_told() -> None:
    cluster = cluster_with_all()
    cluster.put("spans", cleanup__policy="compact")
    [problem] = problems(cluster)
    assert problem.startswith("spans: cleanup.policy is compact, expected delete")


def test_a_single_replica_is_a_risk_and_not_wrong() -> None:
    cluster = cluster_with_all(replicas=1, min__insync__replicas=1)
    assert problems(cluster) == []
    [risk] = warnings(cluster)
    assert risk.startswith("replicas: 1;")


def test_a_topic_that_stops_with_any_broker_is_a_risk() -> None:
    [risk] = warnings(cluster_with_all(min__insync__replicas=3))
    assert risk == "min.insync.replicas is 3 of 3: any broker that is away stops it"


def test_without_the_right_to_read_settings_partitions_are_still_checked() -> None:
    cluster = FakeCluster(may_read_settings=False)
    cluster.put("spans")
    cluster.put(DELTAS, SHARDS)
    cluster.put(SNAPSHOTS, SHARDS + 1)
    [problem] = problems(cluster)
    assert problem.startswith(f"{SNAPSHOTS}: found 5 partitions")
    assert all("may not be read" in text for text in warnings(cluster))


def test_a_worker_that_may_not_create_topics_says_how_they_are() -> None:
    cluster = FakeCluster()
    cluster.put("spans")
    with pytest.raises(TopicsError) as refused:
        prepare(config_of(), cluster, Event())
    first, second = str(refused.value).splitlines()
    hint = "create it with: spanmill topics"
    assert first == f"topic {DELTAS}: there is no such topic (deltas); {hint}"
    assert second == f"topic {SNAPSHOTS}: there is no such topic (snapshots); {hint}"
    assert cluster.states.keys() == {"spans"}


def test_a_worker_that_may_creates_what_is_missing() -> None:
    cluster = FakeCluster()
    cluster.put("spans")
    prepare(config_of("kafka.create_topics=true"), cluster, Event())
    assert cluster.states.keys() == {"spans", DELTAS, SNAPSHOTS}


def test_a_worker_waits_for_brokers_that_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "RETRY_S", 0.0)
    cluster = cluster_with_all()
    cluster.unreachable = 2
    prepare(config_of(), cluster, Event())
    assert cluster.unreachable == 0


def test_a_worker_that_is_told_to_stop_waits_no_longer() -> None:
    cluster, stop = FakeCluster(), Event()
    stop.set()
    prepare(config_of(), cluster, stop)
    assert cluster.states == {}


def test_the_command_creates_and_tells_what_it_did() -> None:
    cluster = FakeCluster()
    lines: list[str] = []
    code = run_topics(config_of(), cluster, span_partitions=12, dry_run=False, echo=lines.append)
    assert code == 0
    assert lines[0].splitlines()[1:] == [
        "spans                     spans      12          3         created",
        "spans-spanmill-deltas     deltas     4           3         created",
        "spans-spanmill-snapshots  snapshots  4           3         created",
    ]


def test_a_dry_run_creates_nothing_and_lets_the_brokers_judge() -> None:
    cluster = cluster_with_all(retention__ms=1)
    lines: list[str] = []
    del cluster.states[SNAPSHOTS]
    code = run_topics(config_of(), cluster, span_partitions=None, dry_run=True, echo=lines.append)
    assert code == 2
    assert SNAPSHOTS not in cluster.states
    assert cluster.validated == [SNAPSHOTS]
    assert [line.split()[-1] for line in lines[0].splitlines()[1:3]] == ["good", "wrong"]
    assert lines[0].splitlines()[3].endswith("would be created")
    [wrong] = lines[1:]
    assert wrong.startswith(f"wrong: {DELTAS}: retention.ms is 1, expected at least")


def test_a_retention_of_less_than_ten_snapshots_is_refused() -> None:
    given = ["exactly_once.snapshot_interval=10m", "exactly_once.retention=1h"]
    with pytest.raises(Exception, match="expected at least ten times snapshot_interval"):
        parse_config("", overrides=given, environ={})
