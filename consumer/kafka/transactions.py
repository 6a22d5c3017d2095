"""Records and offsets in one transaction: all of it is there for readers, or nothing.

One transaction at a time. Bound: librdkafka's queue; a full one makes :meth:`commit` wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from confluent_kafka import KafkaError as ClientError
from confluent_kafka import KafkaException, Producer, TopicPartition

from consumer.kafka.client import KafkaError, StoppedError
from consumer.kafka.patience import HungError, call_patiently
from consumer.kafka.source import Committed
from consumer.telemetry.logs import CLIENT_LOG

CALL_TIMEOUT_S = 10.0
_ATTEMPTS = 12
"""Of a step that may be tried again: two minutes, then the brokers are gone."""

_LOOK_TIMEOUT_S = 1.0
"""For brokers to say that they are there."""

_log = logging.getLogger(__name__)
_client_log = logging.getLogger(CLIENT_LOG)


class AbortedError(KafkaError):
    """Nothing of the transaction counts; whoever made it reads again what led to it."""


@dataclass(frozen=True, slots=True)
class PlacedRecord:
    """A record for one partition of ``topic``; without a value it takes ``key`` away."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """Offsets that a group shall keep, by partition of ``topic``, with what is noted beside.

    ``membership`` proves that the partitions are ours still.
    """

    topic: str
    membership: Any
    offsets: Mapping[int, Committed] = field(default_factory=dict)


class Transactions:
    """Writes as the one holder of ``transactional_id``; an earlier holder is shut out."""

    def __init__(self, properties: Mapping[str, str], transactional_id: str) -> None:
        self._properties = {**properties, "transactional.id": transactional_id}
        self._producer = self._opened()

    def commit(self, records: Iterable[PlacedRecord], offsets: GroupOffsets | None = None) -> int:
        """Write everything or nothing; returns the bytes of the records.

        Raises :class:`AbortedError` when nothing was written: the partitions are another
        member's, say, or we were thought dead. Raises :class:`StoppedError` when it can never
        succeed.
        """
        try:
            self._producer.begin_transaction()
            size_bytes = sum(map(self._write, records))
            if offsets is not None and offsets.offsets:
                self._retried(partial(self._send_offsets, offsets))
            self._retried(lambda: self._producer.commit_transaction(CALL_TIMEOUT_S))
        except KafkaException as error:
            self._give_up(error)
            raise AbortedError(error.args[0].str()) from error
        except HungError as error:
            _log.warning("the Kafka client is stuck in a transaction: begin with another one")
            self._producer = self._opened()
            raise AbortedError("the client was stuck in a transaction") from error
        return size_bytes

    def partitions(self, topic: str) -> int:
        """How many partitions ``topic`` has. Raises :class:`StoppedError`."""
        found = 0
        try:
            found = len(self._producer.list_topics(topic, CALL_TIMEOUT_S).topics[topic].partitions)
        except KafkaException as error:
            raise StoppedError(f"{topic}: {error.args[0].str()}") from error
        if not found:
            raise StoppedError(f"{topic}: the brokers show no partition of it")
        return found

    def _write(self, record: PlacedRecord) -> int:
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    partition=record.partition,
                    key=record.key,
                    value=record.value,
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return len(record.value or b"")

    def _send_offsets(self, offsets: GroupOffsets) -> None:
        """Raises :class:`HungError` when the client does not come back from it."""
        producer = self._producer
        positions = [
            TopicPartition(offsets.topic, partition, each.offset, each.note)
            for partition, each in offsets.offsets.items()
        ]
        given = (positions, offsets.membership, CALL_TIMEOUT_S)
        call_patiently(
            lambda: producer.send_offsets_to_transaction(*given),
            lambda: _is_reachable(producer),
            wait_s=CALL_TIMEOUT_S,
            waits=_ATTEMPTS,
        )

    def _retried(self, step: Callable[[], object]) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                step()
            except KafkaException as error:
                if not error.args[0].retriable() or attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def _give_up(self, error: KafkaException) -> None:
        """End the transaction, so that the next can begin."""
        cause = error.args[0]
        _log.warning("transaction given up: %s", cause.str())
        if cause.code() in _STOPPING:
            raise StoppedError(cause.str()) from error
        if not cause.fatal():
            try:
                self._retried(lambda: self._producer.abort_transaction(CALL_TIMEOUT_S))
            except KafkaException as left:
                _log.warning("transaction not aborted, its time will run out: %s", left)
            else:
                return
        self._producer.purge()
        self._producer = self._opened()

    def _opened(self) -> Producer:
        """A producer that shuts out whoever held the id, with all that is open of theirs."""
        producer = Producer(self._properties, logger=_client_log)
        try:
            self._retried(lambda: producer.init_transactions(CALL_TIMEOUT_S))
        except KafkaException as error:
            raise StoppedError(f"no transactions: {error.args[0].str()}") from error
        return producer


def _is_reachable(producer: Producer) -> bool:
    try:
        producer.list_topics(timeout=_LOOK_TIMEOUT_S)
    except KafkaException:
        return False
    return True


_STOPPING = frozenset(
    {
        ClientError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ClientError.TOPIC_AUTHORIZATION_FAILED,
        ClientError.GROUP_AUTHORIZATION_FAILED,
        ClientError.UNSUPPORTED_VERSION,
        ClientError._UNSUPPORTED_FEATURE,  # noqa: SLF001  librdkafka's own name
    }
)
"""Errors after which no transaction can ever succeed."""
