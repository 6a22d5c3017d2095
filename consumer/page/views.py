"""What the page shows, as plain values: the bodies of ``/api/v1``.

Rates are per second, durations in seconds, shares from 0 to 1; NaN (JSON null) is "not known".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumer.page.board import Board, Names
from consumer.page.graph import EdgeKey, Layouts, Link, Node, link_of
from consumer.page.layers import Layout
from consumer.page.quantiles import quantile
from consumer.page.tenant import TenantTraffic

View = dict[str, Any]


def traffic_view(traffic: TenantTraffic, layouts: Layouts) -> View:
    """A tenant: its totals, operations and graph, the busiest first."""
    rate, failed = traffic.rates
    seconds = traffic.rhythm.seconds
    totals = traffic.totals / seconds[:, np.newaxis]
    known = ~np.isnan(seconds)
    return {
        "time_ms": traffic.time_ms,
        "window_seconds": round(float(np.nansum(seconds[-traffic.rhythm.window :])), 3),
        "series": traffic.series,
        "rate": rate,
        "error_share": _share(rate, failed, has_failures=traffic.has_status),
        "history": {
            "times_ms": traffic.rhythm.times_ms[known],
            "rate": _rounded(totals[known, 0]),
            "failed_rate": _rounded(totals[known, 1]),
        },
        **_operations(traffic),
        **_graph(traffic, layouts),
    }


def _operations(traffic: TenantTraffic) -> View:
    board = traffic.operations
    figures = _Figures(board, traffic.rhythm.seconds)
    p50, p95 = (quantile(share, board.bounds, board.measured()) for share in (0.5, 0.95))
    rows = []
    for slot, names in _slots(board):
        service, span_name, span_kind, overflow = names
        rows.append(
            {
                "service": service,
                "span_name": span_name,
                "span_kind": span_kind,
                "overflow": bool(overflow),
                **figures.of(slot, has_failures=traffic.has_status),
                "p50_seconds": float(p50[slot]),
                "p95_seconds": float(p95[slot]),
            }
        )
    return {"operations": rows, "operations_left_out": board.groups - len(rows)}


def _graph(traffic: TenantTraffic, layouts: Layouts) -> View:
    board = traffic.edges
    figures = _Figures(board, traffic.rhythm.seconds)
    counts, sums = board.measured().T if len(board.bounds) else np.zeros((2, len(board.names)))
    means = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    links: list[tuple[Link, View]] = []
    overflow = 0
    for slot, names in _slots(board):
        *labels, is_overflow = names
        if is_overflow:
            overflow += 1
            continue
        view = {**figures.of(slot), "mean_seconds": float(means[slot])}
        links.append((link_of(EdgeKey(*labels), traffic.services), view))
    layout = layouts.of([(link, view["rate"]) for link, view in links])
    return {
        "nodes": _nodes(links, layout),
        "edges": [
            {
                "client": link.client.name,
                "client_kind": link.client.kind,
                "server": link.server.name,
                "server_kind": link.server.kind,
                "connection_type": link.connection_type,
                **view,
                "path": layout.paths[link.client, link.server],
            }
            for link, view in links
        ],
        "edges_left_out": board.groups - len(links) - overflow,
        "layers": layout.size[0],
        "rooms": layout.size[1],
    }


def _nodes(links: Iterable[tuple[Link, View]], layout: Layout[Node]) -> list[View]:
    """What each node is asked; of one that nobody asks, what it asks others."""
    asked = {node: [0.0, 0.0] for node in layout.places}
    asks = {node: [0.0, 0.0] for node in layout.places}
    for link, view in links:
        for sums in (asked[link.server], asks[link.client]):
            sums[0] += view["rate"]
            sums[1] += view["rate"] * view["error_share"]
    nodes = []
    for node, (layer, place) in layout.places.items():
        rate, failed = asked[node] if asked[node][0] else asks[node]
        share = _share(rate, failed)
        view = {"name": node.name, "kind": node.kind, "rate": rate, "error_share": share}
        nodes.append({**view, "layer": layer, "place": place})
    return nodes


class _Figures:
    """Rate, failures and history of a board's slots."""

    def __init__(self, board: Board, seconds: NDArray[np.float64]) -> None:
        known = ~np.isnan(seconds)
        per_second = board.history[known] / seconds[known, np.newaxis, np.newaxis]
        self._history = _rounded(per_second)
        self._rates = board.rates()

    def of(self, slot: int, *, has_failures: bool = True) -> View:
        """The figures of one slot."""
        rate, failed = self._rates[slot].tolist()
        return {
            "rate": rate,
            "error_share": _share(rate, failed, has_failures=has_failures),
            "history": np.ascontiguousarray(self._history[:, slot, 0]),
            "failed_history": np.ascontiguousarray(self._history[:, slot, 1]),
        }


def _slots(board: Board) -> Iterable[tuple[int, Names]]:
    for slot in board.followed().tolist():
        names = board.names[slot]
        if names is not None:
            yield slot, names


def _share(rate: float, failed: float, *, has_failures: bool = True) -> float | None:
    if not has_failures:
        return None
    return failed / rate if rate else 0.0


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Three decimals are enough to draw."""
    return np.asarray(np.round(values, 3))
