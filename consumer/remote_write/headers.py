"""The headers of each request: the endpoint's, over them the tenant's, over them the protocol's.

Names are the same in upper and lower case. The tenant goes out as ``X-Scope-OrgID``, unless
a header of that name is configured (tempo-behaviour.md 3B).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from consumer.remote_write.endpoint import Endpoint, secrets_in
from consumer.remote_write.request import Message

ORG_ID_HEADER = "X-Scope-OrgID"
SINGLE_TENANT = "single-tenant"

_ORG_ID = ORG_ID_HEADER.lower()
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

try:
    _VERSION = version("spanmill")
except PackageNotFoundError:
    _VERSION = "unknown"

_MESSAGE_HEADERS = {
    Message.V1: {
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    },
    Message.V2: {
        "Content-Type": f"application/x-protobuf;proto={Message.V2.value}",
        "X-Prometheus-Remote-Write-Version": "2.0.0",
    },
}
_PROTOCOL_HEADERS = {"Content-Encoding": "snappy", "User-Agent": f"spanmill/{_VERSION}"}
_RESERVED = {name.lower() for name in [*_PROTOCOL_HEADERS, *_MESSAGE_HEADERS[Message.V1]]} | {
    "connection",
    "content-length",
    "host",
    "retry-attempt",
    "transfer-encoding",
}


@dataclass(frozen=True, slots=True)
class TenantHeaders:
    """What requests of a tenant carry besides; values may be secrets.

    ``default`` counts for tenants that are not in ``named``.
    """

    default: Mapping[str, str] = field(default_factory=dict, repr=False)
    named: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    def of(self, tenant: str) -> Mapping[str, str]:
        """The headers of ``tenant``."""
        return self.named.get(tenant, self.default)


class RequestHeaders:
    """Makes the headers of the requests to one endpoint. Safe for threads."""

    def __init__(self, endpoint: Endpoint, tenants: TenantHeaders) -> None:
        self._adds_org_id = endpoint.add_org_id_header
        self._has_login = endpoint.has_login
        self._headers = endpoint.headers
        self._tenants = tenants

    def of(self, tenant: str, message: Message, attempt: int) -> dict[str, str]:
        """Raises ValueError when the tenant's name cannot be one's value."""
        headers: dict[str, tuple[str, str]] = {}
        _put(headers, self._headers)
        if self._has_login:
            headers.pop("authorization", None)
        _put(headers, self._tenants.of(tenant))
        if not headers.get(_ORG_ID, ("", ""))[1]:
            headers.pop(_ORG_ID, None)
            if self._adds_org_id and tenant != SINGLE_TENANT:
                headers[_ORG_ID] = (ORG_ID_HEADER, _checked(tenant))
        if attempt:
            headers["retry-attempt"] = ("Retry-Attempt", str(attempt))
        made = {name: _on_the_wire(value) for name, value in headers.values()}
        return {**made, **_PROTOCOL_HEADERS, **_MESSAGE_HEADERS[message]}

    def logs_in(self, tenant: str) -> bool:
        """Whether the tenant's own headers say who it is, so that the endpoint's login is not."""
        names = {name.strip().lower() for name in self._tenants.of(tenant)}
        return "authorization" in names

    def secrets(self, tenant: str) -> set[str]:
        """What the tenant's headers hold that must not be shown."""
        return secrets_in(self._tenants.of(tenant))


def _put(headers: dict[str, tuple[str, str]], more: Mapping[str, str]) -> None:
    """Set ``more``, which may replace but not be the protocol's own."""
    for name, value in more.items():
        key = name.strip().lower()
        if key not in _RESERVED:
            headers[key] = (name.strip(), value.strip())


def _checked(tenant: str) -> str:
    if _CONTROL.search(tenant):
        raise ValueError("the tenant's name holds control characters")
    return tenant


def _on_the_wire(value: str) -> str:
    """UTF-8 as text: http.client writes Latin-1, so this way the bytes are UTF-8."""
    return value.encode().decode("latin-1")
