from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import numpy as np
import pytest

from consumer.kafka.source import SpanSource
from consumer.kafka.transactions import AbortedError, GroupOffsets, PlacedRecord, Transactions
from consumer.seam.log import LogParts, LogSeam, LogSettings
from consumer.seam.outgoing import Outgoing
from consumer.seam.owner import Owner
from consumer.telemetry.reporter import Reporter
from consumer.ticks.lane import Lane
from tests.support.clock import HandClock

SETTINGS = LogSettings(span_topic="spans", deltas_topic="deltas", shards=2, commit_ms=1_000)


class FakeTransactions:
    """Keeps what was committed, or aborts."""

    def __init__(self) -> None:
        self.aborts = False
        self.committed: list[dict[int, int]] = []
        """Of each transaction: the next offset by lane."""

    def commit(self, records: Iterable[PlacedRecord], offsets: GroupOffsets) -> int:
        size_bytes = sum(len(record.value or b"") for record in records)
        if self.aborts:
            raise AbortedError("the generation is not valid")
        self.committed.append({lane: each.offset for lane, each in offsets.offsets.items()})
        return size_bytes

    def partitions(self, topic: str) -> int:
        assert topic == SETTINGS.span_topic
        return 2


class Nothing:
    """An owner without shards, nothing outgoing, a source and a reporter of no consequence."""

    size_bytes = 0

    def membership(self) -> object:
        return None

    def records(self) -> Iterator[PlacedRecord]:
        return iter(())

    def markers(self) -> Iterator[PlacedRecord]:
        return iter(())

    def turn(self) -> None: ...

    def clear(self) -> None: ...

    def aborted(self) -> None: ...

    def committed(self, _seconds: float, _size_bytes: int) -> None: ...

    def label_values(self, _values: object) -> None: ...

    def take_label_values(self) -> None: ...


@pytest.fixture
def transactions() -> FakeTransactions:
    return FakeTransactions()


@pytest.fixture
def seam(transactions: FakeTransactions) -> LogSeam:
    nothing = Nothing()
    parts = LogParts(
        outgoing=cast("Outgoing", nothing),
        owner=cast("Owner", nothing),
        transactions=cast("Transactions", transactions),
        reporter=cast("Reporter", nothing),
        clock=HandClock(),
        is_safe=lambda: True,
    )
    made = LogSeam(SETTINGS, parts, base_ms=1_000)
    made.join(cast("SpanSource", nothing))
    made.open({})
    return made


def lane_at(offset: int) -> Lane:
    lane = Lane()
    lane.take(np.array([offset - 1]), np.array([5_000]), 10_000)
    return lane


def test_what_was_read_is_committed_once(seam: LogSeam, transactions: FakeTransactions) -> None:
    assert seam.finish({0: lane_at(7)}, 0.0)
    assert seam.finish({0: lane_at(7), 1: lane_at(3)}, 0.0)
    assert transactions.committed == [{0: 7}, {1: 3}]


def test_offsets_of_deltas_that_are_void_are_not_committed(
    seam: LogSeam, transactions: FakeTransactions
) -> None:
    """A revocation, or the end, may come between an abort and reading again."""
    transactions.aborts = True
    seam.turn({0: lane_at(7)})
    assert seam.must_begin_again
    transactions.aborts = False
    assert not seam.finish({0: lane_at(7)}, 0.0)
    assert transactions.committed == []
    seam.begin_again()
    assert seam.finish({0: lane_at(7)}, 0.0)
    assert transactions.committed == [{0: 7}]
