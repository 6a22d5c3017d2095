"""Which endpoints get a tenant's samples, and with which headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.headers import TenantHeaders


@dataclass(frozen=True, slots=True)
class Routes:
    """``own`` are the endpoints of tenants that do not use those of ``default``.

    An endpoint is its name: two that are named alike are equal. ``leave_s`` is how long an
    endpoint that is no longer named has for what waits for it.
    """

    default: Sequence[Endpoint] = ()
    own: Mapping[str, Sequence[Endpoint]] = field(default_factory=dict)
    headers: TenantHeaders = field(default_factory=TenantHeaders)
    leave_s: float = 60.0

    def __post_init__(self) -> None:
        named = self.endpoints()
        assert all(
            each == named[each.name] for some in (self.default, *self.own.values()) for each in some
        )

    def endpoints(self) -> dict[str, Endpoint]:
        """Every endpoint by its name, those for all first."""
        return {each.name: each for some in (self.default, *self.own.values()) for each in some}

    def names(self, tenant: str) -> Sequence[str]:
        """The names of the endpoints that get the tenant's samples."""
        return [each.name for each in self.own.get(tenant, self.default)]
