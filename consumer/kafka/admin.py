"""Administration of a cluster: topics and their settings, groups and their offsets.

Every call waits at most :data:`CALL_TIMEOUT_S` and raises :class:`KafkaError` with
librdkafka's own text. No call makes a topic by asking for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka import KafkaError as ClientError
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from consumer.clock import Clock, SystemClock
from consumer.kafka.client import KafkaError
from consumer.telemetry.logs import CLIENT_LOG

CALL_TIMEOUT_S = 15.0
BROKERS_DEFAULT = -1

_LOOKS, _LOOK_S = 100, 0.1
"""How often, and at what distance, a topic that was just made is looked for."""

Place: TypeAlias = Literal["earliest", "latest"] | int
"""An end of a partition, or a time in ms since the epoch."""

_T = TypeVar("_T")
_client_log = logging.getLogger(CLIENT_LOG)


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the brokers have it.

    ``replicas`` is the least of its partitions; ``settings`` is None when this user may
    not read them (DescribeConfigs).
    """

    name: str
    partitions: int
    replicas: int
    settings: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class TopicOrder:
    """A topic to create; -1 partitions or replicas are as many as the brokers are used to."""

    name: str
    partitions: int = BROKERS_DEFAULT
    replicas: int = BROKERS_DEFAULT
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroupState:
    """A consumer group: its state in Kafka's word, and each member as ``id (host)``."""

    state: str
    members: Sequence[str]


class UnreachableError(KafkaError):
    """No broker answered; another try may do."""


class _RefusedError(KafkaError):
    """The brokers refused; ``code`` is Kafka's."""

    def __init__(self, error: ClientError) -> None:
        super().__init__(error.str())
        self.code = error.code()


class Admin:
    """A client for administration; ``properties`` are librdkafka's."""

    def __init__(self, properties: Mapping[str, str], clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._client = AdminClient(dict(properties), logger=_client_log)

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        """Those of ``names`` that exist."""
        found: dict[str, TopicState] = {}
        for name in dict.fromkeys(names):
            replicas = self._replicas(name)
            if replicas:
                settings = self._settings(ResourceType.TOPIC, name)
                found[name] = TopicState(name, len(replicas), min(replicas.values()), settings)
        return found

    def default_replicas(self) -> int:
        """How many replicas the brokers give a topic of which nobody said; -1: not known."""
        nodes = _answer(self._client.describe_cluster(request_timeout=CALL_TIMEOUT_S)).nodes
        settings = self._settings(ResourceType.BROKER, nodes[0].id_string) if nodes else None
        return int((settings or {}).get("default.replication.factor", BROKERS_DEFAULT))

    def create(self, order: TopicOrder, *, validate_only: bool = False) -> bool:
        """Create a topic, or only let the brokers say whether they would.

        False when somebody else was faster.
        """
        topic = NewTopic(order.name, order.partitions, order.replicas, config=dict(order.settings))
        asked = self._client.create_topics(
            [topic],
            operation_timeout=CALL_TIMEOUT_S,
            request_timeout=CALL_TIMEOUT_S,
            validate_only=validate_only,
        )
        try:
            _answer(asked[order.name])
        except _RefusedError as refused:
            if refused.code == ClientError.TOPIC_ALREADY_EXISTS:
                return False
            raise
        if not validate_only:
            self._wait_known(order.name)
        return True

    def group(self, group: str) -> GroupState:
        """The state of a group; one that nobody knows is ``dead``."""
        asked = self._client.describe_consumer_groups([group], request_timeout=CALL_TIMEOUT_S)
        described = _answer_unless(_NO_GROUP, asked[group])
        if described is None:
            return GroupState("dead", ())
        members = [f"{m.group_instance_id or m.client_id} ({m.host})" for m in described.members]
        return GroupState(described.state.name.lower(), sorted(members))

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """The committed offsets of ``group``; a partition where it has none is left out."""
        asked = ConsumerGroupTopicPartitions(group, self._partitions(topic))
        futures = self._client.list_consumer_group_offsets([asked], request_timeout=CALL_TIMEOUT_S)
        answer = _answer_unless(_NO_GROUP, futures[group])
        found = [] if answer is None else answer.topic_partitions
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def offsets(self, topic: str, place: Place) -> Mapping[int, int]:
        """The offset of ``place`` in each partition of ``topic``.

        At a time: that of the first record that is not older, or the end.
        """
        asked = dict.fromkeys(self._partitions(topic), _spec(place))
        futures = self._client.list_offsets(asked, request_timeout=CALL_TIMEOUT_S)
        found = {at.partition: _answer(future).offset for at, future in futures.items()}
        if all(offset >= 0 for offset in found.values()):
            return found
        ends = self.offsets(topic, "latest")
        return {p: offset if offset >= 0 else ends[p] for p, offset in found.items()}

    def set_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Let ``group`` go on at ``offsets``; the brokers refuse while it has members."""
        positions = [TopicPartition(topic, p, offset) for p, offset in sorted(offsets.items())]
        futures = self._client.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, positions)], request_timeout=CALL_TIMEOUT_S
        )
        answer = _answer(futures[group])
        refused = [each for each in answer.topic_partitions if each.error is not None]
        if refused:
            raise KafkaError("; ".join(f"{each.partition}: {each.error}" for each in refused))

    def _wait_known(self, topic: str) -> None:
        """A broker learns of a topic a moment after the controller has made it."""
        for _ in range(_LOOKS):
            if self._replicas(topic):
                return
            self._clock.sleep_s(_LOOK_S)
        raise UnreachableError(f"topic {topic} was created but the brokers do not show it yet")

    def _partitions(self, topic: str) -> list[TopicPartition]:
        replicas = self._replicas(topic)
        if not replicas:
            raise KafkaError(f"there is no topic {topic}")
        return [TopicPartition(topic, partition) for partition in replicas]

    def _replicas(self, topic: str) -> Mapping[int, int]:
        """The number of replicas of each partition; empty if there is no such topic."""
        futures = self._client.describe_topics(
            TopicCollection([topic]), request_timeout=CALL_TIMEOUT_S
        )
        described = _answer_unless(_NO_TOPIC, futures[topic])
        partitions = [] if described is None else described.partitions
        return {each.id: len(each.replicas) for each in partitions}

    def _settings(self, kind: ResourceType, name: str) -> Mapping[str, str] | None:
        resource = ConfigResource(kind, name)
        asked = self._client.describe_configs([resource], request_timeout=CALL_TIMEOUT_S)
        entries = _answer_unless(_NOT_ALLOWED, asked[resource])
        if entries is None:
            return None
        return {name: entry.value for name, entry in entries.items() if entry.value is not None}


_ENDS: Mapping[str, Callable[[], OffsetSpec]] = {
    "earliest": OffsetSpec.earliest,
    "latest": OffsetSpec.latest,
}
_NO_TOPIC = frozenset({ClientError.UNKNOWN_TOPIC_OR_PART, ClientError._UNKNOWN_TOPIC})  # noqa: SLF001  librdkafka's own name
_NO_GROUP = frozenset({ClientError.GROUP_ID_NOT_FOUND})
_UNREACHABLE = frozenset(
    {
        ClientError._TRANSPORT,  # noqa: SLF001
        ClientError._TIMED_OUT,  # noqa: SLF001
        ClientError._ALL_BROKERS_DOWN,  # noqa: SLF001
        ClientError._WAIT_COORD,  # noqa: SLF001
        ClientError.COORDINATOR_LOAD_IN_PROGRESS,
        ClientError.COORDINATOR_NOT_AVAILABLE,
        ClientError.NOT_COORDINATOR,
        ClientError.REQUEST_TIMED_OUT,
    }
)
_NOT_ALLOWED = frozenset(
    {ClientError.TOPIC_AUTHORIZATION_FAILED, ClientError.CLUSTER_AUTHORIZATION_FAILED}
)


def _spec(place: Place) -> OffsetSpec:
    if isinstance(place, int):
        at_time: OffsetSpec = OffsetSpec.for_timestamp(place)
        return at_time
    return _ENDS[place]()


def _answer(future: Future[_T]) -> _T:
    """What the brokers answered."""
    try:
        return future.result(CALL_TIMEOUT_S + 1.0)
    except KafkaException as error:
        cause = error.args[0]
        if cause.code() in _UNREACHABLE:
            raise UnreachableError(cause.str()) from error
        raise _RefusedError(cause) from error
    except FutureTimeoutError as error:
        raise UnreachableError(f"no answer within {CALL_TIMEOUT_S:g} s") from error


def _answer_unless(refusals: Collection[int], future: Future[_T]) -> _T | None:
    """What the brokers answered; None if they refused with one of these codes."""
    try:
        return _answer(future)
    except _RefusedError as refused:
        if refused.code in refusals:
            return None
        raise
