"""Many small tenants in one topic: the spans of shop, dealt out by trace."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator

from benchmarks.workloads.records import Located, record_of, spans_of

SPANS_PER_RECORD = 10
MOST_TENANTS = 1000
SPANS_PER_TENANT = 100
"""At least; a workload of few spans has fewer tenants."""


def tenants_of(spans: int) -> int:
    """How many tenants share ``spans`` spans."""
    return max(1, min(MOST_TENANTS, spans // SPANS_PER_TENANT))


def tenant_records(shop: Iterable[bytes], tenants: int) -> Iterator[bytes]:
    """Records of ten spans: one for each tenant in turn, over and over.

    A trace is one tenant's as a whole, and a tenant's spans keep their order. The rest
    that does not make a record for every tenant is left out.
    """
    spans = [located for record in shop for located in spans_of(record)]
    tenant_of = _deal([located.span.trace_id for located in spans], tenants)
    dealt: list[list[Located]] = [[] for _ in range(tenants)]
    for located in spans:
        dealt[tenant_of[located.span.trace_id]].append(located)
    rounds = min(map(len, dealt)) // SPANS_PER_RECORD
    for start in range(0, rounds * SPANS_PER_RECORD, SPANS_PER_RECORD):
        for of_tenant in dealt:
            yield record_of(of_tenant[start : start + SPANS_PER_RECORD])


def _deal(trace_ids: Iterable[bytes], tenants: int) -> dict[bytes, int]:
    """By trace id, its tenant: the next trace goes to whoever has the fewest spans."""
    sizes: dict[bytes, int] = defaultdict(int)
    for trace_id in trace_ids:
        sizes[trace_id] += 1
    fewest = [(0, tenant) for tenant in range(tenants)]
    tenant_of: dict[bytes, int] = {}
    for trace_id, size in sizes.items():
        spans, tenant = fewest[0]
        tenant_of[trace_id] = tenant
        heapq.heapreplace(fewest, (spans + size, tenant))
    return tenant_of
