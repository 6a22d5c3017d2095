"""Which halves become which edges, and what becomes of the others."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.graphs import (
    CLIENT,
    CONSUMER,
    INTERNAL,
    PRODUCER,
    SERVER,
    WILD,
    Graph,
    GraphRecord,
    half,
)
from tests.support.otlp import START_NS

SHOP_TO_CART = half("shop", CLIENT, 1, 9, duration_s=0.3)
CART_OF_SHOP = half("cart", SERVER, 2, 1, duration_s=0.2)
DATABASE_CALL = half(
    "shop", CLIENT, 1, 9, duration_s=0.3, attrs={"db.system": "mysql", "server.address": "db1"}
)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_client_and_its_server_are_an_edge_in_either_order(reverse: bool) -> None:
    graph = Graph()
    halves = [SHOP_TO_CART, CART_OF_SHOP]
    graph.push(*(reversed(halves) if reverse else halves))
    assert graph.requests() == {"shop -> cart": 1}
    assert graph.observed("client") == {0.3: 1}
    assert graph.observed("server") == {0.2: 1}
    assert (graph.used, graph.discarded, graph.edges) == ({"t": 2}, {}, {"request": 1})


@pytest.mark.parametrize("reverse", [False, True])
def test_halves_pair_across_batches(reverse: bool) -> None:
    graph = Graph()
    first, second = (SHOP_TO_CART, CART_OF_SHOP)[:: -1 if reverse else 1]
    graph.push(first)
    assert (graph.requests(), graph.processor.pending()) == ({}, 1)
    graph.push(second, time_ms=9_999)
    assert (graph.requests(), graph.processor.pending()) == ({"shop -> cart": 1}, 0)


def test_halves_of_different_traces_or_tenants_do_not_meet() -> None:
    graph = Graph()
    other_trace = half("cart", SERVER, 2, 1, trace=2)
    graph.push_batch([
        GraphRecord([SHOP_TO_CART, other_trace]),
        GraphRecord([CART_OF_SHOP], tenant="u"),
    ])  # fmt: skip
    assert (graph.requests(), graph.processor.pending()) == ({}, 3)


def test_an_edge_failed_when_either_side_did() -> None:
    for statuses in [(2, 0), (0, 2), (2, 2)]:
        graph = Graph()
        graph.push(
            half("shop", CLIENT, 1, 9, status=statuses[0]),
            half("cart", SERVER, 2, 1, status=statuses[1]),
        )
        assert graph.failed() == 1
    graph = Graph()
    graph.push(SHOP_TO_CART, CART_OF_SHOP)
    assert graph.failed() == 0


def test_halves_expire_in_record_time() -> None:
    graph = Graph(wait="2s")
    graph.push(SHOP_TO_CART, time_ms=1_000)
    graph.push(half("pay", SERVER, 5, 6), time_ms=2_999)
    graph.advance(3_000, lane=1)
    assert graph.discarded == {}
    graph.advance(3_000)
    assert graph.discarded == {("t", "unpaired_client"): 1}
    graph.push(half("x", INTERNAL, 8), half("x", SERVER, 9, 10), time_ms=4_999)
    assert graph.discarded["t", "unpaired_server"] == 1
    graph.close()
    assert graph.discarded["t", "unpaired_server"] == 2
    assert graph.processor.pending() == 0


def test_a_server_whose_client_is_forgotten_pairs_no_more() -> None:
    graph = Graph()
    graph.push(SHOP_TO_CART)
    graph.push(CART_OF_SHOP, time_ms=10_000)
    assert graph.requests() == {}


def test_beyond_max_items_the_oldest_pending_half_is_evicted() -> None:
    graph = Graph(max_items=2)
    graph.push(SHOP_TO_CART, half("a", CLIENT, 3, 9), half("b", PRODUCER, 4, 9))
    assert graph.discarded == {("t", "store_full_client"): 1}
    graph.push(CART_OF_SHOP)
    assert graph.discarded == {("t", "store_full_client"): 2}
    graph.push(half("c", CONSUMER, 5, 4))
    assert graph.requests() == {"b -> c (messaging_system)": 1}
    assert graph.processor.pending() == 1


def test_the_store_of_one_tenant_does_not_fill_that_of_another() -> None:
    graph = Graph(max_items=1)
    graph.push_batch([GraphRecord([SHOP_TO_CART]), GraphRecord([SHOP_TO_CART], tenant="u")])
    assert (graph.discarded, graph.processor.pending()) == ({}, 2)


def test_a_client_of_a_named_peer_becomes_a_virtual_edge_measured_on_its_side_only() -> None:
    graph = Graph(enable_virtual_node_label=True)
    graph.push(half("shop", CLIENT, 1, 9, duration_s=0.3, attrs={"peer.service": "bank"}))
    graph.close()
    assert graph.requests() == {"shop -> bank (virtual_node)": 1}
    assert (graph.observed("client"), graph.observed("server")) == ({0.3: 1}, {})
    assert graph.labels()[0]["virtual_node"] == "server"
    assert graph.used == {"t": 1}


def test_a_root_server_is_called_by_the_user_measured_on_its_side_only() -> None:
    graph = Graph(enable_virtual_node_label=True)
    graph.push(half("shop", SERVER, 1, duration_s=0.3))
    graph.close()
    assert graph.requests() == {"user -> shop (virtual_node)": 1}
    assert (graph.observed("client"), graph.observed("server")) == ({}, {0.3: 1})
    assert graph.labels()[0]["virtual_node"] == "client"


def test_a_root_servers_peer_attribute_names_its_caller() -> None:
    graph = Graph()
    graph.push(half("shop", SERVER, 1, attrs={"peer.service": "phone"}))
    graph.close()
    assert graph.requests() == {"phone -> shop (virtual_node)": 1}


def test_no_virtual_edge_comes_of_a_client_without_a_peer_or_a_server_with_a_parent() -> None:
    graph = Graph()
    graph.push(
        half("shop", CLIENT, 1, 9, attrs={"peer.service": ""}),
        half("cart", SERVER, 2, 8, attrs={"peer.service": "phone"}),
    )
    graph.close()
    assert graph.requests() == {}
    assert graph.discarded == {("t", "unpaired_client"): 1, ("t", "unpaired_server"): 1}


def test_every_server_of_a_client_is_an_edge() -> None:
    graph = Graph()
    graph.push(half("a", CONSUMER, 2, 1), half("b", CONSUMER, 3, 1))
    graph.push(half("queue", PRODUCER, 1, 9), half("b", CONSUMER, 4, 1))
    assert graph.requests() == {
        "queue -> a (messaging_system)": 1,
        "queue -> b (messaging_system)": 2,
    }
    assert graph.used == {"t": 4}
    assert graph.edges == {"messaging_system": 3}


def test_a_repeated_half_is_ignored() -> None:
    graph = Graph()
    graph.push(SHOP_TO_CART, SHOP_TO_CART, CART_OF_SHOP, CART_OF_SHOP)
    graph.push(CART_OF_SHOP, SHOP_TO_CART, time_ms=9_999)
    assert graph.requests() == {"shop -> cart": 1}
    assert graph.discarded == {("t", "repeated"): 4}
    graph.push(SHOP_TO_CART, CART_OF_SHOP, time_ms=10_000)
    assert graph.requests() == {"shop -> cart": 2}


@pytest.mark.parametrize(
    ("client", "server"), [(PRODUCER, CONSUMER), (PRODUCER, SERVER), (CLIENT, CONSUMER)]
)
@pytest.mark.parametrize("reverse", [False, True])
def test_an_edge_is_messaging_when_either_side_is(client: int, server: int, reverse: bool) -> None:
    graph = Graph()
    halves = [half("a", client, 1, 9), half("b", server, 2, 1)]
    graph.push(*(reversed(halves) if reverse else halves))
    assert graph.requests() == {"a -> b (messaging_system)": 1}


def test_time_in_transit_is_observed_for_messages_where_it_is_positive() -> None:
    sent, second = START_NS + 50_000_000, 1_000_000_000
    for start, observed in [(sent + second, {1.0: 1}), (sent, {}), (sent - second, {})]:
        graph = Graph(enable_messaging_system_latency_histogram=True)
        received = half("b", CONSUMER, 2, 1, start_time_unix_nano=start)
        graph.push(half("a", PRODUCER, 1, 9), received)
        assert graph.observed("messaging_system") == observed
    graph = Graph(enable_messaging_system_latency_histogram=True)
    graph.push(half("a", CLIENT, 1, 9), half("b", SERVER, 2, 1, start_time_unix_nano=sent + second))
    assert graph.observed("messaging_system") == {}


def test_a_call_of_a_database_is_an_edge_at_once_with_the_clients_time_on_both_sides() -> None:
    graph = Graph()
    graph.push(DATABASE_CALL)
    assert graph.requests() == {"shop -> db1 (database)": 1}
    assert (graph.observed("client"), graph.observed("server")) == ({0.3: 1}, {0.3: 1})
    assert (graph.used, graph.processor.pending()) == ({"t": 1}, 0)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_databases_own_span_makes_no_second_edge(reverse: bool) -> None:
    graph = Graph()
    halves = [DATABASE_CALL, half("mysqld", SERVER, 2, 1, status=2)]
    graph.push(*(reversed(halves) if reverse else halves))
    graph.close()
    assert graph.requests() == {"shop -> db1 (database)": 1}
    assert graph.discarded == {("t", "database_server"): 1}
    assert graph.failed() == (1 if reverse else 0)


@pytest.mark.parametrize(
    ("attrs", "node"),
    [
        ({"db.system": "mysql"}, "mysql"),
        ({"db.system": "mysql", "db.name": "orders"}, "orders"),
        ({"db.namespace": "ns", "db.name": "orders"}, "ns"),
        ({"db.name": "o", "network.peer.address": "10.0.0.1"}, "10.0.0.1"),
        (
            {"db.name": "o", "network.peer.address": "10.0.0.1", "network.peer.port": 33},
            "10.0.0.1:33",
        ),
        ({"db.name": "o", "server.address": "db1", "network.peer.address": "10.0.0.1"}, "db1"),
        ({"db.name": "o", "server.address": "db1", "peer.service": "pg"}, "pg"),
    ],
)
def test_a_database_is_named_by_what_says_most(attrs: dict[str, str], node: str) -> None:
    graph = Graph()
    graph.push(half("shop", CLIENT, 1, 9, attrs=attrs))
    assert graph.requests() == {f"shop -> {node} (database)": 1}


def test_spans_of_other_kinds_and_without_a_service_are_discarded_by_reason() -> None:
    graph = Graph()
    graph.push(
        half("shop", INTERNAL, 1),
        half(None, CLIENT, 2, 9),
        half("", SERVER, 3, 9),
        half("", CLIENT, 4),
    )
    assert graph.discarded == {("t", "span_kind"): 1, ("t", "no_service_name"): 3}
    assert graph.processor.pending() == 0


def test_an_edge_with_text_that_is_not_utf8_is_discarded_and_no_other() -> None:
    graph = Graph(dimensions=("zone",))
    graph.push(
        SHOP_TO_CART,
        CART_OF_SHOP,
        half("shop", CLIENT, 3, 9, attrs={"zone": WILD}),
        half("cart", SERVER, 4, 3),
        half("shop", CLIENT, 5, 9, attrs={"db.name": WILD}),
    )
    assert graph.requests() == {"shop -> cart": 1}
    assert (graph.used, graph.discarded) == ({"t": 2}, {("t", "invalid_utf8"): 3})


@pytest.mark.parametrize("batches", [1, 2])
def test_a_client_is_used_or_not_by_its_first_edge(batches: int) -> None:
    graph = Graph(dimensions=("zone",))
    wild = half("cart", SERVER, 2, 1, attrs={"zone": WILD})
    records = [GraphRecord([SHOP_TO_CART, wild]), GraphRecord([half("pay", SERVER, 3, 1)])]
    for batch in [records] if batches == 1 else [records[:1], records[1:]]:
        graph.push_batch(batch)
    assert graph.requests() == {"shop -> pay": 1}
    assert (graph.used, graph.discarded) == ({"t": 1}, {("t", "invalid_utf8"): 2})


def test_dimensions_come_of_the_side_that_came_last_unless_it_has_none() -> None:
    graph = Graph(dimensions=("zone",))
    graph.push(
        half("shop", CLIENT, 1, 9, attrs={"zone": "a"}),
        half("cart", SERVER, 2, 1, attrs={"zone": "b"}),
        half("shop", CLIENT, 3, 9, resource={"zone": "c"}),
        half("cart", SERVER, 4, 3),
    )
    assert sorted(labels["zone"] for labels in graph.labels()) == ["b", "c"]


def test_with_prefixes_each_side_has_its_dimensions() -> None:
    graph = Graph(dimensions=("zone", "client"), enable_client_server_prefix=True)
    graph.push(
        half("shop", CLIENT, 1, 9, attrs={"zone": "a"}),
        half("cart", SERVER, 2, 1, attrs={"zone": "b", "client": "web"}),
    )
    assert graph.labels() == [
        {
            "client": "shop",
            "server": "cart",
            "client_zone": "a",
            "server_zone": "b",
            "server_client": "web",
        }
    ]


def test_a_dimension_named_as_a_builtin_label_gets_underscores() -> None:
    graph = Graph(dimensions=("client",))
    graph.push(half("shop", CLIENT, 1, 9, attrs={"client": "web"}), CART_OF_SHOP)
    assert graph.labels() == [{"client": "shop", "server": "cart", "__client": "web"}]


def test_what_is_forgotten_is_counted_and_makes_no_edge() -> None:
    graph = Graph()
    graph.push(half("shop", SERVER, 1), SHOP_TO_CART)
    graph.push(half("cart", SERVER, 7, 8), lane=1)
    graph.forget()
    assert graph.requests() == {}
    assert graph.discarded == Counter({("t", "forgotten_server"): 1, ("t", "forgotten_client"): 1})
    assert graph.processor.pending() == 1


def test_a_lane_without_spans_comes_to_an_end_as_well() -> None:
    graph = Graph()
    graph.forget()
    graph.close()
    graph.advance(99)
    assert (graph.discarded, graph.requests()) == ({}, {})


def test_columns_are_freed_when_their_halves_are_forgotten() -> None:
    graph = Graph(wait="1s")
    for moment in range(50):
        graph.push(
            half("shop", CLIENT, 1, 9, trace=moment + 1),
            half("cart", SERVER, 2, 1, trace=moment + 1),
            time_ms=moment * 1_000,
        )
    assert graph.requests() == {"shop -> cart": 50}
    assert len(graph.store) <= 4


@pytest.mark.parametrize("reverse", [False, True])
def test_a_server_without_a_name_lends_a_client_its_error_time_and_dimensions(
    reverse: bool,
) -> None:
    graph = Graph(dimensions=("zone",))
    client = half("shop", CLIENT, 1, 9, duration_s=0.3, attrs={"peer.service": "bank"})
    server = half("", SERVER, 2, 1, duration_s=0.2, status=2, attrs={"zone": "a"})
    graph.push(*((server, client) if reverse else (client, server)))
    assert (graph.discarded, graph.processor.pending()) == ({("t", "no_service_name"): 1}, 1)
    graph.close()
    assert graph.requests() == {"shop -> bank (virtual_node)": 1}
    assert (graph.observed("client"), graph.observed("server")) == ({0.3: 1}, {0.2: 1})
    assert (graph.failed(), graph.labels()[0]["zone"], graph.used) == (1, "a", {"t": 1})


def test_a_server_without_a_name_says_nothing_where_the_client_has_another() -> None:
    graph = Graph()
    graph.push(half("", SERVER, 3, 1, status=2), SHOP_TO_CART, CART_OF_SHOP)
    assert (graph.requests(), graph.failed()) == ({"shop -> cart": 1}, 0)
    graph.push(half("", SERVER, 4, 5, status=2), half("shop", CLIENT, 5, attrs={"db.name": "pg"}))
    assert (graph.requests(), graph.failed()) == (
        {"shop -> cart": 1, "shop -> pg (database)": 1},
        1,
    )
