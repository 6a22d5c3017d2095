"""What the demo prints: a live view on a terminal, lines elsewhere, and a summary at the end."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from consumer.demo.report import EdgeRow, OperationRow, TenantReport

HEAD_ROWS = 4
FRAME_ROWS = 4
"""A tenant's title, its two headings and the line of what was left out."""
MIN_ROWS = 4
WIDE_COLUMNS = 110
"""From here on operations and edges stand side by side."""
EDGE_MARKS = {"database": "◆", "messaging_system": "✉", "virtual_node": "◌"}
LEGEND = "◆ database   ✉ queue   ◌ sends no spans   ↺ shown above"


@dataclass(frozen=True, slots=True)
class Head:
    """The state of the whole chain; rates are per second over the last few seconds."""

    uptime_s: float
    written_rate: float
    processed_rate: float
    written: int
    processed: int
    lag_records: int
    ticks: int
    page: str
    otlp_address: str
    trouble: str = ""


def live_view(
    head: Head, reports: Mapping[str, TenantReport], *, height: int, width: int
) -> RenderableType:
    """Fill a terminal of that size with everything."""
    panel = Panel(_head_text(head), title="spanmill demo", border_style="cyan")
    if not reports:
        return Group(panel, Text("waiting for the first metrics …", style="dim"))
    room = height - HEAD_ROWS - 1 - len(reports) * FRAME_ROWS
    rows = share_rows([_wanted_rows(report, width) for report in reports.values()], room)
    parts = [
        _tenant_view(report, granted, width)
        for report, granted in zip(reports.values(), rows, strict=True)
    ]
    return Group(panel, *parts, Text(f"{LEGEND}   Ctrl-C ends", style="dim"))


def summary_line(head: Head, reports: Mapping[str, TenantReport]) -> str:
    """One line about everything, for logs."""
    tenants = "; ".join(
        f"{report.tenant}: {report.spans_per_s:.0f} spans/s, {_percent(report.error_share)} errors,"
        f" {len(report.operations)} operations, {len(report.edges)} edges"
        for report in reports.values()
    )
    return (
        f"{head.uptime_s:4.0f} s  wrote {head.written_rate:.0f}/s, processed"
        f" {head.processed_rate:.0f}/s, lag {head.lag_records}, ticks {head.ticks}"
        f"  {tenants or 'no metrics yet'}{f'  {head.trouble}' if head.trouble else ''}"
    )


def final_summary(reports: Mapping[str, TenantReport], rows: int = 8) -> RenderableType:
    """Show each tenant's busiest operations and edges."""
    parts: list[RenderableType] = []
    for report in reports.values():
        title = (
            f"\n{report.tenant}: {report.calls:.0f} spans counted, {report.series} series,"
            f" {report.samples} samples"
        )
        parts += [Text(title, style="bold"), operations_table(report.operations, rows)]
        parts += [Text(""), edges_table(report.edges, rows)]
    return Group(*parts)


def print_to(console: Console, renderable: RenderableType) -> None:
    """Print without wrapping where there is no terminal to wrap for."""
    console.print(renderable, soft_wrap=not console.is_terminal)


def share_rows(wanted: Sequence[int], room: int) -> list[int]:
    """Share the rows of a screen: who wants few gets them, the others the same each."""
    granted = [0] * len(wanted)
    for place, index in enumerate(sorted(range(len(wanted)), key=lambda one: wanted[one])):
        granted[index] = min(wanted[index], max(room // (len(wanted) - place), MIN_ROWS))
        room -= granted[index]
    return granted


def _wanted_rows(report: TenantReport, width: int) -> int:
    operations, lines = len(report.operations), len(tree_lines(report.edges))
    if width < WIDE_COLUMNS:
        return 2 * max(operations, lines) + 4
    return max(operations, lines)


def _head_text(head: Head) -> Text:
    text = Text.assemble(
        (f"{head.written_rate:,.0f}", "bold green"),
        " spans/s written   ",
        (f"{head.processed_rate:,.0f}", "bold green"),
        " spans/s processed   lag ",
        (f"{head.lag_records:,}", "bold red" if head.lag_records > 1000 else "bold"),
        f"   ticks {head.ticks}   up {head.uptime_s:.0f} s\n",
        "look at ",
        (head.page, "bold cyan"),
        "   send your own spans to " if head.otlp_address else "",
        (head.otlp_address, "bold cyan"),
    )
    if head.trouble:
        text.append(f"  {head.trouble}", style="bold red")
    return text


def _tenant_view(report: TenantReport, rows: int, width: int) -> RenderableType:
    title = Text.assemble(
        (f" {report.tenant} ", "bold reverse"),
        f"  {report.spans_per_s:,.0f} spans/s, {_percent(report.error_share)} errors,"
        f" {len(report.operations)} operations, {len(report.edges)} edges,"
        f" {report.series:,} series",
    )
    if width < WIDE_COLUMNS:
        half = max(rows // 2 - 1, 2)
        return Group(
            title, operations_table(report.operations, half), edges_table(report.edges, half)
        )
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    grid.add_row(operations_table(report.operations, rows), edges_table(report.edges, rows))
    return Group(title, grid)


def operations_table(operations: Sequence[OperationRow], rows: int) -> RenderableType:
    """Show the first ``rows`` operations and say how many are left out."""
    table = _table("operation", "rate/s", "errors", "p50", "p95")
    for row in operations[:rows]:
        name = Text.assemble((row.service, "cyan"), f" {row.span_name}")
        if not row.serving:
            name.append(f" {row.span_kind.removeprefix('SPAN_KIND_').lower()}", style="dim")
        table.add_row(
            name,
            f"{row.rate:.1f}",
            _error_text(row.error_share),
            _time(row.p50_s),
            _time(row.p95_s),
        )
    return _with_rest(table, len(operations) - rows)


def edges_table(edges: Sequence[EdgeRow], rows: int) -> RenderableType:
    """Show the service graph as a tree from its roots, at most ``rows`` edges of it."""
    table = _table("service graph", "rate/s", "errors", "mean")
    lines = tree_lines(edges)
    for line in lines[:rows]:
        edge = line.edge
        if edge is None:
            table.add_row(Text(line.text, style="cyan"), "", "", "")
        else:
            table.add_row(
                line.text, f"{edge.rate:.1f}", _error_text(edge.error_share), _time(edge.mean_s)
            )
    return _with_rest(table, len(lines) - rows)


@dataclass(frozen=True, slots=True)
class TreeLine:
    """A line of the tree: a root without an edge, or an edge under its client."""

    text: str
    edge: EdgeRow | None


def tree_lines(edges: Sequence[EdgeRow]) -> list[TreeLine]:
    """Lay the graph out as a tree: every edge once, a server's own edges where it comes first.

    Roots are the clients that nobody calls; what only cycles reach begins at its busiest
    client.
    """
    outgoing: dict[str, list[EdgeRow]] = defaultdict(list)
    for edge in edges:
        outgoing[edge.client].append(edge)
    called = {edge.server for edge in edges if edge.server != edge.client}
    roots = [client for client in outgoing if client not in called]
    lines: list[TreeLine] = []
    shown: set[str] = set()
    for root in (*roots, *outgoing):
        if root not in shown:
            lines.append(TreeLine(root, None))
            lines.extend(_branch(root, outgoing, shown, ""))
    return lines


def _branch(
    client: str, outgoing: Mapping[str, list[EdgeRow]], shown: set[str], indent: str
) -> list[TreeLine]:
    shown.add(client)
    edges = outgoing.get(client, [])
    lines: list[TreeLine] = []
    for number, edge in enumerate(edges, start=1):
        last = number == len(edges)
        mark = EDGE_MARKS.get(edge.connection_type, "")
        again = edge.server in shown and edge.server in outgoing
        text = f"{indent}{'└─' if last else '├─'} {edge.server}"
        lines.append(TreeLine(" ".join(filter(None, (text, mark, "↺" if again else ""))), edge))
        if edge.server not in shown:
            lines += _branch(edge.server, outgoing, shown, indent + ("   " if last else "│  "))
    return lines


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    table.add_column(first, no_wrap=True, overflow="ellipsis")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _with_rest(table: Table, left_out: int) -> RenderableType:
    if left_out <= 0:
        return table
    return Group(table, Text(f"… {left_out} more", style="dim"))


def _error_text(share: float) -> Text:
    style = "bold red" if share >= 0.05 else "yellow" if share > 0 else "dim"
    return Text(_percent(share), style=style)


def _percent(share: float) -> str:
    return f"{share * 100:.1f}%" if share else "0%"


def _time(seconds: float) -> str:
    if math.isnan(seconds):
        return "-"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
