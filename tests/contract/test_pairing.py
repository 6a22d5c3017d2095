"""One suite over both pairings: what every ``pairing.Pairing`` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from consumer.acceleration import NativePairing
from processors.service_graphs.pairing import Pairing, Side
from processors.service_graphs.python_pairing import PythonPairing
from tests.support.decoding import IMPLEMENTATIONS, require
from tests.support.pairing import (
    Feed,
    Record,
    alone,
    client,
    closed,
    columns,
    filtered_client,
    filtered_server,
    link,
    nameless,
    producer,
    server,
)

NewFeed = Callable[..., Feed]


@pytest.fixture(params=IMPLEMENTATIONS)
def new(request: pytest.FixtureRequest) -> NewFeed:
    """Makes a feed of one implementation that waits 10 s for at most 100 halves a tenant."""
    require(request.param)
    make: type[Pairing] = NativePairing if request.param == "native" else PythonPairing

    def feed(max_pending: int = 100, max_remembered: int = 10_000) -> Feed:
        return Feed(make(max_remembered), 10_000, max_pending)  # type: ignore[call-arg]

    return feed


def test_a_client_and_then_its_server_are_an_edge(new: NewFeed) -> None:
    assert new()(client(1), server(1)) == {"edges": [[0, 1]], "settled": [1, 0]}


def test_a_server_and_then_its_client_are_an_edge(new: NewFeed) -> None:
    assert new()(server(1), client(1)) == {"edges": [[1, 0]], "settled": [0, 1]}


def test_halves_pair_across_batches(new: NewFeed) -> None:
    feed = new()
    assert feed(client(1), client(2)) == {}
    assert feed.pairing.pending() == 2
    assert feed(server(2)) == {"edges": [[1, 2]], "settled": [2, 1]}
    assert feed.pairing.pending() == 1


def test_every_server_of_a_client_is_an_edge_whenever_it_comes(new: NewFeed) -> None:
    feed = new()
    feed(server(1, own=10), server(1, own=11), server(1, own=12))
    both = feed(client(1), server(1, own=13))
    assert both["edges"] == [[3, 0], [3, 1], [3, 2], [3, 4]]
    assert both["settled"] == [0, 1, 2, 3, 4]
    assert feed(server(1, own=14), time_ms=9_999) == {"edges": [[3, 5]], "settled": [5]}


def test_a_repeated_half_is_named_and_ignored(new: NewFeed) -> None:
    feed = new()
    feed(client(1), server(1))
    assert feed(client(1), server(1)) == {"repeated": [2, 3]}
    assert feed(server(2), server(2)) == {"repeated": [5]}
    assert feed.pairing.pending() == 1


def test_the_same_span_id_on_both_sides_is_no_repetition(new: NewFeed) -> None:
    assert "repeated" not in new()(client(7), server(1, own=7))


def test_a_closed_client_takes_servers_in_but_pairs_with_none(new: NewFeed) -> None:
    feed = new()
    assert feed(server(1, own=10), closed(1), server(1, own=11)) == {
        "absorbed": [[1, 0], [1, 2]],
        "closed": [1],
    }
    assert feed.pairing.pending() == 0
    assert feed(closed(1), client(1)) == {"repeated": [3, 4]}


def test_a_lone_server_waits_and_pairs_with_nothing(new: NewFeed) -> None:
    feed = new()
    assert feed(alone(1), alone(1)) == {"repeated": [1]}
    assert feed.advance(0, 10_000) == {"expired": [0]}


def test_a_half_expires_when_the_wait_is_over_in_its_lane(new: NewFeed) -> None:
    feed = new()
    feed(client(1), client(2), time_ms=5)
    feed(client(3), time_ms=5, lane=1)
    assert feed(server(1), time_ms=10_004) == {"edges": [[0, 3]], "settled": [3, 0]}
    assert feed.advance(0, 10_005) == {"expired": [1]}
    assert feed.pairing.pending() == 1
    assert feed.advance(1, 99_999) == {"expired": [2]}
    assert feed.pairing.pending() == 0


def test_a_record_moves_the_time_before_its_halves_are_taken(new: NewFeed) -> None:
    feed = new()
    feed(client(1), time_ms=0)
    assert feed(server(1), time_ms=10_000) == {"expired": [0]}


def test_a_record_without_halves_moves_the_time(new: NewFeed) -> None:
    feed = new()
    assert feed.push([Record([client(1)]), Record([], 10_000), Record([server(1)], 10_000)]) == {
        "expired": [0]
    }


def test_time_never_goes_back_within_a_lane(new: NewFeed) -> None:
    feed = new()
    feed(client(1), time_ms=10_000)
    feed(client(2), time_ms=0)
    assert feed.advance(0, 19_999) == {}
    assert feed.advance(0, 20_000) == {"expired": [0, 1]}


def test_what_was_paired_is_remembered_for_the_wait_and_then_forgotten(new: NewFeed) -> None:
    feed = new()
    feed(client(1), server(1))
    assert feed.pairing.remembered() == 2
    assert feed.advance(0, 10_000) == {}
    assert (feed.pairing.remembered(), feed.pairing.oldest()) == (0, None)
    assert feed(client(1), server(1), time_ms=10_000)["edges"] == [[2, 3]]


def test_a_waiting_server_that_expired_leaves_its_siblings_waiting(new: NewFeed) -> None:
    feed = new()
    feed(server(1, own=10), time_ms=0)
    feed(server(1, own=11), server(1, own=12), time_ms=5)
    feed(server(1, own=13), time_ms=0, lane=1)
    assert feed.advance(1, 10_000) == {"expired": [3]}
    assert feed.advance(0, 10_000) == {"expired": [0]}
    assert feed(client(1), time_ms=10_000)["edges"] == [[4, 1], [4, 2]]


def test_a_server_waits_anew_once_its_client_is_forgotten(new: NewFeed) -> None:
    feed = new()
    feed(client(1), server(1, own=10))
    assert feed(server(1, own=11), time_ms=10_000) == {}
    assert feed(client(1), time_ms=10_000)["edges"] == [[3, 2]]


def test_the_oldest_pending_half_of_the_tenant_goes_when_there_are_too_many(new: NewFeed) -> None:
    feed = new(max_pending=2)
    feed(client(9, tenant=1))
    assert feed(client(1), client(2), server(1), client(3)) == {
        "edges": [[1, 3]],
        "settled": [3, 1],
    }
    assert feed(client(4)) == {"evicted": [2]}
    assert feed(server(2), server(9, tenant=1)) == {
        "evicted": [4],
        "edges": [[0, 7]],
        "settled": [7, 0],
    }


def test_an_evicted_half_may_come_again(new: NewFeed) -> None:
    feed = new(max_pending=1)
    assert feed(server(1), server(2)) == {"evicted": [0]}
    assert feed(server(1)) == {"evicted": [1]}
    assert feed(client(1)) == {"edges": [[3, 2]], "settled": [2, 3]}


def test_where_nothing_may_wait_a_half_is_evicted_at_once(new: NewFeed) -> None:
    feed = new(max_pending=0)
    assert feed(client(1), server(1)) == {"evicted": [0, 1]}
    assert feed.pairing.pending() == 0


def test_of_many_halves_the_oldest_records_are_forgotten(new: NewFeed) -> None:
    feed = new(max_remembered=4)
    feed(client(1), server(1), lane=1)
    feed(client(2), client(3))
    assert feed(client(4)) == {}
    assert feed.pairing.oldest() == 2
    assert feed(client(5), client(6), client(7)) == {"evicted": [2, 3]}
    assert (feed.pairing.oldest(), feed.pairing.remembered()) == (4, 4)
    late = feed(server(1), client(1))
    assert late == {"edges": [[9, 8]], "settled": [8, 9], "evicted": [4, 5, 6, 7]}


def test_a_record_larger_than_all_room_is_forgotten_as_a_whole(new: NewFeed) -> None:
    feed = new(max_remembered=2)
    assert feed(client(1), client(2), client(3)) == {"evicted": [0, 1, 2]}
    assert (feed.pairing.oldest(), feed.pairing.remembered()) == (None, 0)


def test_servers_of_a_client_that_was_left_out_are_excused_within_the_wait(new: NewFeed) -> None:
    feed = new()
    feed(server(1, own=10), server(1, own=11), server(2))
    assert feed(filtered_client(1), server(1, own=12)) == {"excused": [0, 1, 4]}
    assert feed(server(1, own=13), time_ms=9_999) == {"excused": [5]}
    assert feed(server(1, own=12), time_ms=9_999) == {"repeated": [6]}
    assert feed.pairing.pending() == 1
    assert feed(server(1, own=14), time_ms=10_000) == {"expired": [2]}
    assert feed.pairing.pending() == 1


def test_the_client_of_a_server_that_was_left_out_is_excused_but_pairs_with_others(
    new: NewFeed,
) -> None:
    feed = new()
    assert feed(client(1), filtered_server(1), filtered_server(2), client(2)) == {"excused": [0, 3]}
    assert feed.pairing.pending() == 0
    assert feed(server(1), server(2)) == {"edges": [[0, 4], [3, 5]], "settled": [4, 5]}
    assert feed(server(3), filtered_server(3), client(3)) == {
        "edges": [[8, 6]],
        "settled": [6, 8],
    }


def test_a_closed_client_is_excused_only_where_its_server_was_left_out_before(
    new: NewFeed,
) -> None:
    feed = new()
    assert feed(closed(1), filtered_server(1)) == {"closed": [0]}
    assert feed(filtered_server(2), closed(2)) == {"excused": [3]}
    assert feed(server(3), filtered_server(3), closed(3)) == {"absorbed": [[6, 4]], "closed": [6]}


def test_a_client_that_was_left_out_does_not_stand_for_one_of_its_key_that_was_not(
    new: NewFeed,
) -> None:
    feed = new()
    feed(filtered_client(1), client(1))
    assert feed(server(1)) == {"edges": [[1, 2]], "settled": [2, 1]}


def test_there_are_as_many_markers_as_pending_halves_and_one_may_be_renewed(new: NewFeed) -> None:
    feed = new(max_pending=2)
    feed(filtered_client(9, tenant=1))
    assert feed(filtered_client(1), filtered_server(2), filtered_client(3)) == {"unmarked": [3]}
    assert feed(filtered_client(1), server(3), time_ms=9_000) == {}
    assert feed(server(1, own=7), client(2), time_ms=10_000) == {"excused": [6]}
    assert feed(server(1, own=8), filtered_client(4), time_ms=19_000) == {"expired": [5]}
    assert feed.pairing.pending() == 2
    feed.close(0)
    assert (feed.pairing.pending(), feed.pairing.oldest()) == (0, None)


def test_a_link_pairs_with_a_producer_on_behalf_of_its_consumer(new: NewFeed) -> None:
    feed = new()
    consumer = server(100, own=5)
    assert feed(producer(1), consumer, link(1)) == {"edges": [[0, 2]], "settled": [0, 1]}
    feed = new()
    assert feed(consumer, link(1), link(2), link(3)) == {}
    assert feed.pairing.pending() == 1
    assert feed(producer(2)) == {"edges": [[4, 2]], "settled": [0, 4]}
    assert feed(producer(1), client(100)) == {
        "edges": [[5, 1], [6, 0]],
        "settled": [5, 6],
    }
    assert feed.advance(0, 10_000) == {}
    assert feed.pairing.remembered() == 0


def test_a_link_pairs_with_nothing_but_producers(new: NewFeed) -> None:
    feed = new()
    assert feed(client(1), server(100, own=5), link(1), link(2), link(3)) == {}
    assert feed(client(2), closed(3)) == {"closed": [6]}
    assert feed.pairing.pending() == 3
    assert feed(server(2)) == {"edges": [[5, 7]], "settled": [7, 5]}


def test_the_links_of_a_half_that_is_gone_are_gone(new: NewFeed) -> None:
    feed = new(max_pending=1)
    consumer = server(100, own=5)
    feed(consumer, link(1))
    assert feed(consumer, link(2)) == {"repeated": [2]}
    assert feed(server(101)) == {"evicted": [0]}
    assert feed(producer(1), producer(2)) == {"evicted": [4, 5]}
    assert new(max_pending=0)(consumer, link(1), link(1), producer(1)) == {"evicted": [0, 3]}


def test_a_consumer_whose_link_names_one_that_was_left_out_is_excused(new: NewFeed) -> None:
    feed = new()
    assert feed(filtered_client(1), server(100, own=5), link(1), link(2)) == {"excused": [1]}
    assert feed(producer(2)) == {"edges": [[4, 3]], "settled": [4]}
    assert feed(server(100, own=6), link(7), filtered_client(7)) == {"excused": [5]}
    assert feed(client(100)) == {"edges": [[8, 1], [8, 5]], "settled": [8]}
    assert feed(producer(7)) == {}


def test_a_nameless_server_is_a_hint_for_a_client_that_has_no_server(new: NewFeed) -> None:
    feed = new()
    assert feed(client(1), nameless(1), nameless(2), client(2)) == {"hints": [[0, 1], [3, 2]]}
    assert feed(server(1), server(2), nameless(1)) == {
        "edges": [[0, 4], [3, 5]],
        "settled": [4, 0, 5, 3],
    }
    assert feed(nameless(3), closed(3), nameless(3)) == {"hints": [[8, 7]], "closed": [8]}
    assert feed(nameless(4), filtered_server(4), client(4)) == {"hints": [[12, 10]]}
    assert feed(nameless(5), filtered_client(5), nameless(5), client(5)) == {}
    assert feed.pairing.pending() == 2
    assert feed(nameless(6), time_ms=10_000) == {"expired": [12, 16]}
    assert feed.advance(0, 20_000) == {}
    assert feed.pairing.remembered() == 0


def test_each_batch_has_its_own_limits(new: NewFeed) -> None:
    feed = new()
    feed(client(1), client(2))
    feed.wait_ms, feed.max_pending = 5_000, 2
    assert feed(client(3), lane=1) == {"evicted": [0]}
    assert feed.advance(1, 5_000) == {"expired": [2]}
    assert feed.advance(0, 10_000) == {"expired": [1]}


def test_closing_a_lane_gives_its_pending_halves_and_forgets_its_time(new: NewFeed) -> None:
    feed = new()
    feed(client(1), server(1), client(2), time_ms=90_000)
    feed(client(3), lane=1)
    assert feed.close(0) == [2]
    assert feed.close(0) == []
    assert (feed.pairing.pending(), feed.pairing.oldest()) == (1, 3)
    feed(client(2), time_ms=0)
    assert feed.advance(0, 9_999) == {}
    assert feed.advance(0, 10_000) == {"expired": [4]}


def test_keys_and_times_may_be_as_large_as_their_type(new: NewFeed) -> None:
    feed = new()
    top, last = 2**64 - 1, 2**63 - 1
    assert feed(client(top), server(top, own=top), lane=2**64 - 1)["edges"] == [[0, 1]]
    feed(client(5), time_ms=last)
    assert feed.pairing.pending() == 1


def test_numbers_that_do_not_go_on_are_refused(new: NewFeed) -> None:
    pairing = new().pairing
    pairing.push(columns([Record([client(1), client(2)])], first=40), 10, 10)
    with pytest.raises(ValueError, match="half 43 comes after 41"):
        pairing.push(columns([Record([client(3)])], first=43), 10, 10)
    pairing.close(0)
    pairing.push(columns([Record([client(3)])], first=50), 10, 10)
    assert pairing.oldest() == 50


def test_an_empty_batch_gives_empty_columns(new: NewFeed) -> None:
    pairs = new().pairing.push(columns([]), 10, 10)
    assert pairs.is_empty()
    assert pairs.edges.shape == pairs.absorbed.shape == (0, 2)
    assert pairs.expired.dtype == pairs.edges.dtype == np.int64


def test_the_native_pairing_refuses_columns_that_do_not_fit() -> None:
    require("native")
    pairing = NativePairing()
    good = columns([Record([client(1), server(1)])])
    wrong = [
        replace(good, own=good.own[:1]),
        replace(good, lane=good.lane[:0]),
        replace(good, side=np.array([0, 9], np.uint8)),
        replace(good, side=np.array([Side.LINK, Side.CLIENT], np.uint8)),
        replace(good, starts=np.array([1], np.int64)),
        replace(good, starts=np.array([3], np.int64)),
        replace(columns([Record([client(1)])] * 2), starts=np.array([0, -1], np.int64)),
        replace(good, starts=good.starts[:0], lane=good.lane[:0], time_ms=good.time_ms[:0]),
    ]
    for halves in wrong:
        with pytest.raises(
            ValueError, match=r"differ in length|into records|a side is not|with a link"
        ):
            pairing.push(halves, 10, 10)
    with pytest.raises(BufferError):
        pairing.push(replace(good, side=good.side.astype(np.int64)), 10, 10)
    assert pairing.remembered() == 0
