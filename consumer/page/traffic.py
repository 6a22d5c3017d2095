"""What the page keeps of all tenants.

Bound: ``MAX_TENANTS`` tenants are followed, those asked for last and then those with the most
series. The loop's thread feeds it, that of the HTTP server reads; a lock keeps them apart, held
for as long as a tick is looked at. Time is that of the ticks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from consumer.page.codes import renaming
from consumer.page.tenant import TenantTraffic
from consumer.remote_write.series import SeriesBlock, Tick

MAX_TENANTS = 20
FORGET_MS = 900_000
"""A tenant without a tick for so long is not shown any more: its series have ended."""

_Seen = TypeVar("_Seen")


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant that is followed: its series, and calls per second with the failed part."""

    tenant: str
    series: int
    rate: float
    error_share: float | None


class Traffic:
    """The traffic of the tenants that are followed.

    ``in_parts``: a tenant's series of one time may come in several ticks (a shard may be told
    before another), so a tick is complete when one of a later time comes.
    """

    def __init__(self, *, in_parts: bool = False) -> None:
        self._in_parts = in_parts
        self._lock = Lock()
        self._tenants: dict[str, TenantTraffic] = {}
        self._series: dict[str, int] = {}
        """Of every tenant with series, followed or not."""
        self._told_ms: dict[str, int] = {}
        """The last tick of each of them."""
        self._wanted: OrderedDict[str, None] = OrderedDict()
        self._strings: Sequence[str] = ()
        self._parts: dict[str, Tick] = {}
        """By tenant: what came of the tick that may not be complete."""

    def take(self, tick: Tick) -> None:
        """Look at a tick: every series of the tenants in it, or a part of them."""
        with self._lock:
            for complete in self._complete(tick) if self._in_parts else (tick,):
                self._take(complete)

    def see(self, tenant: str, look: Callable[[TenantTraffic], _Seen]) -> _Seen | None:
        """What ``look`` makes of the tenant; ``None`` if it is not followed.

        Asked for, it will be from its next tick on.
        """
        with self._lock:
            if tenant in self._series:
                self._wanted[tenant] = None
                self._wanted.move_to_end(tenant)
                while len(self._wanted) > MAX_TENANTS:
                    self._wanted.popitem(last=False)
            traffic = self._tenants.get(tenant)
            return None if traffic is None else look(traffic)

    def knows(self, tenant: str) -> bool:
        """Whether the tenant has series here."""
        with self._lock:
            return tenant in self._series

    def rows(self) -> list[TenantRow]:
        """The tenants that are followed, by name."""
        with self._lock:
            return [_row(tenant, self._tenants[tenant]) for tenant in sorted(self._tenants)]

    @property
    def left_out(self) -> int:
        """How many tenants are not followed."""
        return max(0, len(self._series) - len(self._tenants))

    def _complete(self, tick: Tick) -> Iterator[Tick]:
        """The ticks that are complete since ``tick`` came; it waits for its other parts.

        When the strings are other ones, nothing can be added to what waits.
        """
        strings = _strings(tick.tenants)
        complete: dict[tuple[int, int], dict[str, Sequence[SeriesBlock]]] = {}
        for tenant, waiting in list(self._parts.items()):
            is_later = tenant in tick.tenants and waiting.time_ms != tick.time_ms
            old_strings = _strings(waiting.tenants)
            if is_later or strings is not old_strings:
                same = complete.setdefault((waiting.time_ms, id(old_strings)), {})
                same.update(self._parts.pop(tenant).tenants)
        for (time_ms, _), tenants in complete.items():
            yield Tick(time_ms, tenants)
        for tenant, blocks in tick.tenants.items():
            if blocks:
                waiting = self._parts.get(tenant, Tick(tick.time_ms, {tenant: ()}))
                whole = [*waiting.tenants[tenant], *blocks]
                self._parts[tenant] = Tick(tick.time_ms, {tenant: whole})

    def _take(self, tick: Tick) -> None:
        for tenant, blocks in tick.tenants.items():
            if blocks:
                self._series[tenant] = sum(len(block) for block in blocks)
                self._told_ms[tenant] = max(tick.time_ms, self._told_ms.get(tenant, 0))
        self._forget()
        self._choose()
        self._rename(tick)
        for tenant, traffic in self._tenants.items():
            blocks = tick.tenants.get(tenant, ())
            if blocks:
                traffic.take(blocks, tick.time_ms)

    def _forget(self) -> None:
        oldest_ms = max(self._told_ms.values(), default=0) - FORGET_MS
        for tenant in [name for name, told_ms in self._told_ms.items() if told_ms < oldest_ms]:
            del self._told_ms[tenant], self._series[tenant]

    def _choose(self) -> None:
        """Follow those that were asked for and the largest; forget the others."""
        largest = sorted(self._series, key=lambda tenant: (-self._series[tenant], tenant))
        asked = [tenant for tenant in reversed(self._wanted) if tenant in self._series]
        chosen = list(dict.fromkeys([*asked, *largest]))[:MAX_TENANTS]
        self._tenants = {tenant: self._tenants.get(tenant) or TenantTraffic() for tenant in chosen}

    def _rename(self, tick: Tick) -> None:
        """Follow the registry when it compacted its strings: the list is another one then."""
        strings = _strings(tick.tenants)
        if strings is None or strings is self._strings:
            return
        if self._strings:
            renamed = renaming(self._strings, strings)
            for traffic in self._tenants.values():
                traffic.rename(renamed)
        self._strings = strings


def _strings(tenants: Mapping[str, Sequence[SeriesBlock]]) -> Sequence[str] | None:
    """The strings of a tick, which all its blocks share."""
    for blocks in tenants.values():
        for block in blocks:
            return block.strings
    return None


def _row(tenant: str, traffic: TenantTraffic) -> TenantRow:
    rate, failed = traffic.rates
    share = (failed / rate if rate else 0.0) if traffic.has_status else None
    return TenantRow(tenant, traffic.series, rate, share)
