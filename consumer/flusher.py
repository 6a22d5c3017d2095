"""The flusher: series to samples to the sender at each tick, with the offsets they cover.

Ticks come from the caller, in record time; a tenant is told at those that pass a boundary of
its own interval. Bound: the sender says when there are too many ticks on their way
(:attr:`Flusher.blocked`).
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
from consumer.ticks.collection import TenantTicks
from processors.delta import DeltaFrame


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

    def __init__(self, registry: Registry, sender: TickSink, tenants: SettingsByTenant) -> None:
        self._ticks = TenantTicks(registry, tenants)
        self._registry = registry
        self._sender = sender
        self._untold: dict[str, int] = {}
        """By tenant that has deltas no tick told yet: the tick after which the first came."""
        self._staged: deque[_Staged] = deque()
        self._waiting: deque[_Staged] = deque()
        """Delivered, but of offsets that cover what other tenants have not been told yet."""
        self._delivered: dict[int, int] = {}

    def apply(self, tenants: SettingsByTenant) -> None:
        """Let the intervals of ``tenants`` count from now on."""
        self._ticks.apply(tenants)

    def begin(self, time_ms: int) -> None:
        """Ticks follow from ``time_ms`` on; called before the first."""
        self._ticks.begin(time_ms)

    @property
    def told_ms(self) -> int:
        """The time of the last tick."""
        return self._ticks.last_ms

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
                self._untold.setdefault(tenant, self._ticks.last_ms)

    def tick(self, time_ms: int, covered: Mapping[int, int]) -> None:
        """Send the series of the tenants that are due at the tick ``time_ms``.

        ``covered`` are the offsets before which everything is folded.
        """
        self._send(time_ms, self._ticks.due(time_ms), covered)

    def tick_all(self, time_ms: int, covered: Mapping[int, int]) -> None:
        """Send every series as of ``time_ms``: the last tick before something ends."""
        self._send(time_ms, self._registry.tenants(), covered)

    def end(self) -> None:
        """Send the end of every series that was told: nobody goes on with them."""
        self._submit(self._ticks.end(), {}, self._ticks.last_ms)

    def delivered(self) -> Mapping[int, int]:
        """The offsets before which everything is delivered."""
        while self._staged and self._staged[0].delivery.done:
            self._waiting.append(self._staged.popleft())
        under_way = (staged.since_ms for staged in self._staged)
        oldest_ms = min([*self._untold.values(), *under_way], default=self._ticks.last_ms)
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

    def _send(self, time_ms: int, names: Collection[str], covered: Mapping[int, int]) -> None:
        last_ms = self._ticks.last_ms
        since_ms = min([self._untold.pop(n) for n in names if n in self._untold], default=last_ms)
        *partial, last = self._ticks.collect(time_ms, names)
        for tick in partial:
            # What is held back is told by a later one, so this one covers nothing.
            self._submit(tick, {}, since_ms)
        self._submit(last, covered, since_ms)

    def _submit(self, tick: Tick, covered: Mapping[int, int], since_ms: int) -> None:
        delivery = self._sender.submit(tick)
        self._staged.append(_Staged(delivery, tick.time_ms, since_ms, dict(covered)))
