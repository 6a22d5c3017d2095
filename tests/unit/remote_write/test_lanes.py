from __future__ import annotations

from math import inf
from random import Random

from consumer.remote_write.backoff import Backoff
from consumer.remote_write.client import Trouble
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.gate import Gate
from consumer.remote_write.lane import Lane, Share, Turn
from consumer.remote_write.lanes import Lanes
from consumer.remote_write.request import EncodedRequest
from tests.unit.remote_write.fakes import block


def lanes(*, max_pending_ticks: int = 2, max_kept_samples: int = 100) -> Lanes:
    endpoint = Endpoint(
        url="http://localhost/",
        name="here",
        max_pending_ticks=max_pending_ticks,
        max_kept_samples=max_kept_samples,
    )
    return Lanes(endpoint, Gate(Backoff(1.0, 8.0, Random(1))), most=10)  # noqa: S311


def share(time_ms: int = 0, delivery: Delivery | None = None) -> Share:
    return Share(time_ms, [block([["a"], ["b"]])], delivery)


def add(of: Lanes, tenant: str, one: Share, now_s: float) -> Lane:
    """Queue a share of a tenant that has one shard; its lane."""
    of.add(tenant, {0: one}, now_s)
    (lane,) = [each for each in of if each.tenant == tenant]
    return lane


def take(of: Lanes, now_s: float) -> Lane:
    taken = of.take(now_s)
    assert taken is not None
    lane, turn = taken
    assert turn is Turn.SEND
    return lane


def refuse(of: Lanes, lane: Lane, now_s: float, ready_s: float) -> None:
    of.gate.answered(lane.tenant, now_s)
    lane.fail(Trouble.THROTTLED, now_s)
    of.give_back(lane, ready_s)


def fail(of: Lanes, lane: Lane, now_s: float, ready_s: float) -> None:
    of.gate.failed(lane.tenant, now_s, None)
    lane.fail(Trouble.SERVER, now_s)
    of.give_back(lane, ready_s)


def test_a_lane_is_taken_by_one_at_a_time() -> None:
    of = lanes()
    add(of, "a", share(), 0)
    lane = take(of, 0)
    add(of, "a", share(), 0)
    assert of.take(100) is None
    of.give_back(lane, 0)
    assert take(of, 0) is lane


def test_lanes_take_turns() -> None:
    of = lanes()
    add(of, "a", share(), 0)
    add(of, "b", share(), 0)
    turns = []
    for now_s in range(4):
        lane = take(of, now_s)
        turns.append(lane.tenant)
        of.gate.answered(lane.tenant, now_s)
        of.give_back(lane, now_s)
    assert turns == ["a", "b", "a", "b"]


def test_a_lane_waits_until_it_is_ready() -> None:
    of = lanes()
    add(of, "a", share(), 0)
    refuse(of, take(of, 0), 0, 7.5)
    assert of.next_s() == 7.5
    assert of.take(7.4) is None
    assert take(of, 7.5).tenant == "a"


def test_a_lane_with_nothing_left_is_forgotten() -> None:
    of = lanes()
    add(of, "a", share(), 0)
    lane = take(of, 0)
    lane.pop()
    of.give_back(lane, 0)
    assert len(of) == 0
    assert of.next_s() == inf


def test_a_share_counts_as_pending_until_its_requests_are_done() -> None:
    of = lanes()
    lane = add(of, "a", share(), 0)
    add(of, "a", share(), 0)
    assert (lane.samples, lane.ticks) == (4, 2)
    lane.finish_request(EncodedRequest(b"", series=1, samples=2))
    assert (lane.samples, lane.ticks) == (3, 2)
    lane.pop()
    assert (lane.samples, lane.ticks) == (2, 1)


def test_an_outage_leaves_one_request_at_a_time_to_all_lanes() -> None:
    of = lanes()
    for tenant in "abc":
        add(of, tenant, share(), 0)
    for _ in range(2):
        fail(of, take(of, 0), 0, 0.1)
    assert 0 < of.next_s() <= 1
    assert take(of, 1).tenant == "c"
    assert of.next_s() == inf
    assert of.take(100) is None


def test_a_slow_or_failing_endpoint_is_behind_at_the_bound() -> None:
    of = lanes()
    lane = add(of, "a", share(), 0)
    assert not of.behind()
    add(of, "a", share(), 0)
    assert of.behind()
    lane.fail(Trouble.NETWORK, 0)
    assert of.behind()
    assert not of.is_overfull(lane)


def test_a_tenant_that_is_refused_does_not_put_its_endpoint_behind() -> None:
    of = lanes()
    add(of, "a", share(), 0)
    refuse(of, take(of, 0), 0, 600)
    add(of, "a", share(), 0)
    assert not of.behind()


def test_a_tenant_that_fails_while_others_succeed_does_not_put_its_endpoint_behind() -> None:
    of = lanes()
    add(of, "a", share(), 0)
    add(of, "b", share(), 0)
    fail(of, take(of, 0), 0, 600)
    add(of, "a", share(), 1)
    assert of.behind()
    other = take(of, 1)
    of.gate.answered(other.tenant, 1)
    other.pop()
    of.give_back(other, 1)
    assert not of.behind()


def overfull(of: Lanes, ticks: int) -> Lane:
    add(of, "a", share(0), 0)
    refuse(of, take(of, 0), 0, 600)
    for time_ms in range(1, ticks):
        add(of, "a", share(time_ms), 0)
    taken = of.take(0)
    assert taken is not None
    assert taken[1] is Turn.COLLAPSE
    return taken[0]


def test_a_refused_lane_over_the_bound_collapses_behind_its_head_at_once() -> None:
    of = lanes()
    lane = overfull(of, 3)
    assert lane.oldest_waiting() == 1
    of.replace(lane, 1, Share(1, [], kept=True))
    assert [share.time_ms for share in lane.shares] == [0, 2]
    assert lane.samples == 4
    of.give_back(lane, lane.ready_s)
    assert of.next_s() == 600


def test_the_newest_tick_never_collapses() -> None:
    of = lanes(max_pending_ticks=1)
    add(of, "a", share(), 0)
    refuse(of, take(of, 0), 0, 600)
    add(of, "a", share(), 0)
    assert of.take(0) is None


def test_what_is_kept_stays_in_time_order_before_the_waiting_ticks() -> None:
    of = lanes()
    lane = overfull(of, 4)
    for time_ms in (1, 2):
        index = lane.oldest_waiting()
        assert index is not None
        assert lane.shares[index].time_ms == time_ms
        of.replace(lane, index, Share(time_ms, [block([["a"]])], kept=True))
    assert [(share.time_ms, share.kept) for share in lane.shares] == [
        (0, False),
        (1, True),
        (2, True),
        (3, False),
    ]
    assert lane.samples == 6
    assert lane.ticks == 2


def test_a_collapsed_tick_and_the_head_are_not_waited_for_any_more() -> None:
    of = lanes()
    head, waiting, newest = Delivery(1), Delivery(1), Delivery(1)
    add(of, "a", share(0, head), 0)
    refuse(of, take(of, 0), 0, 600)
    add(of, "a", share(1, waiting), 0)
    lane = add(of, "a", share(2, newest), 0)
    of.replace(lane, 1, Share(1, [], kept=True))
    assert head.done
    assert waiting.done
    assert not newest.done
    assert lane.shares[0].time_ms == 0


def test_what_is_kept_is_bounded_and_the_oldest_goes_first() -> None:
    of = lanes(max_kept_samples=3)
    lane = overfull(of, 4)
    assert of.replace(lane, 1, Share(1, [block([["a"], ["b"]])], kept=True)) == []
    (shed,) = of.replace(lane, 2, Share(2, [block([["a"], ["b"]])], kept=True))
    assert shed.time_ms == 1
    assert [share.time_ms for share in lane.shares] == [0, 2, 3]
    assert lane.samples == 6


def test_a_caller_that_ignores_the_bound_meets_the_hard_one() -> None:
    of = lanes()
    add(of, "a", share(), 0)
    fail(of, take(of, 0), 0, 600)
    for _ in range(3):
        lane = add(of, "a", share(), 0)
    assert not of.is_overfull(lane)
    add(of, "a", share(), 0)
    assert of.is_overfull(lane)


def test_hurrying_ends_every_wait() -> None:
    of = lanes()
    for tenant in "ab":
        add(of, tenant, share(), 0)
    for _ in range(2):
        fail(of, take(of, 0), 0, 600)
    of.hurry(5)
    assert take(of, 5).tenant == "a"


def test_waiting_turns_do_not_pile_up() -> None:
    of = lanes()
    add(of, "a", share(), 0)
    for now_s in range(1000):
        of.hurry(now_s)
    assert len(of._turns) < 50


def resharded() -> tuple[Lanes, Lane]:
    """A tenant whose one shard is under way when it gets two; that lane."""
    of = lanes()
    add(of, "a", share(1), 0)
    lane = take(of, 0)
    assert of.may_reshard("a")
    of.add("a", {0: share(2), 1: share(2)}, 0, shards=2)
    return of, lane


def finish(of: Lanes, lane: Lane, now_s: float) -> None:
    of.gate.answered(lane.tenant, now_s)
    lane.pop().settle()
    of.give_back(lane, now_s)


def test_other_shards_begin_when_the_old_ones_are_empty() -> None:
    of, lane = resharded()
    assert of.take(100) is None
    assert (len(of), of.shards("a"), of.pending("a")) == (3, 2, (6, 2))
    finish(of, lane, 1)
    assert {take(of, 1).shares[0].time_ms, take(of, 1).shares[0].time_ms} == {2}


def test_ticks_that_come_before_go_to_the_new_shards_too_and_no_others_are_made() -> None:
    of, lane = resharded()
    of.add("a", {0: share(3)}, 0, shards=2)
    assert not of.may_reshard("a")
    finish(of, lane, 1)
    found = [take(of, 1), take(of, 1)]
    assert sorted(each.ticks for each in found) == [1, 2]


def test_a_tenant_that_is_stuck_keeps_its_shards() -> None:
    of = lanes()
    add(of, "a", share(), 0)
    for time_s in range(3):
        assert of.may_reshard("a")
        refuse(of, take(of, time_s), time_s, time_s + 1)
    assert not of.may_reshard("a")


def test_the_backlog_is_what_older_ticks_left_and_no_failure_keeps() -> None:
    of = lanes(max_pending_ticks=10)
    for time_ms in (1, 2, 3):
        add(of, "a", share(time_ms), 0)
    assert [of.backlog(time_ms) for time_ms in (3, 4)] == [4, 6]
    for time_s in range(3):
        refuse(of, take(of, time_s), time_s, time_s + 1)
    assert of.backlog(4) == 0


def test_the_ticks_of_old_and_new_shards_count_together() -> None:
    of, lane = resharded()
    assert of.behind()
    finish(of, lane, 1)
    assert not of.behind()


def test_new_shards_of_a_refused_tenant_collapse_and_nothing_older_is_waited_for() -> None:
    of, lane = resharded()
    delivery = Delivery(1)
    lane.shares[0].delivery = delivery
    of.add("a", {0: share(3), 1: share(3)}, 0, shards=2)
    refuse(of, lane, 0, 600)
    of.add("a", {0: share(4), 1: share(4)}, 0, shards=2)
    taken = of.take(0)
    assert taken is not None
    held, turn = taken
    assert (turn, held.held) == (Turn.COLLAPSE, True)
    of.replace(held, 1, Share(3, [], kept=True))
    assert delivery.done
    of.give_back(held, 0)
    assert not of.behind()


def test_no_more_requests_are_under_way_than_allowed() -> None:
    of = lanes()
    of.most = 1
    add(of, "a", share(), 0)
    add(of, "b", share(), 0)
    first = take(of, 0)
    assert (of.take(0), of.next_s()) == (None, inf)
    finish(of, first, 1)
    assert take(of, 1).tenant == "b"


def test_more_bytes_than_allowed_put_the_endpoint_behind_but_one_tick_always_goes() -> None:
    endpoint = Endpoint(url="http://localhost/", name="here", max_pending_bytes=1)
    of = Lanes(endpoint, Gate(Backoff(1.0, 8.0, Random(1))), most=1)  # noqa: S311
    add(of, "a", share(), 0)
    assert not of.behind()
    add(of, "a", share(), 0)
    assert of.behind()


def test_bytes_of_a_refused_tenant_collapse_and_put_nobody_behind() -> None:
    endpoint = Endpoint(url="http://localhost/", name="here", max_pending_bytes=1)
    of = Lanes(endpoint, Gate(Backoff(1.0, 8.0, Random(1))), most=1)  # noqa: S311
    add(of, "a", share(), 0)
    refuse(of, take(of, 0), 0, 600)
    add(of, "a", share(), 0)
    lane = add(of, "a", share(), 0)
    assert of.is_overfull(lane)
    assert not of.behind()


def test_an_endpoint_of_one_tenant_is_never_behind() -> None:
    endpoint = Endpoint(url="http://localhost/", name="here", private=True, max_pending_ticks=1)
    of = Lanes(endpoint, Gate(Backoff(1.0, 8.0, Random(1))), most=1)  # noqa: S311
    for time_ms in range(3):
        add(of, "a", share(time_ms), 0)
    assert not of.behind()
    taken = of.take(0)
    assert taken is not None
    assert taken[1] is Turn.COLLAPSE


def test_a_lane_that_is_under_way_when_all_hurry_is_tried_again_at_once() -> None:
    of = lanes()
    add(of, "a", share(), 0)
    lane = take(of, 0)
    of.hurry(1)
    refuse(of, lane, 2, 600)
    assert take(of, 2) is lane
