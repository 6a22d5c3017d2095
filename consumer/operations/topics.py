"""The topics that a worker needs: which there have to be, and with what settings.

docs/topics.md gives the reason of each rule. :func:`look` compares, :func:`create` makes
what is missing, :func:`prepare` does for a worker at its start what the configuration allows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Protocol, TypeAlias

from consumer.config.model import Config
from consumer.errors import SpanmillError
from consumer.kafka.admin import BROKERS_DEFAULT, TopicOrder, TopicState, UnreachableError

LEAST_RECORD_BYTES = 1_000_000
"""Of the internal topics: what they carry is cut into records of at most 900 KB."""

DEAD_LETTER_ROOM_BYTES = 64 << 10
"""What the headers of a dead letter add at most to a record of the span topic."""

DEAD_LETTER_RETENTION_MS = 14 * 86_400_000
RETRY_S = 2.0

_INTERNAL = {
    "max.message.bytes": str(LEAST_RECORD_BYTES + DEAD_LETTER_ROOM_BYTES),
    "unclean.leader.election.enable": "false",
}
_SNAPSHOTS = {
    "cleanup.policy": "compact",
    "segment.bytes": str(64 << 20),
    "segment.ms": "3600000",
    "min.cleanable.dirty.ratio": "0.1",
    **_INTERNAL,
}
"""Small segments and an eager cleaner keep short what a new owner has to read."""

_MANY = 3
"""Replicas from which one may be lost without losing a record or stopping."""

_log = logging.getLogger(__name__)

Rule: TypeAlias = Callable[[TopicState, Mapping[str, str]], str | None]
"""What is wrong with a topic, given its settings; None when nothing is."""


class TopicAdmin(Protocol):
    """What the rules need of a cluster; :class:`consumer.kafka.admin.Admin` gives it."""

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        """Those of ``names`` that exist."""
        ...

    def default_replicas(self) -> int:
        """How many replicas the brokers give a topic of which nobody said."""
        ...

    def create(self, order: TopicOrder, *, validate_only: bool = False) -> bool:
        """Create a topic; False when somebody else was faster."""
        ...


class TopicsError(SpanmillError):
    """Stop: topics are missing or set wrongly; a line for each."""


@dataclass(frozen=True, slots=True)
class Need:
    """One topic that has to be. Without an order it is never created."""

    name: str
    purpose: str
    order: TopicOrder | None
    rules: Sequence[Rule] = ()
    is_durable: bool = False
    """Whether a record that was taken must outlive the loss of a broker."""

    def all_rules(self) -> Sequence[Rule]:
        """What must not be otherwise."""
        return [*self.rules, *(_DURABLE if self.is_durable else ())]


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a need: the topic as it is, and what is wrong or risky about it."""

    need: Need
    state: TopicState | None
    problems: Sequence[str] = field(default=())
    warnings: Sequence[str] = field(default=())


def needs_of(config: Config, *, span_partitions: int | None = None) -> Sequence[Need]:
    """The topics of ``config``; the span topic is ordered only with ``span_partitions``."""
    return tuple(_needs(config, span_partitions))


def look(needs: Sequence[Need], admin: TopicAdmin) -> Sequence[Found]:
    """Compare ``needs`` with what the brokers have."""
    states = admin.topics([need.name for need in needs])
    return [_judge(need, states.get(need.name)) for need in needs]


def create(needs: Sequence[Need], admin: TopicAdmin, *, validate_only: bool = False) -> None:
    """Create ``needs``, or only ask the brokers whether they would."""
    for need in needs:
        order = need.order
        if order is None:
            continue
        if need.is_durable and order.replicas == BROKERS_DEFAULT:
            order = replace(order, replicas=admin.default_replicas())
        if need.is_durable and order.replicas >= _MANY:
            order = replace(order, settings={**order.settings, "min.insync.replicas": "2"})
        admin.create(order, validate_only=validate_only)


def prepare(config: Config, admin: TopicAdmin, stop: Event) -> None:
    """Make sure, at the start of a worker, that its topics are there and as they must be.

    Waits for brokers that do not answer, until ``stop``. Raises :class:`TopicsError`.
    """
    while not stop.is_set():
        try:
            _prepare(config, admin)
        except UnreachableError as error:
            _log.warning("kafka: the topics are not known yet: %s", error)
            stop.wait(RETRY_S)
        else:
            return


def _prepare(config: Config, admin: TopicAdmin) -> None:
    needs = needs_of(config)
    found = look(needs, admin)
    missing = [each.need for each in found if each.state is None and each.need.order]
    if missing and config.kafka.create_topics:
        create(missing, admin)
        _log.info("topics created: %s", ", ".join(need.name for need in missing))
        found = look(needs, admin)
    for each in found:
        for text in each.warnings:
            _log.warning("topic %s: %s", each.need.name, text)
    problems = [f"topic {each.need.name}: {text}" for each in found for text in each.problems]
    if problems:
        raise TopicsError("\n".join(problems))


def _judge(need: Need, state: TopicState | None) -> Found:
    if state is None:
        hint = "; create it with: spanmill topics" if need.order else ""
        return Found(need, None, problems=[f"there is no such topic ({need.purpose}){hint}"])
    settings, warnings = state.settings, []
    if settings is None:
        warnings.append("its settings may not be read (DescribeConfigs), so they are not checked")
        settings = {}
    problems = [text for rule in need.all_rules() if (text := rule(state, settings))]
    if need.is_durable:
        warnings += [text for rule in _RISKS if (text := rule(state, settings))]
    return Found(need, state, problems, warnings)


def _needs(config: Config, span_partitions: int | None) -> Iterator[Need]:
    kafka, once = config.kafka, config.exactly_once
    replicas = kafka.replication_factor
    order = None
    if span_partitions is not None:
        order = TopicOrder(kafka.topic, span_partitions, replicas, {"cleanup.policy": "delete"})
    yield Need(kafka.topic, "spans", order, rules=[_not_compacted])
    if kafka.dead_letter_topic:
        settings = {
            "cleanup.policy": "delete",
            "retention.ms": str(DEAD_LETTER_RETENTION_MS),
            "max.message.bytes": str(LEAST_RECORD_BYTES * 2 + DEAD_LETTER_ROOM_BYTES),
        }
        order = TopicOrder(kafka.dead_letter_topic, BROKERS_DEFAULT, replicas, settings)
        yield Need(kafka.dead_letter_topic, "dead letters", order, rules=[_not_compacted])
    if config.processing_guarantee != "exactly_once":
        return
    order = TopicOrder(config.repartition_topic, once.shards, replicas, _deltas(config))
    rules = [
        _partitions_are(once.shards),
        _is("cleanup.policy", "delete", "deltas are kept by time, not by key"),
        _at_least("retention.ms", once.retention, "a slow owner would lose what it must replay"),
        _is("retention.bytes", "-1", "a bound in bytes deletes deltas that nobody has read"),
        _is("message.timestamp.type", "LogAppendTime", "retention counts from the writing"),
    ]
    yield Need(order.name, "deltas", order, rules, is_durable=True)
    order = TopicOrder(config.snapshot_topic, once.shards, replicas, _SNAPSHOTS)
    rules = [
        _partitions_are(once.shards),
        _is("cleanup.policy", "compact", "the newest snapshot of each shard is kept for ever"),
    ]
    yield Need(order.name, "snapshots", order, rules, is_durable=True)


def _deltas(config: Config) -> Mapping[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(config.exactly_once.retention),
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
        **_INTERNAL,
    }


def _partitions_are(shards: int) -> Rule:
    def rule(state: TopicState, _settings: Mapping[str, str]) -> str | None:
        if state.partitions == shards:
            return None
        return (
            f"found {state.partitions} partitions, expected {shards} (exactly_once.shards): series "
            "would move to shards that know nothing of them; set the key to what the topic has, or "
            "name new topics"
        )

    return rule


def _is(name: str, expected: str, why: str) -> Rule:
    def rule(_state: TopicState, settings: Mapping[str, str]) -> str | None:
        found = settings.get(name, expected)
        return None if found == expected else f"{name} is {found}, expected {expected}: {why}"

    return rule


def _at_least(name: str, least: int, why: str) -> Rule:
    def rule(_state: TopicState, settings: Mapping[str, str]) -> str | None:
        found = int(settings.get(name, least))
        if found >= least or found == -1:
            return None
        return f"{name} is {found}, expected at least {least}: {why}"

    return rule


def _room_for_records(state: TopicState, settings: Mapping[str, str]) -> str | None:
    rule = _at_least("max.message.bytes", LEAST_RECORD_BYTES, "records are cut to that size")
    return rule(state, settings)


def _only_clean_leaders(state: TopicState, settings: Mapping[str, str]) -> str | None:
    why = "a leader that lacks records would lose what is committed"
    return _is("unclean.leader.election.enable", "false", why)(state, settings)


def _not_compacted(_state: TopicState, settings: Mapping[str, str]) -> str | None:
    policy = settings.get("cleanup.policy", "delete")
    if "compact" not in policy:
        return None
    return f"cleanup.policy is {policy}, expected delete: compaction drops records of one key"


def _two_in_sync(state: TopicState, settings: Mapping[str, str]) -> str | None:
    least = int(settings.get("min.insync.replicas", 2))
    if state.replicas < _MANY or least > 1:
        return None
    return (
        f"min.insync.replicas is 1 of {state.replicas} replicas, expected 2: what one broker alone "
        "has taken is lost with it"
    )


def _few_replicas(state: TopicState, _settings: Mapping[str, str]) -> str | None:
    if state.replicas >= _MANY:
        return None
    return (
        f"replicas: {state.replicas}; with less than {_MANY}, losing one broker loses counts or "
        "stops the workers"
    )


def _all_in_sync(state: TopicState, settings: Mapping[str, str]) -> str | None:
    least = int(settings.get("min.insync.replicas", 1))
    if state.replicas < _MANY or least < state.replicas:
        return None
    return f"min.insync.replicas is {least} of {state.replicas}: any broker that is away stops it"


_DURABLE: Sequence[Rule] = (_room_for_records, _only_clean_leaders, _two_in_sync)
_RISKS: Sequence[Rule] = (_few_replicas, _all_in_sync)
