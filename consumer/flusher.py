"""The flusher: at each tick, series to samples to the sender, with the offsets they cover.

Ticks are aligned to the interval of each tenant. The time comes from the caller. Bound: the
sender says when there are too many ticks on their way (:attr:`Flusher.blocked`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from consumer.config.tenants import SettingsByTenant
from consumer.registry import Registry
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.routes import Routes
from consumer.remote_write.series import Tick
from processors.delta import DeltaFrame

_ROOM_MS = 2
"""Least time between two ticks: a newborn's zero sample stands after the one, before the other."""


class TickSink(Protocol):
    """What takes ticks: a :class:`consumer.remote_write.sender.Sender`, or one with a tap on it."""

    @property
    def blocked(self) -> str | None:
        """The endpoint for whose sake no tick may be made now."""
        ...

    def submit(self, tick: Tick) -> Delivery:
        """Queue a tick; never blocks."""
        ...

    def apply(self, routes: Routes) -> None:
        """Send by ``routes`` from the next tick on."""
        ...


@dataclass(slots=True)
class _Staged:
    """A tick on its way, and the offsets that were processed before it.

    ``since_ms``: the oldest of what it tells came after the tick of that time.
    """

    delivery: Delivery
    time_ms: int
    since_ms: int
    covered: dict[int, int]


class Flusher:
    """Owns the rhythm of ticks and knows which of them are delivered."""

    def __init__(
        self, registry: Registry, sender: TickSink, tenants: SettingsByTenant, *, started_ms: int
    ) -> None:
        self._registry = registry
        self._sender = sender
        self._last_ms = started_ms
        self._collected: dict[str, int] = {}
        """By tenant: its last tick."""
        self._untold: dict[str, int] = {}
        """By tenant that has deltas no tick told yet: the tick after which the first came."""
        self._staged: deque[_Staged] = deque()
        self._waiting: deque[_Staged] = deque()
        """Delivered, but of offsets that cover what other tenants have not been told yet."""
        self._delivered: dict[int, int] = {}
        self.apply(tenants)

    def apply(self, tenants: SettingsByTenant) -> None:
        """Let the intervals of ``tenants`` count from now on."""
        self._tenants = tenants
        self._intervals_ms = sorted({settings.interval_ms for settings in tenants.all()})

    def route(self, routes: Routes) -> None:
        """Send by ``routes`` from the next tick on."""
        self._sender.apply(routes)

    @property
    def blocked(self) -> str | None:
        """The endpoint for whose sake no tick may be made now."""
        return self._sender.blocked

    def folded(self, frames: Iterable[DeltaFrame]) -> None:
        """Deltas went into the registry: offsets wait until their tenants are told."""
        for frame in frames:
            for tenant in frame.tenants if len(frame) else ():
                self._untold.setdefault(tenant, self._last_ms)

    def due(self, now_ms: int) -> int:
        """Ticks since the last one; more than 1 when some were missed."""
        return max(
            now_ms // interval - self._last_ms // interval for interval in self._intervals_ms
        )

    def tick(self, now_ms: int, covered: Mapping[int, int]) -> None:
        """Send the series of the tenants whose boundary came, as of the last boundary.

        ``covered`` are the working offsets.
        """
        boundary_ms = max(now_ms - now_ms % interval for interval in self._intervals_ms)
        due = [name for name in self._known() if self._is_due(name, now_ms)]
        self._send(boundary_ms, due, covered)

    def tick_now(self, now_ms: int, covered: Mapping[int, int]) -> None:
        """Send every series as of this moment: the last tick before something ends."""
        self._send(now_ms, self._known(), covered)

    def delivered(self) -> Mapping[int, int]:
        """The offsets before which everything is delivered."""
        while self._staged and self._staged[0].delivery.done:
            self._waiting.append(self._staged.popleft())
        under_way = (staged.since_ms for staged in self._staged)
        oldest_ms = min([*self._untold.values(), *under_way], default=self._last_ms)
        while self._waiting and self._waiting[0].time_ms <= oldest_ms:
            self._delivered.update(self._waiting.popleft().covered)
        return self._delivered

    def forget(self, partitions: Iterable[int]) -> None:
        """These partitions are not ours any more: what ticks cover of them means nothing.

        Should they come back, others may have gone on from where we were.
        """
        staged = (each.covered for each in (*self._staged, *self._waiting))
        for covered in (self._delivered, *staged):
            for partition in partitions:
                covered.pop(partition, None)

    @property
    def is_settled(self) -> bool:
        """Whether every tick is delivered: any of them may be the last, tenants do not wait."""
        return all(staged.delivery.done for staged in self._staged)

    def _known(self) -> Collection[str]:
        """The tenants that have or had series; new ones had nothing before the last tick."""
        names = self._registry.tenants()
        for name in names:
            self._collected.setdefault(name, self._last_ms)
        return names

    def _is_due(self, tenant: str, now_ms: int) -> bool:
        interval_ms = self._tenants.for_tenant(tenant).interval_ms
        return now_ms // interval_ms > self._collected[tenant] // interval_ms

    def _send(self, time_ms: int, names: Collection[str], covered: Mapping[int, int]) -> None:
        due = {name: self._tenants.for_tenant(name).interval_ms for name in names}
        while self._registry.is_holding(due):
            # A tick tells what is held back only after this one, so this one covers nothing.
            self._submit(time_ms, due, {}, self._last_ms)
        since_ms = [self._untold.pop(name) for name in names if name in self._untold]
        self._submit(time_ms, due, covered, min(since_ms, default=self._last_ms))

    def _submit(
        self, time_ms: int, due: Mapping[str, int], covered: Mapping[int, int], since_ms: int
    ) -> None:
        time_ms = max(time_ms, self._last_ms + _ROOM_MS)
        tick = self._registry.collect(time_ms, due)
        is_muted = {name for name in due if self._tenants.for_tenant(name).disable_collection}
        if is_muted:
            told = {name: tick.tenants[name] for name in tick.tenants.keys() - is_muted}
            tick = Tick(time_ms, told)
        delivery = self._sender.submit(tick)
        self._staged.append(_Staged(delivery, time_ms, since_ms, dict(covered)))
        self._collected.update(dict.fromkeys(due, time_ms))
        self._last_ms = time_ms
