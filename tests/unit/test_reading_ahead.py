"""The loop while it lags: what it reads waits for a turn, and is decoded meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from consumer.decode import Encoding, open_decoder
from consumer.decode.ahead import DecodeAhead
from consumer.kafka.client import IncomingRecord
from tests.support.fakes import Loop, incoming

BROKEN = b"\x0a\xff"


@pytest.fixture
def ahead() -> Iterator[DecodeAhead]:
    ahead = DecodeAhead(partial(open_decoder, Encoding.OTLP_PROTO), least_bytes=1)
    yield ahead
    ahead.close()


@pytest.fixture
def loop(ahead: DecodeAhead) -> Loop:
    """A worker of two partitions, of which many records can be read."""
    loop = Loop(dead_letter_topic="dead", ahead=ahead)
    loop.assign(0, 1)
    loop.source.records_unread = 100
    loop.source.has_more = {0, 1}
    return loop


def received(loop: Loop, tenant: str = "north") -> float:
    return loop.own("spanmill_spans_received_total", tenant=tenant)


def processed(loop: Loop) -> dict[int, int | None]:
    return {number: lane.next_offset for number, lane in loop.worker._spans.lanes.items()}


def test_records_wait_while_as_many_can_be_read(loop: Loop) -> None:
    loop.turn(incoming(0), incoming(5, partition=1))
    assert received(loop) == 0
    loop.turn(incoming(1))
    assert received(loop) == 2
    assert processed(loop) == {0: 1, 1: 6}
    loop.turn()
    assert received(loop) == 3
    assert processed(loop) == {0: 2, 1: 6}


def test_records_wait_for_no_more_than_the_next_poll(loop: Loop) -> None:
    loop.turn(incoming(0))
    loop.source.records_unread = 0
    loop.turn(incoming(1))
    assert received(loop) == 2
    loop.turn(incoming(2))
    assert received(loop) == 3


def test_few_bytes_are_processed_at_once(ahead: DecodeAhead, loop: Loop) -> None:
    ahead.least_bytes = 10_000
    loop.turn(incoming(0))
    assert received(loop) == 1


def test_fewer_unread_records_than_came_are_not_worth_a_wait(loop: Loop) -> None:
    loop.source.records_unread = 1
    loop.turn(incoming(0), incoming(1))
    assert received(loop) == 2


def test_what_waits_is_not_committed(loop: Loop) -> None:
    loop.source.has_more = {0}
    loop.turn(incoming(0))
    loop.turn(incoming(1, time_ms=2_500), after_ms=2_500)
    loop.turn(incoming(2, time_ms=2_600), after_ms=2_500)
    assert processed(loop)[0] == 2
    loop.turn(after_ms=100)
    assert loop.source.committed[0] == 1
    assert processed(loop)[0] == 3


def test_what_waits_of_a_partition_that_goes_is_left_to_its_next_owner(loop: Loop) -> None:
    loop.turn(incoming(0), incoming(5, partition=1))
    loop.revoke(1)
    loop.turn()
    assert received(loop) == 1
    assert processed(loop) == {0: 1}
    assert 1 not in loop.source.committed


def test_what_waits_of_a_partition_that_is_lost_is_dropped(loop: Loop) -> None:
    loop.turn(incoming(0), incoming(5, partition=1))
    loop.lose(0)
    loop.turn()
    assert received(loop) == 1
    assert processed(loop) == {1: 6}


def test_what_waits_of_a_partition_that_comes_again_is_read_again(loop: Loop) -> None:
    loop.turn(incoming(0))
    loop.revoke(0)
    loop.assign(0)
    loop.turn(incoming(0))
    loop.turn()
    assert received(loop) == 1


def test_what_waits_at_the_end_is_left_to_the_next_worker(loop: Loop) -> None:
    loop.turn(incoming(0))
    loop.turn(incoming(1))
    loop.stop()
    assert received(loop) == 1
    assert loop.source.committed == {0: 1}


def test_what_cannot_be_read_is_buried_as_ever(loop: Loop) -> None:
    bad: tuple[IncomingRecord, ...] = (
        incoming(0, value=BROKEN),
        incoming(1, tenant="no name"),
        incoming(2),
    )
    loop.turn(*bad)
    loop.turn()
    written = [outgoing.value for outgoing, _ in loop.letters.queued]
    written += [outgoing.value for outgoing in loop.letters.written]
    assert sorted(written) == sorted([BROKEN, bad[1].value])
    assert received(loop) == 1


def test_other_tenants_settings_count_for_what_waits(ahead: DecodeAhead) -> None:
    loop = Loop(ahead=ahead)
    loop.assign(0)
    loop.source.records_unread = 100
    loop.turn(incoming(0))
    loop.worker._pipeline.apply(loop.overrides.tenants)
    loop.turn(incoming(1))
    assert received(loop) == 1


def test_a_pause_leaves_nothing_waiting(loop: Loop) -> None:
    loop.turn(incoming(0))
    loop.source.pause()
    loop.turn()
    assert received(loop) == 1
