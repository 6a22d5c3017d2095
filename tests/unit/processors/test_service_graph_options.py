"""What each option of service graphs changes."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from processors.service_graphs import CONNECTION_INFO
from tests.support.graphs import CLIENT, CONSUMER, PRODUCER, SERVER, WILD, Graph, GraphRecord, half
from tests.support.otlp import START_NS

SHOP_TO_CART = half("shop", CLIENT, 1, 9, duration_s=0.3)
CART_OF_SHOP = half("cart", SERVER, 2, 1, duration_s=0.2)
BANK = {"peer.service": "bank"}


def without(*services: str) -> dict[str, Any]:
    """A policy that leaves out the spans of ``services``."""
    key = "resource.service.name"
    blocks = [
        {"match_type": "strict", "attributes": [{"key": key, "value": service}]}
        for service in services
    ]
    return {"filter_policies": [{"exclude": block} for block in blocks]}


def links(*names: tuple[int, int]) -> list[Span.Link]:
    """Links to (trace, span) each."""
    return [
        Span.Link(trace_id=trace.to_bytes(16, "big"), span_id=span.to_bytes(8, "big"))
        for trace, span in names
    ]


def received(*names: tuple[int, int], **fields: Any) -> ResourceSpans:
    """A consumer of trace 2, without a parent, that links producers."""
    return half("mail", CONSUMER, 5, trace=2, links=links(*names), **fields)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_server_whose_client_is_filtered_is_dropped_and_not_unpaired(reverse: bool) -> None:
    graph = Graph(**without("shop"))
    halves = [SHOP_TO_CART, CART_OF_SHOP]
    graph.push(*(reversed(halves) if reverse else halves))
    graph.push(half("pay", SERVER, 3, 1), time_ms=9_999)
    assert graph.discarded == {
        ("t", "service_graphs_filtered"): 1,
        ("t", "counterpart_filtered"): 2,
    }
    graph.close()
    assert (graph.requests(), graph.processor.pending()) == ({}, 0)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_client_whose_server_is_filtered_becomes_no_virtual_edge(reverse: bool) -> None:
    graph = Graph(**without("cart"))
    halves = [half("shop", CLIENT, 1, 9, attrs=BANK), CART_OF_SHOP]
    graph.push(*(reversed(halves) if reverse else halves))
    graph.close()
    assert graph.requests() == {}
    assert graph.discarded == {
        ("t", "service_graphs_filtered"): 1,
        ("t", "counterpart_filtered"): 1,
    }


@pytest.mark.parametrize("order", ["abc", "acb", "bac", "bca", "cab", "cba"])
def test_a_client_whose_one_server_is_filtered_pairs_with_the_other(order: str) -> None:
    graph = Graph(**without("cart"))
    halves = {"a": SHOP_TO_CART, "b": CART_OF_SHOP, "c": half("pay", SERVER, 3, 1)}
    graph.push(*(halves[name] for name in order))
    graph.close()
    assert graph.requests() == {"shop -> pay": 1}


def test_a_filtered_root_server_leaves_no_marker() -> None:
    graph = Graph(**without("cart"))
    graph.push(half("cart", SERVER, 2))
    assert (len(graph.store), graph.discarded) == (0, {("t", "service_graphs_filtered"): 1})


def test_filtered_spans_that_there_is_no_room_to_remember_are_told_from_the_others() -> None:
    graph = Graph(max_items=1, **without("shop"))
    graph.push(SHOP_TO_CART, half("shop", CLIENT, 3, 9), half("shop", CLIENT, 1, 9))
    assert graph.discarded == {
        ("t", "service_graphs_filtered"): 2,
        ("t", "filter_marker_overflow"): 1,
    }
    graph.push(half("cart", SERVER, 4, 3))
    graph.push(CART_OF_SHOP)
    assert graph.discarded["t", "counterpart_filtered"] == 1
    assert graph.processor.pending() == 1


def test_markers_are_forgotten_after_the_wait() -> None:
    graph = Graph(**without("shop"))
    graph.push(SHOP_TO_CART)
    graph.push(CART_OF_SHOP, time_ms=10_000)
    assert graph.processor.pending() == 1


def test_filters_see_no_span_that_is_no_half() -> None:
    graph = Graph(**without("shop"))
    graph.push(half("shop", 1, 1), half(None, CLIENT, 2, 9), half("", CLIENT, 3, 9))
    assert graph.discarded == {("t", "span_kind"): 1, ("t", "no_service_name"): 2}


@pytest.mark.parametrize(("reverse", "weight"), [(False, 4), (True, 2)])
def test_an_edge_weighs_what_its_last_half_weighs(reverse: bool, weight: int) -> None:
    graph = Graph(span_multiplier_key="ratio", enable_messaging_system_latency_histogram=True)
    later = START_NS + 1_050_000_000
    halves = [
        half("shop", PRODUCER, 1, 9, attrs={"ratio": 0.5}, status=2),
        half("cart", CONSUMER, 2, 1, attrs={"ratio": 0.25}, start_time_unix_nano=later),
    ]
    graph.push(*(reversed(halves) if reverse else halves))
    assert graph.requests() == {"shop -> cart (messaging_system)": weight}
    assert graph.failed() == weight
    assert graph.observed("messaging_system") == {1.0 * weight: weight}
    assert graph.observed("client") == {0.05 * weight: weight}
    assert graph.edges == {"messaging_system": 1}


def test_weights_of_calls_of_databases_and_of_virtual_edges_are_those_of_their_half() -> None:
    graph = Graph(span_multiplier_key="ratio")
    graph.push(
        half("shop", CLIENT, 1, 9, attrs={"ratio": 0.5, "db.name": "orders"}),
        half("shop", SERVER, 2, attrs={"ratio": 0.1}),
        half("shop", CLIENT, 3, 9, attrs=BANK),
    )
    graph.close()
    assert graph.requests() == {
        "shop -> orders (database)": 2,
        "user -> shop (virtual_node)": 10,
        "shop -> bank (virtual_node)": 1,
    }


def test_each_part_has_its_families() -> None:
    prefix = "traces_service_graph_"
    expected = {
        "request": {"request_total", "request_failed_total"},
        "latency": {"request_client_seconds", "request_server_seconds"},
        CONNECTION_INFO: {"connection_info"},
    }
    for part, families in expected.items():
        graph = Graph(parts=[part])
        graph.push(half("shop", CLIENT, 1, 9, status=2), CART_OF_SHOP)
        graph.push(half("shop", CLIENT, 3, 9), half("cart", SERVER, 4, 3))
        assert graph.families() == {prefix + family for family in families}
        assert graph.used == {"t": 4}


def test_an_attribute_called_virtual_node_fills_the_label_of_that_name() -> None:
    halves = [half("shop", CLIENT, 1, 9, attrs={"virtual_node": "yes"}), CART_OF_SHOP]
    root = half("cart", SERVER, 5, attrs={"virtual_node": "no"})
    graph = Graph(enable_virtual_node_label=True)
    graph.push(*halves, root)
    graph.close()
    assert [labels["virtual_node"] for labels in graph.labels()] == ["yes", "client"]
    graph = Graph(enable_virtual_node_label=True, enable_client_server_prefix=True)
    graph.push(*halves, root)
    graph.close()
    assert [labels.get("virtual_node") for labels in graph.labels()] == [None, "client"]


def test_two_dimensions_of_one_label_name_give_the_last_that_is_not_empty() -> None:
    graph = Graph(dimensions=("http.method", "http_method", "zone", "zone"))
    graph.push(half("shop", CLIENT, 1, 9, attrs={"http.method": "GET", "http_method": ""}))
    graph.push(CART_OF_SHOP)
    assert graph.labels() == [{"client": "shop", "server": "cart", "http_method": "GET"}]


@pytest.mark.parametrize(
    ("order", "node"),
    [
        (("database",), "orders"),
        (("server.address", "database"), "db1"),
        (("db.collection.name", "database", "server.address"), "orders"),
        (("network.peer.address",), "10.0.0.1:33"),
        ((), "orders"),
    ],
)
def test_the_order_in_which_a_database_is_named_can_be_chosen(
    order: tuple[str, ...], node: str
) -> None:
    graph = Graph(database_name_order=order)
    attributes = {
        "db.name": "orders",
        "server.address": "db1",
        "network.peer.address": "10.0.0.1",
        "network.peer.port": 33,
    }
    graph.push(half("shop", CLIENT, 1, 9, attrs=attributes))
    assert graph.requests() == {f"shop -> {node} (database)": 1}


def test_the_unknown_caller_can_have_another_name() -> None:
    graph = Graph(unknown_client_name="internet")
    graph.push(half("shop", SERVER, 1))
    graph.close()
    assert graph.requests() == {"internet -> shop (virtual_node)": 1}


def test_spans_that_made_no_edge_are_counted_for_their_service_with_the_reason() -> None:
    graph = Graph(enable_unpaired_spans_metric=True, max_items=3, **without("gone"))
    graph.push(
        half("shop", CLIENT, 1, 9),
        half("shop", PRODUCER, 2, 9),
        half("cart", SERVER, 3, 8),
        half("cart", CONSUMER, 4, 8),
        half("gone", CLIENT, 5, 9),
        half("cart", SERVER, 6, 5),
        half("shop", CLIENT, 7, 9, attrs={"db.name": "pg"}),
        half("pg", SERVER, 8, 7),
        half(WILD, SERVER, 10, 5),
        half("cart", SERVER, 10, 5),
    )
    graph.close()
    assert graph.unpaired() == {
        ("client=shop", "reason=store_full_client"): 1,
        ("client=shop", "reason=unpaired_producer"): 1,
        ("server=cart", "reason=unpaired_server"): 1,
        ("server=cart", "reason=unpaired_consumer"): 1,
        ("server=cart", "reason=counterpart_filtered"): 1,
        ("server=pg", "reason=database_server"): 1,
    }


def test_unpaired_spans_are_not_told_unless_asked_for() -> None:
    graph = Graph()
    graph.push(half("shop", CLIENT, 1, 9))
    graph.close()
    assert graph.families() == set()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("trace", [1, 2])
def test_a_consumer_that_links_a_producer_is_an_edge(reverse: bool, trace: int) -> None:
    graph = Graph(enable_span_links=True)
    parts = [half("shop", PRODUCER, 1, 9, trace=trace), received((trace, 1))]
    for part in reversed(parts) if reverse else parts:
        graph.push(part)
    graph.close()
    assert graph.requests() == {"shop -> mail (messaging_system)": 1}
    assert (graph.used, graph.discarded) == ({"t": 2}, {})


def test_each_distinct_link_is_an_edge() -> None:
    graph = Graph(enable_span_links=True)
    graph.push(received((1, 1), (1, 3), (1, 1), (1, 7)))
    graph.push(half("shop", PRODUCER, 1, 9), half("pay", PRODUCER, 3, 9))
    graph.close()
    assert graph.requests() == {
        "shop -> mail (messaging_system)": 1,
        "pay -> mail (messaging_system)": 1,
    }
    assert (graph.used, graph.discarded) == ({"t": 3}, {})


def test_a_link_to_the_parent_is_the_same_edge() -> None:
    graph = Graph(enable_span_links=True)
    consumer = half("mail", CONSUMER, 5, 1, links=links((1, 1), (2, 3)))
    graph.push(half("shop", PRODUCER, 1, 9), consumer, half("pay", PRODUCER, 3, trace=2))
    assert graph.requests() == {
        "shop -> mail (messaging_system)": 1,
        "pay -> mail (messaging_system)": 1,
    }
    assert graph.used == {"t": 3}


def test_only_links_of_consumers_to_producers_count_and_only_when_asked_for() -> None:
    graph = Graph(enable_span_links=True)
    graph.push(
        half("shop", CLIENT, 1, 9),
        half("pay", PRODUCER, 3, 9),
        received((1, 1)),
        half("mail", SERVER, 6, 8, links=links((1, 3))),
    )
    assert (graph.requests(), graph.processor.pending()) == ({}, 4)
    graph = Graph()
    graph.push(half("pay", PRODUCER, 3, 9), received((1, 3)))
    assert (graph.requests(), graph.processor.pending()) == ({}, 2)


def test_a_repeated_consumer_links_nothing_anew() -> None:
    graph = Graph(enable_span_links=True)
    graph.push(half("shop", PRODUCER, 1, 9), received((1, 1)), received((1, 1)))
    assert graph.requests() == {"shop -> mail (messaging_system)": 1}
    assert graph.discarded == {("t", "repeated"): 1}


def test_an_edge_by_a_link_with_text_that_is_not_utf8_is_discarded() -> None:
    graph = Graph(enable_span_links=True, dimensions=("zone",))
    graph.push(half("shop", PRODUCER, 1, 9, attrs={"zone": WILD}), received((1, 1)))
    assert (graph.requests(), graph.used) == ({}, {})
    assert graph.discarded == {("t", "invalid_utf8"): 2}
    graph.push(received((1, 1), (3, 1)), half("pay", PRODUCER, 1, 9, trace=3), time_ms=1)
    assert graph.discarded == {("t", "invalid_utf8"): 2, ("t", "repeated"): 1}


def test_a_tenant_that_moves_keeps_what_waits() -> None:
    first = Graph(dimensions=("zone",), span_multiplier_key="ratio")
    graph = Graph(store=first.store, dimensions=("place",), unknown_client_name="nobody")
    first.push(half("shop", CLIENT, 1, 9, attrs={"zone": "a", "place": "x", "ratio": 0.1}))
    first.push(half("web", SERVER, 4), half("web", CLIENT, 6, attrs=BANK))
    assert (first.processor.pending(), graph.processor.pending()) == (3, 0)
    graph.push(
        half("cart", SERVER, 2, 1, attrs={"zone": "b", "place": "y"}), half("api", SERVER, 7)
    )
    assert (first.processor.pending(), graph.processor.pending()) == (2, 1)
    assert graph.labels() == [{"client": "shop", "server": "cart", "place": "y"}]
    assert graph.requests() == {"shop -> cart": 1}
    first.close()
    graph.advance(10_000)
    assert first.requests() == {"user -> web (virtual_node)": 1, "web -> bank (virtual_node)": 1}
    assert graph.requests() == {"shop -> cart": 1, "nobody -> api (virtual_node)": 1}
    assert (first.processor.pending(), graph.processor.pending()) == (0, 0)


def test_each_graph_waits_and_keeps_as_much_as_it_is_told() -> None:
    first = Graph(wait="2s", max_items=1)
    graph = Graph(store=first.store, wait="5s", max_items=2)
    first.push(SHOP_TO_CART)
    graph.push(half("pay", CLIENT, 3, 9), half("pay", CLIENT, 4, 9))
    assert first.discarded == {}
    assert graph.discarded == {("t", "store_full_client"): 1}
    assert (first.processor.pending(), graph.processor.pending()) == (0, 2)
    first.advance(2_000)
    graph.advance(4_999)
    assert graph.processor.pending() == 2
    graph.advance(5_000)
    assert graph.discarded["t", "unpaired_client"] == 2


def test_a_graph_that_is_gone_leaves_nothing_behind() -> None:
    graph = Graph()
    for trace in range(1, 20):
        other = Graph(store=graph.store, dimensions=("zone",))
        client = half("shop", CLIENT, 1, 9, trace=trace, attrs={"zone": "a"})
        other.push(client, half("cart", SERVER, 2, 1, trace=trace), lane=3)
        assert other.processor.pending() == 0
        del other
    graph.push_batch([GraphRecord([SHOP_TO_CART], time_ms=1)])
    assert graph.processor.pending() == 1
    assert len(graph.store) <= 3
