"""A cluster in memory, as far as topics go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from consumer.kafka.admin import TopicOrder, TopicState, UnreachableError

BROKER_SETTINGS = {
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "1",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
    "unclean.leader.election.enable": "false",
}
"""Apache Kafka's own defaults of what is looked at."""


class FakeCluster:
    """Creates topics as a broker does: what is not ordered is as the brokers are set to."""

    def __init__(self, *, replicas: int = 3, may_read_settings: bool = True) -> None:
        self.states: dict[str, TopicState] = {}
        self.validated: list[str] = []
        self.unreachable = 0
        """So many calls go unanswered first."""
        self._replicas = replicas
        self._may_read_settings = may_read_settings

    def put(self, name: str, partitions: int = 1, replicas: int = 3, **settings: str | int) -> None:
        """Have a topic; a setting's dots are written as two underscores."""
        given = {key.replace("__", "."): str(value) for key, value in settings.items()}
        state = TopicState(name, partitions, replicas, BROKER_SETTINGS | given)
        self.states[name] = state

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        if self.unreachable:
            self.unreachable -= 1
            raise UnreachableError("all brokers are down")
        return {name: self._seen(self.states[name]) for name in names if name in self.states}

    def default_replicas(self) -> int:
        return self._replicas

    def create(self, order: TopicOrder, *, validate_only: bool = False) -> bool:
        if validate_only:
            self.validated.append(order.name)
            return True
        if order.name in self.states:
            return False
        partitions = order.partitions if order.partitions > 0 else 6
        replicas = order.replicas if order.replicas > 0 else self._replicas
        settings = BROKER_SETTINGS | dict(order.settings)
        self.states[order.name] = TopicState(order.name, partitions, replicas, settings)
        return True

    def _seen(self, state: TopicState) -> TopicState:
        if self._may_read_settings:
            return state
        return TopicState(state.name, state.partitions, state.replicas, None)
