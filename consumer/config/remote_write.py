"""The entries of ``metrics_generator.storage.remote_write``: Prometheus' keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer, SecretStr, model_validator

from consumer.config.checks import Block, check_url, duration
from processors.settings import DurationMs, Finding, refuse

_RESERVED_HEADERS = {
    "authorization": "use authorization or basic_auth",
    "host": "the address decides",
    "content-encoding": "the protocol decides",
    "content-length": "the protocol decides",
    "content-type": "the protocol decides",
    "user-agent": "spanmill names itself",
    "connection": "the protocol decides",
    "transfer-encoding": "the protocol decides",
    "x-prometheus-remote-write-version": "the protocol decides",
}


def _check_headers(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    findings: list[Finding] = []
    for name, value in headers.items():
        if name.lower() in _RESERVED_HEADERS:
            text = f"this header cannot be set; {_RESERVED_HEADERS[name.lower()]}"
            findings.append(((name,), text))
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
    """A file that holds the password; read at start, without white space around it."""

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
    """A file that holds the credentials; read at start, without white space around it."""

    @model_validator(mode="after")
    def _one_source(self) -> Authorization:
        if (self.credentials is None) == (self.credentials_file is None):
            text = "expected either credentials or credentials_file"
            refuse([(("credentials_file",), text)])
        return self


class QueueConfig(Block):
    """How much is sent at once, and how often a failed request is tried again."""

    capacity: Annotated[int, Field(ge=1)] | None = None
    """Samples that one shard holds back."""
    max_shards: Annotated[int, Field(ge=1, le=200)] = 4
    """Most requests under way to this endpoint, of different tenants (Prometheus: 50)."""
    min_shards: Annotated[int, Field(ge=1, le=1_000)] | None = None
    """Fewest shards."""
    max_samples_per_send: Annotated[int, Field(ge=1)] = 2_000
    """Most samples in one request."""
    batch_send_deadline: DurationMs | None = None
    """Longest wait for a full request."""
    min_backoff: Annotated[DurationMs, duration("1ms", "1h")] = 30
    """Wait before the first retry; doubled by each further one."""
    max_backoff: Annotated[DurationMs, duration("1ms", "1h")] = 5_000
    """Longest wait between two retries, unless the receiver asks for more."""
    retry_on_http_429: bool = True
    """Retry when the receiver says that it is too much (Prometheus: off)."""

    @model_validator(mode="after")
    def _ordered(self) -> QueueConfig:
        if self.max_backoff < self.min_backoff:
            refuse([(("max_backoff",), "expected at least min_backoff")])
        return self


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
    send_exemplars: bool | None = None
    """Send exemplars."""
    send_native_histograms: bool | None = None
    """Send native histograms."""
    queue_config: QueueConfig = QueueConfig()
    """Sizes and retries."""

    @model_validator(mode="after")
    def _one_login(self) -> RemoteWriteConfig:
        logins = ("basic_auth", "authorization", "bearer_token", "bearer_token_file")
        given = [key for key in logins if getattr(self, key) is not None]
        refuse([((key,), f"expected only one login; {given[0]} is given too") for key in given[1:]])
        return self
