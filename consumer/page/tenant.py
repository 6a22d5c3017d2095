"""What the page keeps of one tenant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consumer.page import families
from consumer.page.board import POINTS, Board, Rhythm
from consumer.page.codes import locate
from consumer.page.families import EDGE_LABELS, Blocks
from consumer.page.ledger import Growth, Ledger
from consumer.remote_write.series import SeriesBlock

OPERATIONS = 120
EDGES = 160
"""Most of each that are followed, and shown."""

_COUNT_AND_SUM = np.zeros(2)
"""In place of bounds: what is measured of edges."""


class TenantTraffic:
    """The busiest operations and edges of a tenant, from its ticks.

    ``totals`` (float64[POINTS, 2]) are calls and failed calls of all operations at each tick.
    ``services`` are those that sent spans: a node of the graph that is not among them did not.
    """

    def __init__(self) -> None:
        self.rhythm = Rhythm()
        self.operations = Board(len(families.TEMPO.labels), OPERATIONS, self.rhythm)
        self.edges = Board(len(EDGE_LABELS), EDGES, self.rhythm)
        self.totals = np.full((POINTS, 2), np.nan)
        self.services: frozenset[str] = frozenset()
        self.has_status = True
        self.series = 0
        self.time_ms = 0
        self._calls = Ledger(len(families.TEMPO.labels), 2)
        self._latency = Ledger(len(families.TEMPO.labels))
        self._requests = Ledger(len(EDGE_LABELS))
        self._failures = Ledger(len(EDGE_LABELS))
        self._server = Ledger(len(EDGE_LABELS), 2)
        self._client = Ledger(len(EDGE_LABELS), 2)

    def take(self, blocks: Sequence[SeriesBlock], time_ms: int) -> None:
        """A tick of all series of the tenant.

        It tells of the time since the tick before; the first one of the time since its newest
        series began.
        """
        since_ms = self.time_ms or max(
            (int(block.start_ms.max()) for block in blocks if len(block)), default=time_ms
        )
        self.series = sum(len(block) for block in blocks)
        self.time_ms = time_ms
        self.rhythm.take(max(time_ms - since_ms, 1) / 1_000, time_ms)
        shown = families.shown_blocks(blocks)
        text = blocks[0].strings if blocks else ()
        self._take_operations(shown, text)
        self._take_edges(shown, text)

    def rename(self, renamed: NDArray[np.uint32]) -> None:
        """Follow new codes of the strings."""
        for ledger in (self._calls, self._latency, self._requests, self._failures):
            ledger.rename(renamed)
        for each in (self._server, self._client, self.operations, self.edges):
            each.rename(renamed)

    @property
    def rates(self) -> tuple[float, float]:
        """Calls and failed calls per second, over the window."""
        window = self.rhythm.window
        seconds = float(np.nansum(self.rhythm.seconds[-window:]))
        calls, failed = np.nansum(self.totals[-window:], axis=0) / (seconds or 1.0)
        return float(calls), float(failed)

    def _take_operations(self, shown: Blocks, text: Sequence[str]) -> None:
        names = families.names_of(shown)
        rows, self.has_status = families.calls_of(shown, names)
        self.services = families.services_of(rows, text)
        calls = self._calls.take(rows)
        self.totals = np.append(self.totals[1:], [calls.amounts.sum(axis=0)], axis=0)
        board = self.operations
        board.take(calls, text)
        buckets, bounds = families.buckets_of(shown, names.seconds, names.labels, board.keys)
        board.measure(self._latency.take(buckets), bounds)

    def _take_edges(self, shown: Blocks, text: Sequence[str]) -> None:
        requests = self._requests.take(families.totals_of(shown, families.REQUESTS, EDGE_LABELS))
        failures = self._failures.take(families.totals_of(shown, families.FAILURES, EDGE_LABELS))
        board = self.edges
        board.take(_with_failures(requests, failures), text)
        server, client = (
            ledger.take(families.means_of(shown, seconds, EDGE_LABELS, board.keys))
            for seconds, ledger in (
                (families.SERVER_SECONDS, self._server),
                (families.CLIENT_SECONDS, self._client),
            )
        )
        board.measure(_server_else_client(server, client), _COUNT_AND_SUM)


def _with_failures(requests: Growth, failures: Growth) -> Growth:
    """Both numbers of each group of ``requests``."""
    failed = np.zeros(len(requests))
    at = locate(requests.keys, failures.keys)
    failed[at[at >= 0]] = failures.amounts[at >= 0, 0]
    return Growth(requests.keys, np.column_stack([requests.amounts[:, 0], failed]))


def _server_else_client(server: Growth, client: Growth) -> Growth:
    """What the servers measured; what the clients did where no server measured anything."""
    measured = server.amounts[:, 0] > 0
    keys, amounts = server.keys[measured], server.amounts[measured]
    rest = locate(keys, client.keys) < 0
    return Growth(
        np.concatenate([keys, client.keys[rest]]), np.concatenate([amounts, client.amounts[rest]])
    )
