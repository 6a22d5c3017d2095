"""Which tenants a tick tells, and their series as of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from consumer.config.tenants import SettingsByTenant
from consumer.registry import Registry
from consumer.remote_write.series import SeriesBlock, Tick

_ROOM_MS = 2
"""Least time between two ticks: a newborn's zero sample stands after the one, before the other."""


class TenantTicks:
    """Collects from one registry, each tenant at the boundaries of its own interval."""

    def __init__(self, registry: Registry, tenants: SettingsByTenant) -> None:
        self._registry = registry
        self._tenants = tenants
        self.last_ms = 0
        """The last tick, or the moment since which ticks are counted."""

    def apply(self, tenants: SettingsByTenant) -> None:
        """Let the intervals of ``tenants`` count from now on."""
        self._tenants = tenants

    def begin(self, time_ms: int) -> None:
        """Ticks follow from ``time_ms`` on; called before the first."""
        self.last_ms = time_ms
        self._registry.begin(time_ms)

    def due(self, time_ms: int) -> Collection[str]:
        """The tenants that have a boundary since the last tick."""
        return [name for name in self._registry.tenants() if self._is_due(name, time_ms)]

    def collect(self, time_ms: int, names: Collection[str]) -> Iterator[Tick]:
        """The ticks as of ``time_ms`` for the tenants ``names``; all but the last are partial.

        There is more than one while something waits for a tick after the next.
        """
        due = {name: self._tenants.for_tenant(name).interval_ms for name in names}
        while self._registry.is_holding(due):
            yield self._collect(time_ms, due)
        yield self._collect(time_ms, due)

    def end(self) -> Tick:
        """A tick just after the last, in which all that was told ends."""
        tick = self._collect(self.last_ms, dict.fromkeys(self._registry.tenants(), 0))
        told = {name: list(map(SeriesBlock.ending, of)) for name, of in tick.tenants.items()}
        return Tick(tick.time_ms, told)

    def _collect(self, time_ms: int, due: dict[str, int]) -> Tick:
        self.last_ms = max(time_ms, self.last_ms + _ROOM_MS)
        tick = self._registry.collect(self.last_ms, due)
        is_muted = {name for name in due if self._tenants.for_tenant(name).disable_collection}
        if not is_muted:
            return tick
        told = {name: tick.tenants[name] for name in tick.tenants.keys() - is_muted}
        return Tick(tick.time_ms, told)

    def _is_due(self, tenant: str, time_ms: int) -> bool:
        interval_ms = self._tenants.for_tenant(tenant).interval_ms
        return time_ms // interval_ms > self.last_ms // interval_ms
