import pytest

from consumer.page.graph import EdgeKey, Layouts, Link, Node, link_of

SERVICES = {"web", "shop"}


def ends(client: str, server: str, connection_type: str = "", side: str = "") -> tuple[str, str]:
    link = link_of(EdgeKey(client, server, connection_type, side), SERVICES)
    return link.client.kind, link.server.kind


def test_a_request_is_between_services() -> None:
    assert ends("web", "shop") == ("service", "service")
    assert ends("web", "shop", "messaging_system") == ("service", "service")


def test_a_database_is_another_node_than_a_service_of_its_name() -> None:
    assert ends("web", "shop", "database") == ("service", "database")


def test_the_side_that_sent_no_spans_is_virtual() -> None:
    assert ends("phone", "web", "virtual_node") == ("virtual", "service")
    assert ends("web", "stripe.com", "virtual_node") == ("service", "virtual")


def test_the_label_says_which_side_is_virtual() -> None:
    assert ends("web", "shop", "virtual_node", "client") == ("virtual", "service")
    assert ends("web", "shop", "virtual_node", "server") == ("service", "virtual")


@pytest.mark.parametrize(
    ("client", "kinds"),
    [("user", ("virtual", "service")), ("unknown", ("service", "virtual"))],
)
def test_without_span_metrics_the_name_of_unknown_clients_tells(
    client: str, kinds: tuple[str, str]
) -> None:
    assert ends(client, "elsewhere", "virtual_node") == kinds


def test_a_graph_stays_where_it_is_while_its_edges_stay() -> None:
    layouts = Layouts()
    links = [Link(Node("a", "service"), Node(name, "service"), "") for name in "bcd"]
    first = layouts.of([(link, 1.0) for link in links])
    assert layouts.of([(link, 9.0) for link in reversed(links)]) is first
    assert layouts.of([(link, 9.0) for link in links[1:]]) is not first


def test_few_layouts_are_kept() -> None:
    layouts = Layouts()
    for number in range(100):
        layouts.of([(Link(Node("a", "service"), Node(str(number), "service"), ""), 1.0)])
    assert len(layouts._kept) <= 32
