"""The entries of ``metrics_generator.storage.remote_write``: Prometheus' keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

import re2
from pydantic import AfterValidator, Field, PlainSerializer, SecretStr, model_validator

from consumer.config.checks import Block, check_url, duration
from consumer.remote_write.relabel import compile_regex
from processors.settings import DurationMs, Finding, refuse

_PROTOCOL_HEADERS = {
    "host": "the address decides",
    "content-encoding": "the protocol decides",
    "content-length": "the protocol decides",
    "content-type": "the protocol decides",
    "user-agent": "spanmill names itself",
    "connection": "the protocol decides",
    "transfer-encoding": "the protocol decides",
    "x-prometheus-remote-write-version": "the protocol decides",
}
_RESERVED_HEADERS = {"authorization": "use authorization or basic_auth", **_PROTOCOL_HEADERS}


def _check_headers(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    return _without(_RESERVED_HEADERS, headers)


def _check_tenant_headers(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    """A tenant's headers may say who it is: it has no other way to log in to a shared endpoint."""
    return _without(_PROTOCOL_HEADERS, headers)


def _without(
    reserved: Mapping[str, str], headers: Mapping[str, SecretStr]
) -> Mapping[str, SecretStr]:
    findings: list[Finding] = []
    for name, value in headers.items():
        reason = reserved.get(name.strip().lower())
        if reason is not None:
            findings.append(((name,), f"this header cannot be set; {reason}"))
        if not name or any(sign in name + value.get_secret_value() for sign in "\r\n"):
            findings.append(((name,), "expected a header of one line"))
    refuse(findings)
    return headers


def _shown_url(url: str) -> str:
    """The address without its query, which may hold a token."""
    return url.partition("?")[0]


def _check_type(scheme: str) -> str:
    if not scheme.strip() or scheme.strip().lower() == "basic":
        raise ValueError("expected a scheme such as Bearer; for Basic use basic_auth")
    return scheme


class BasicAuth(Block):
    """User and password."""

    username: Annotated[str, Field(min_length=1)]
    """The user."""
    password: SecretStr | None = None
    """The password; better in a file, or as `${VAR}`."""
    password_file: str | None = None
    """A file that holds the password, without white space around it; read again when it changes."""

    @model_validator(mode="after")
    def _one_source(self) -> BasicAuth:
        if self.password is not None and self.password_file is not None:
            refuse([(("password_file",), "expected either password or password_file, not both")])
        return self


class Authorization(Block):
    """The header Authorization: a scheme and its credentials."""

    type: Annotated[str, AfterValidator(_check_type)] = "Bearer"
    """The scheme."""
    credentials: SecretStr | None = None
    """What follows the scheme; better in a file, or as `${VAR}`."""
    credentials_file: str | None = None
    """A file that holds the credentials, without white space around them; that of a Bearer is read
    again when it changes."""

    @model_validator(mode="after")
    def _one_source(self) -> Authorization:
        if (self.credentials is None) == (self.credentials_file is None):
            text = "expected either credentials or credentials_file"
            refuse([(("credentials_file",), text)])
        return self


def _check_proxy(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address such as http://proxy:3128")
    return url


class OAuth2Config(Block):
    """Log in with a token that is fetched with client credentials."""

    client_id: Annotated[str, Field(min_length=1)]
    """Who we are."""
    client_secret: SecretStr | None = None
    """The secret; better in a file, or as `${VAR}`."""
    client_secret_file: str | None = None
    """A file that holds the secret; read again when it changes."""
    token_url: Annotated[str, AfterValidator(check_url), PlainSerializer(_shown_url)] = Field(
        repr=False
    )
    """Where tokens come from."""
    scopes: tuple[str, ...] = ()
    """What is asked for."""
    endpoint_params: Mapping[str, SecretStr] = Field(default_factory=dict)
    """More parameters of the request for a token."""

    @model_validator(mode="after")
    def _one_source(self) -> OAuth2Config:
        if (self.client_secret is None) == (self.client_secret_file is None):
            text = "expected either client_secret or client_secret_file"
            refuse([(("client_secret_file",), text)])
        return self


class TlsConfig(Block):
    """How an https address is trusted, and who we are to it."""

    ca_file: str | None = None
    """Certificates to trust (PEM); if not given, the system's."""
    cert_file: str | None = None
    """Our certificate (PEM)."""
    key_file: str | None = None
    """Its key (PEM); if not given, it is in `cert_file`."""
    server_name: str | None = None
    """The name that the endpoint's certificate must have, if not that of the address."""
    insecure_skip_verify: bool = False
    """Trust any certificate."""
    min_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] = "TLS12"
    """The least version of TLS."""

    @model_validator(mode="after")
    def _whole(self) -> TlsConfig:
        if self.key_file is not None and self.cert_file is None:
            refuse([(("key_file",), "expected cert_file too")])
        return self


def _check_regex(pattern: str) -> str:
    try:
        compile_regex(pattern)
    except re2.error as error:
        raise ValueError(f"found {pattern!r}, expected a regular expression (RE2)") from error
    return pattern


class RelabelConfig(Block):
    """A rule that changes the labels of what is sent here, or leaves series out."""

    action: Literal[
        "replace",
        "keep",
        "drop",
        "hashmod",
        "labelmap",
        "labeldrop",
        "labelkeep",
        "lowercase",
        "uppercase",
        "keepequal",
        "dropequal",
    ] = "replace"
    """What to do."""
    source_labels: tuple[str, ...] = ()
    """Labels whose values, joined, the rule looks at."""
    separator: str = ";"
    """What stands between them."""
    regex: Annotated[str, AfterValidator(_check_regex)] = "(.*)"
    """The expression (RE2) that must match the whole."""
    modulus: Annotated[int, Field(ge=0)] = 0
    """Divisor of `hashmod`."""
    target_label: str = ""
    """The label that is set, or compared."""
    replacement: str = "$1"
    """The value that is set; `$1` is the first group."""

    @model_validator(mode="after")
    def _complete(self) -> RelabelConfig:
        needs = ("replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal")
        if self.action in needs and not self.target_label:
            refuse([(("target_label",), f"{self.action} needs it")])
        if self.action == "hashmod" and not self.modulus:
            refuse([(("modulus",), "hashmod needs it")])
        return self


class QueueConfig(Block):
    """How much is sent at once, and how often a failed request is tried again."""

    capacity: Annotated[int, Field(ge=1)] | None = None
    """Samples that one shard holds back."""
    max_shards: Annotated[int, Field(ge=1, le=200)] = 50
    """Most requests under way to this endpoint, and most shards of a tenant."""
    min_shards: Annotated[int, Field(ge=1, le=200)] = 1
    """Fewest of them; between the two they follow the time that requests take."""
    max_pending_bytes: Annotated[int, Field(ge=1 << 20)] = 1 << 29
    """Most memory for what waits for this endpoint (a sample takes about 40 bytes), beside one
    tick; more pauses consumption. (Not in Prometheus.)"""
    max_samples_per_send: Annotated[int, Field(ge=1)] = 2_000
    """Most samples in one request."""
    batch_send_deadline: DurationMs | None = None
    """Longest wait for a full request."""
    min_backoff: Annotated[DurationMs, duration("1ms", "1h")] = 30
    """Wait before the first retry; doubled by each further one."""
    max_backoff: Annotated[DurationMs, duration("1ms", "1h")] = 5_000
    """Longest wait between two retries, unless the receiver asks for more."""
    sample_age_limit: DurationMs = 0
    """Samples older than this are not sent any more; 0s: of any age."""
    retry_on_http_429: bool = True
    """Retry when the receiver says that it is too much (Prometheus: off)."""

    @model_validator(mode="after")
    def _ordered(self) -> QueueConfig:
        if self.max_backoff < self.min_backoff:
            refuse([(("max_backoff",), "expected at least min_backoff")])
        if self.max_shards < self.min_shards:
            refuse([(("max_shards",), "expected at least min_shards")])
        return self


TenantHeaders = Annotated[Mapping[str, SecretStr], AfterValidator(_check_tenant_headers)]
"""Headers of a tenant's requests."""


class MetadataConfig(Block):
    """Types, help and units of the metrics with 1.0; with 2.0 every series says it."""

    send: bool = True
    """Tell them."""
    send_interval: Annotated[DurationMs, duration("1s", "24h")] = 60_000
    """Time between two times, for each tenant."""
    max_samples_per_send: int | None = None
    """Most metrics in one request."""


class RemoteWriteConfig(Block):
    """One endpoint that takes Prometheus' remote write."""

    url: Annotated[str, AfterValidator(check_url), PlainSerializer(_shown_url)] = Field(repr=False)
    """The address, such as `http://prometheus:9090/api/v1/write`."""
    name: str = ""
    """The endpoint's name in metrics and logs; if empty, its host and port."""
    remote_timeout: Annotated[DurationMs, duration("100ms", "1h")] = 30_000
    """Longest time for one request."""
    headers: Annotated[Mapping[str, SecretStr], AfterValidator(_check_headers)] = Field(
        default_factory=dict
    )
    """Headers of each request."""
    basic_auth: BasicAuth | None = None
    """Log in with user and password."""
    authorization: Authorization | None = None
    """Log in with a token."""
    bearer_token: SecretStr | None = None
    """Short for `authorization.credentials`."""
    bearer_token_file: str | None = None
    """Short for `authorization.credentials_file`."""
    oauth2: OAuth2Config | None = None
    """Log in with a token that is fetched with client credentials."""
    tls_config: TlsConfig | None = None
    """How an https address is trusted, and who we are to it."""
    follow_redirects: bool = True
    """Follow 307 and 308 on the same host, and from its http to its https; no others."""
    proxy_url: Annotated[SecretStr, AfterValidator(_check_proxy)] | None = None
    """The proxy to go through; it may hold user and password."""
    write_relabel_configs: tuple[RelabelConfig, ...] = ()
    """Rules for the labels of what is sent here, in order."""
    protobuf_message: Literal["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] = (
        "prometheus.WriteRequest"
    )
    """Remote write 1.0 or 2.0; a receiver that does not know 2.0 gets 1.0."""
    legacy_created_timestamp: bool = False
    """With 2.0, tell a series' beginning where older drafts had it (not in Prometheus)."""
    send_exemplars: bool | None = None
    """Send exemplars."""
    send_native_histograms: bool | None = None
    """Send native histograms."""
    metadata_config: MetadataConfig = MetadataConfig()
    """Types and help of the metrics."""
    queue_config: QueueConfig = QueueConfig()
    """Sizes and retries."""

    @model_validator(mode="after")
    def _one_login(self) -> RemoteWriteConfig:
        logins = ("basic_auth", "authorization", "bearer_token", "bearer_token_file", "oauth2")
        given = [key for key in logins if getattr(self, key) is not None]
        refuse([((key,), f"expected only one login; {given[0]} is given too") for key in given[1:]])
        return self
