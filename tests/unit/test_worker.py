import math
from threading import Event
from typing import cast

import pytest

from consumer.kafka.client import KafkaError
from consumer.kafka.source import SpanSource
from consumer.worker import DEAD_LETTERS, SINK
from tests.support.fakes import CONFIG, SHUTDOWN_S, START_MS, WAIT_MS, Loop, incoming
from tests.support.otlp import START_NS, field, push_bytes, record, resource_spans, span

BROKEN = b"\x0a\xff"
NORTH = ("north", "shop")


@pytest.fixture
def loop() -> Loop:
    loop = Loop()
    loop.assign(0, 1)
    return loop


def caller(offset: int, *, peer: str | None = None) -> bytes:
    """The value of a record with a client half that waits for its server."""
    made = span(
        kind=3,
        span_id=(offset + 1).to_bytes(8, "big"),
        parent_span_id=(99).to_bytes(8, "big"),
        start_time_unix_nano=START_NS - 50_000_000,
        attrs={} if peer is None else {"peer.service": peer},
    )
    return record(resource_spans([made], service="caller"))


def test_nothing_is_committed_before_the_tick_that_covers_it_is_delivered(loop: Loop) -> None:
    loop.sender.is_held = True
    loop.turn(incoming(0), incoming(1), incoming(7, partition=1))
    loop.turn(after_ms=1_000)
    loop.turn(after_ms=100)
    assert loop.journal == ["send 1000"]
    loop.sender.deliver()
    loop.turn()
    assert loop.journal == ["send 1000", "delivered", "commit {0: 2, 1: 8}"]


def test_records_read_after_a_tick_wait_for_the_next_one(loop: Loop) -> None:
    loop.sender.is_held = True
    loop.turn(incoming(0))
    loop.turn(incoming(1), after_ms=1_000)
    loop.turn(incoming(2), after_ms=100)
    loop.sender.deliver()
    loop.turn()
    assert loop.source.committed == {0: 2}
    loop.sender.is_held = False
    loop.turn(after_ms=900)
    assert loop.source.committed == {0: 3}


def test_deliveries_out_of_order_commit_only_up_to_the_first_that_is_missing(loop: Loop) -> None:
    loop.sender.is_held = True
    for offset in range(3):
        loop.turn(incoming(offset), after_ms=1_000)
    loop.sender._held[2].settle_part()
    loop.sender._held.pop(2)
    loop.turn()
    assert loop.source.committed == {}
    loop.sender.deliver(1)
    loop.turn()
    assert loop.source.committed == {0: 1}
    loop.sender.deliver()
    loop.turn()
    assert loop.source.committed == {0: 3}


def test_a_commit_that_fails_is_counted_and_tried_again(loop: Loop) -> None:
    loop.source.refuses_commits = True
    loop.turn(incoming(0), after_ms=1_000)
    loop.turn()
    assert loop.own("spanmill_commit_failures_total") == 2.0
    loop.source.refuses_commits = False
    loop.turn()
    loop.turn()
    assert loop.journal == ["send 1000", "delivered", "commit {0: 1}"]


def test_ticks_stand_at_the_boundaries_of_the_interval(loop: Loop) -> None:
    loop.turn(incoming(0), after_ms=700)
    assert loop.sender.ticks == []
    loop.turn(after_ms=450)
    loop.turn(after_ms=800)
    loop.turn(after_ms=100)
    assert [tick.time_ms - START_MS for tick in loop.sender.ticks] == [1_000, 2_000]


def test_missed_ticks_are_made_up_for(loop: Loop) -> None:
    loop.turn(incoming(0), after_ms=1_000)
    loop.turn(incoming(1, time_ms=2_500), after_ms=4_300)
    ticks = [tick.time_ms - START_MS for tick in loop.sender.ticks]
    assert ticks == [1_000, 2_000, 3_000, 4_000, 5_000]
    assert loop.told()[NORTH][-4:] == [(2_000, 1.0), (3_000, 2.0), (4_000, 2.0), (5_000, 2.0)]
    assert loop.own("spanmill_ticks_total") == 5.0


def test_a_worker_that_is_late_writes_what_it_would_have_written_on_time() -> None:
    arrivals = [(0, 300), (1, 900), (2, 1_100), (3, 5_700), (4, 7_200)]
    told = []
    for is_late in (False, True):
        loop = Loop()
        loop.assign(0)
        records = [incoming(at, value=caller(at), time_ms=ms) for at, ms in arrivals]
        if is_late:
            loop.turn(*records, after_ms=60_000)
            for _ in range(4):
                loop.turn()
        else:
            loop.turn()
            for record, (_, ms) in zip(records, arrivals, strict=True):
                while loop.clock.now_ms() < START_MS + ms:
                    loop.turn(after_ms=100)
                loop.turn(record)
            while loop.clock.now_ms() < START_MS + 60_000:
                loop.turn(after_ms=100)
        told.append(loop.everything())
    assert told[0] == told[1]


def test_ticks_that_are_too_old_are_not_written_but_what_they_hold_counts() -> None:
    loop = Loop(CONFIG.replace("idle_grace: 0s", "idle_grace: 0s, max_sample_age: 1m"))
    loop.assign(0)
    loop.turn(incoming(0), incoming(1, time_ms=1_000), after_ms=63_000)
    assert loop.told()[NORTH][1:3] == [(3_000, 2.0), (4_000, 2.0)]
    assert loop.own("spanmill_ticks_skipped_total") == 2.0


def test_a_partition_far_ahead_of_the_slowest_is_held_until_that_has_caught_up(loop: Loop) -> None:
    loop.clock.sleep_s(100)
    loop.source.has_more = {0, 1}
    loop.turn(incoming(0), incoming(0, partition=1, time_ms=4_001))
    assert loop.source.held == {1}
    assert loop.own("spanmill_held_partitions") == 1.0
    loop.turn(incoming(1, time_ms=500))
    assert loop.source.held == frozenset()
    assert loop.sender.ticks == []


def test_records_that_come_after_their_tick_count_in_the_next_and_are_measured(
    loop: Loop,
) -> None:
    loop.turn(after_ms=2_500)
    loop.turn(incoming(0))
    loop.turn(after_ms=1_000)
    assert loop.told()[NORTH][-1] == (3_000, 1.0)
    assert loop.own("spanmill_late_records_seconds_count") == 1.0
    assert loop.own("spanmill_late_records_seconds_sum") == 2.0


def test_a_timestamp_from_the_future_drags_its_partition_no_further_than_the_skew() -> None:
    loop = Loop(CONFIG.replace("idle_grace: 0s", "idle_grace: 0s, max_record_skew: 3s"))
    loop.assign(0)
    loop.turn(incoming(0, time_ms=86_400_000), after_ms=100)
    loop.turn(incoming(1, time_ms=4_000), after_ms=4_000)
    loop.turn(after_ms=1_000)
    assert loop.told()[NORTH] == [(3_001, 0.0), (4_000, 1.0), (5_000, 2.0)]


def test_series_begin_with_a_zero_sample_after_the_tick_before(loop: Loop) -> None:
    loop.turn(incoming(0, spans=3))
    loop.turn(after_ms=1_000)
    loop.turn(incoming(1, service="late"), after_ms=500)
    loop.turn(after_ms=500)
    told = loop.told()
    assert told[NORTH] == [(1, 0.0), (1_000, 3.0), (2_000, 3.0)]
    assert told["north", "late"] == [(1_001, 0.0), (2_000, 1.0)]


def test_revoked_partitions_are_delivered_and_committed_before_they_go(loop: Loop) -> None:
    loop.turn(incoming(0), incoming(0, partition=1), after_ms=300)
    loop.revoke(0)
    assert loop.journal == ["send 300", "delivered", "commit {0: 1, 1: 1}"]
    assert loop.own("spanmill_assigned_partitions") == 1.0
    assert loop.own("spanmill_rebalances_total", kind="revoked") == 1.0


def test_a_revocation_waits_for_a_slow_sink_no_longer_than_the_deadline(loop: Loop) -> None:
    loop.sender.is_held = True
    loop.turn(incoming(0))
    before_s = loop.clock.monotonic_s()
    loop.revoke(0)
    assert SHUTDOWN_S <= loop.clock.monotonic_s() - before_s < SHUTDOWN_S + 1
    assert loop.source.committed == {}


def test_a_revocation_makes_no_tick_while_the_sink_is_blocked(loop: Loop) -> None:
    loop.turn(incoming(0))
    loop.sender.blocked = "sink"
    loop.revoke(0)
    assert loop.journal == []


def test_lost_partitions_are_let_go_without_delivery_or_commit(loop: Loop) -> None:
    loop.turn(incoming(0), incoming(0, partition=1))
    loop.lose(0)
    assert loop.journal == []
    loop.turn(after_ms=1_000)
    assert loop.journal == ["send 1000", "delivered", "commit {1: 1}"]
    assert loop.own("spanmill_rebalances_total", kind="lost") == 1.0


def test_a_partition_that_comes_back_forgets_what_was_delivered_before(loop: Loop) -> None:
    loop.turn(incoming(0), after_ms=1_000)
    loop.sender.is_held = True
    loop.turn(incoming(1), after_ms=1_000)
    loop.lose(0)
    loop.source.committed[0] = 50  # another worker went on meanwhile
    loop.assign(0)
    loop.turn(incoming(50))
    loop.sender.deliver()
    loop.turn()
    assert loop.source.committed[0] == 50
    loop.sender.is_held = False
    loop.turn(after_ms=1_000)
    assert loop.source.committed[0] == 51


def test_halves_of_a_partition_that_goes_are_forgotten_and_counted(loop: Loop) -> None:
    loop.turn(incoming(0, value=caller(0)))
    assert loop.own("spanmill_edges_pending") == 1.0
    loop.revoke(0)
    assert loop.own("spanmill_edges_pending") == 0.0
    assert (
        loop.own(
            "spanmill_spans_discarded_total",
            tenant="north",
            processor="service-graphs",
            reason="forgotten_client",
        )
        == 1.0
    )


def test_halves_of_a_partition_that_is_read_to_its_end_expire_with_the_wall_clock(
    loop: Loop,
) -> None:
    loop.turn(incoming(0, value=caller(0, peer="elsewhere")))
    loop.turn(after_ms=WAIT_MS - 500)
    assert loop.own("spanmill_edges_pending") == 1.0
    loop.turn(after_ms=1_000)
    assert loop.own("spanmill_edges_pending") == 0.0
    assert loop.own("spanmill_edges_paired_total", kind="virtual_node") == 1.0


def test_halves_of_a_partition_with_records_to_read_wait_for_those(loop: Loop) -> None:
    loop.turn(incoming(0, value=caller(0, peer="elsewhere")))
    loop.source.ends[0] = (0, 2)
    loop.turn(after_ms=10 * WAIT_MS)
    assert loop.own("spanmill_edges_pending") == 1.0
    assert loop.own("spanmill_partition_lag_records", partition="0") == 1.0
    assert loop.own("spanmill_partition_lag_seconds", partition="0") == 10 * WAIT_MS / 1_000


def test_a_sink_that_cannot_follow_pauses_consumption_until_it_can(loop: Loop) -> None:
    loop.turn(incoming(0))
    loop.sender.blocked = "sink"
    loop.turn(after_ms=1_000)
    assert loop.journal == ["pause"]
    assert loop.own("spanmill_paused", reason=SINK) == 1.0
    assert loop.status.paused == (SINK,)
    loop.turn(incoming(1), after_ms=3_500)
    assert loop.own("spanmill_loop_last_turned_timestamp_seconds") == loop.clock.monotonic_s()
    loop.sender.blocked = None
    loop.turn(after_ms=0)
    assert loop.journal[1:] == ["send 1000", "delivered", "commit {0: 1}", "resume"]
    assert loop.own("spanmill_paused", reason=SINK) == 0.0
    loop.turn(after_ms=1_000)
    assert loop.told()[NORTH][-4:] == [(at, 2.0) for at in (2_000, 3_000, 4_000, 5_000)]


def test_a_paused_worker_lets_no_time_pass_for_halves(loop: Loop) -> None:
    loop.turn(incoming(0, value=caller(0)))
    loop.sender.blocked = "sink"
    loop.turn(after_ms=1_000)
    loop.turn(after_ms=10 * WAIT_MS)
    assert loop.own("spanmill_edges_pending") == 1.0


def test_stopping_delivers_a_last_tick_and_commits(loop: Loop) -> None:
    loop.turn(incoming(0), after_ms=1_250)
    loop.turn(incoming(1), after_ms=100)
    loop.stop()
    assert loop.journal[-3:] == ["send 1350", "delivered", "commit {0: 2}"]
    assert loop.told()[NORTH][-1] == (1_350, 2.0)
    assert loop.status.phase == "stopping"


def test_stopping_gives_a_blocked_sink_time_to_come_back(loop: Loop) -> None:
    loop.turn(incoming(0))
    loop.sender.blocked = "sink"
    sleep_s = loop.clock.sleep_s

    def recover(seconds: float) -> None:
        sleep_s(seconds)
        if loop.clock.now_ms() > START_MS + 2_000:
            loop.sender.blocked = None

    loop.clock.sleep_s = recover  # type: ignore[method-assign]
    loop.stop()
    assert loop.source.committed == {0: 1}


def test_stopping_with_a_dead_sink_ends_at_the_deadline_without_commit(loop: Loop) -> None:
    loop.sender.is_held = True
    loop.turn(incoming(0))
    loop.stop()
    assert loop.clock.monotonic_s() == pytest.approx(START_MS / 1_000 + SHUTDOWN_S, abs=0.1)
    assert loop.source.committed == {}


def test_closing_after_the_end_delivers_nothing_twice(loop: Loop) -> None:
    loop.turn(incoming(0))
    loop.stop()
    before = list(loop.journal)
    loop.revoke(0, 1)
    assert loop.journal == before


def test_a_member_without_partitions_stands_by(loop: Loop) -> None:
    loop.revoke(0, 1)
    assert loop.status.phase == "standing_by"


def test_records_of_many_tenants_are_counted_apart(loop: Loop) -> None:
    odd = ["a/b", "north", 'quo"te', "x" * 256, "Ω", "two words", "x" * 257, "new\nline"]
    loop.turn(*(incoming(at, tenant=name) for at, name in enumerate(odd)))
    loop.turn(incoming(8, tenant=None), incoming(9, tenant=""), after_ms=1_000)
    assert {tenant for tenant, _ in loop.told()} == {*odd[:4], "single-tenant"}
    assert loop.told()["single-tenant", "shop"][-1] == (1_000, 2.0)
    assert loop.own("spanmill_records_undecodable_total", reason="invalid_tenant") == 4.0
    assert loop.source.committed == {0: 10}


@pytest.mark.parametrize("is_asked", [True, False])
def test_series_end_with_the_worker_only_if_asked(is_asked: bool) -> None:
    loop = Loop(f"{CONFIG}\nserver: {{end_series_at_shutdown: {str(is_asked).lower()}}}")
    loop.assign(0)
    loop.turn(incoming(0), after_ms=1_250)
    loop.stop()
    loop.revoke(0)
    loop.seam.close(loop.clock.monotonic_s())
    last = loop.told()["north", "shop"][-1]
    assert math.isnan(last[1]) == is_asked
    assert loop.source.committed == {0: 1}


def test_a_sink_that_is_down_keeps_no_worker_from_ending() -> None:
    loop = Loop(f"{CONFIG}\nserver: {{end_series_at_shutdown: true}}")
    loop.assign(0)
    loop.turn(incoming(0), after_ms=1_250)
    loop.sender.blocked = "sink"
    loop.stop()
    loop.seam.close(loop.clock.monotonic_s())
    values = [value for samples in loop.told().values() for _, value in samples]
    assert not any(map(math.isnan, values))


def test_a_broken_record_stops_none_of_its_batch(loop: Loop) -> None:
    loop.turn(incoming(0), incoming(1, value=BROKEN), incoming(2), after_ms=1_000)
    assert loop.told()[NORTH][-1] == (1_000, 2.0)
    assert loop.own("spanmill_records_undecodable_total", reason="malformed_protobuf") == 1.0
    assert loop.source.committed == {0: 3}


def test_dead_letters_are_written_before_the_offset_that_covers_them() -> None:
    loop = Loop(dead_letter_topic="dead")
    loop.assign(0)
    loop.letters.failure = "not now"
    loop.turn(incoming(0), incoming(1, value=BROKEN), after_ms=1_000)
    loop.turn()
    assert loop.source.committed == {}
    assert loop.own("spanmill_dead_letter_failures_total") == 1.0
    loop.letters.failure = ""
    loop.turn(after_ms=1_000)
    assert loop.source.committed == {0: 2}
    assert [letter.value for letter in loop.letters.written] == [BROKEN]
    assert loop.own("spanmill_records_dead_lettered_total") == 1.0


def test_a_dead_letter_of_a_tempo_record_holds_no_trace_that_was_counted() -> None:
    loop = Loop(CONFIG.replace("{group", "{encoding: tempo, group"), dead_letter_topic="dead")
    loop.assign(0)
    good = record(resource_spans([span(start_time_unix_nano=START_NS - 50_000_000)]))
    loop.turn(incoming(0, value=push_bytes([good, BROKEN])), after_ms=1_000)
    assert loop.told()["north", "svc"][-1] == (1_000, 1.0)
    assert [letter.value for letter in loop.letters.written] == [field(2, BROKEN)]


def test_a_dead_letter_topic_that_fails_holds_up_no_metrics() -> None:
    loop = Loop(dead_letter_topic="dead")
    loop.assign(0)
    loop.letters.failure = "not now"
    loop.turn(incoming(0), incoming(1, value=BROKEN), after_ms=1_000)
    loop.turn(incoming(2), after_ms=1_000)
    loop.stop()
    assert loop.told()[NORTH] == [(1, 0.0), (1_000, 1.0), (2_000, 2.0), (2_002, 2.0)]
    assert loop.source.committed == {}


def test_a_dead_letter_that_is_never_taken_is_given_up_and_counted() -> None:
    loop = Loop(dead_letter_topic="dead")
    loop.assign(0)
    loop.letters.refused.add(BROKEN)
    loop.turn(incoming(0, value=BROKEN), incoming(1), after_ms=1_000)
    loop.turn(after_ms=1_000)
    assert loop.source.committed == {0: 2}
    assert loop.own("spanmill_dead_letter_failures_total") == 1.0


def test_too_many_unconfirmed_dead_letters_pause_consumption() -> None:
    loop = Loop(dead_letter_topic="dead")
    loop.assign(0)
    loop.letters.failure = "not now"
    loop.turn(*(incoming(at, value=BROKEN) for at in range(1_000)))
    assert loop.journal == ["pause"]
    assert loop.own("spanmill_paused", reason=DEAD_LETTERS) == 1.0
    loop.letters.failure = ""
    loop.turn()
    assert loop.journal == ["pause", "resume"]


def test_an_error_of_the_source_ends_the_loop_and_commits_nothing_more(loop: Loop) -> None:
    loop.turn(incoming(0))

    def fail(_timeout_s: float) -> object:
        raise KafkaError("fenced")

    loop.source.poll = fail  # type: ignore[assignment, method-assign]
    with pytest.raises(KafkaError, match="fenced"):
        loop.worker.run(cast("SpanSource", loop.source), Event())
    assert loop.journal == []


def test_series_end_with_a_stale_marker_when_nothing_comes() -> None:
    loop = Loop("metrics_generator: {registry: {collection_interval: 1s, stale_duration: 3s}}")
    loop.assign(0)
    loop.turn(incoming(0))
    for _ in range(6):
        loop.turn(after_ms=1_000)
    samples = loop.told()[NORTH]
    assert [at for at, _ in samples] == [1, 1_000, 2_000, 3_000, 4_000, 5_000]
    assert math.isnan(samples[-1][1])
