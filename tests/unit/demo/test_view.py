from __future__ import annotations

import math

import pytest
from rich.console import Console, RenderableType

from consumer.demo.report import EdgeRow, OperationRow, TenantReport
from consumer.demo.view import (
    MIN_ROWS,
    Head,
    final_summary,
    live_view,
    share_rows,
    summary_line,
    tree_lines,
)

HEAD = Head(
    uptime_s=12.3,
    written_rate=412.0,
    processed_rate=409.6,
    written=5000,
    processed=4900,
    lag_records=17,
    ticks=6,
    page="http://127.0.0.1:8080/",
    otlp_address="http://127.0.0.1:4318",
)


def edge(client: str, server: str, connection_type: str = "", rate: float = 1.0) -> EdgeRow:
    return EdgeRow(client, server, connection_type, rate, 0.0, 0.01)


def operation(name: str, kind: str = "SPAN_KIND_SERVER") -> OperationRow:
    return OperationRow("cart", name, kind, 12.3, 0.061, 0.0042, 1.5)


def make_report(
    operations: int = 1, edges: tuple[EdgeRow, ...] = (), tenant: str = "acme"
) -> TenantReport:
    return TenantReport(
        tenant=tenant,
        operations=[operation(f"GET /{number}") for number in range(operations)],
        edges=list(edges),
        calls=1234,
        window_s=30,
        series=77,
        samples=700,
    )


def text_of(renderable: RenderableType, width: int = 140) -> str:
    console = Console(width=width, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_the_head_tells_rates_lag_ticks_and_where_to_send_spans() -> None:
    text = text_of(live_view(HEAD, {}, height=40, width=140))
    for part in ("412 spans/s written", "410 spans/s processed", "lag 17", "ticks 6", "up 12 s"):
        assert part in text
    assert "http://127.0.0.1:4318" in text
    assert "look at http://127.0.0.1:8080/" in text
    assert "waiting for the first metrics" in text


@pytest.mark.parametrize("width", [80, 140])
def test_a_tenant_shows_its_operations_and_edges(width: int) -> None:
    report = make_report(1, (edge("web", "cart"), edge("cart", "pg", "database")))
    text = text_of(live_view(HEAD, {"acme": report}, height=40, width=width), width)
    for part in ("acme", "cart GET /0", "12.3", "6.1%", "4.2 ms", "1.50 s", "├─ pg ◆", "10.0 ms"):
        assert part.replace("├", "└") in text.replace("├", "└")


@pytest.mark.parametrize(("width", "height"), [(80, 30), (140, 24), (200, 60)])
def test_it_fits_the_terminal_and_says_what_is_left_out(width: int, height: int) -> None:
    edges = tuple(edge("web", f"service-{number}") for number in range(60))
    reports = {name: make_report(60, edges) for name in ("acme", "globex")}
    text = text_of(live_view(HEAD, reports, height=height, width=width), width)
    assert len(text.splitlines()) <= height
    assert "more" in text


def test_what_was_not_observed_has_no_number() -> None:
    report = make_report()
    report.operations[0] = OperationRow("cart", "GET /", "SPAN_KIND_INTERNAL", 1, 0, math.nan, 0)
    text = text_of(final_summary({"acme": report}))
    assert "nan" not in text
    assert "internal" in text


def test_the_summary_line_is_one_line_with_every_tenant() -> None:
    reports = {"acme": make_report(3), "globex": make_report(1, (edge("a", "b"),), "globex")}
    line = summary_line(HEAD, reports)
    assert "\n" not in line
    assert "acme: 37 spans/s, 6.1% errors, 3 operations, 0 edges" in line
    assert "globex: 12 spans/s, 6.1% errors, 1 operations, 1 edges" in line
    assert summary_line(HEAD, {}).endswith("no metrics yet")


def test_the_graph_is_a_tree_from_the_clients_that_nobody_calls() -> None:
    edges = [
        edge("user", "web", "virtual_node"),
        edge("web", "cart"),
        edge("web", "auth"),
        edge("cart", "pg", "database"),
        edge("auth", "pg", "database"),
    ]
    assert [line.text for line in tree_lines(edges)] == [
        "user",
        "└─ web ◌",
        "   ├─ cart",
        "   │  └─ pg ◆",
        "   └─ auth",
        "      └─ pg ◆",
    ]


def test_every_edge_is_in_the_tree_once_even_in_circles() -> None:
    edges = [edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("c", "c"), edge("x", "b")]
    lines = tree_lines(edges)
    assert sorted(str(line.edge) for line in lines if line.edge) == sorted(map(str, edges))
    assert any(line.text.endswith("↺") for line in lines)


def test_a_graph_that_is_only_a_circle_is_shown() -> None:
    assert [line.text for line in tree_lines([edge("a", "b"), edge("b", "a")])] == [
        "a",
        "└─ b",
        "   └─ a ↺",
    ]


def test_rows_that_one_tenant_does_not_need_go_to_the_others() -> None:
    assert share_rows([50, 8], 40) == [32, 8]
    assert share_rows([50, 60, 5], 40) == [17, 18, 5]
    assert share_rows([3, 3], 40) == [3, 3]
    assert share_rows([9, 9], 2) == [MIN_ROWS, MIN_ROWS]
