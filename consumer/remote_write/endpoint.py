"""Where samples go: one endpoint, its limits and its credentials."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from consumer.remote_write.credentials import OAuth2, TlsSettings
from consumer.remote_write.relabel import Rule
from consumer.remote_write.request import Message

MASK = "***"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One remote-write endpoint. Defaults are Prometheus' where it has the setting.

    ``max_bytes_per_send`` limits a request before compression: 2000 samples of some
    250 bytes (name and six labels) are 0.5 MB, so 1 MiB leaves twice that for long
    labels and stays far below what receivers refuse. A single series that is larger
    goes out alone.

    ``max_pending_ticks`` is how many ticks a tenant may be behind: four are a minute at
    the default interval. ``max_pending_bytes`` is what all that waits may take: a sample
    with six labels is some 40 bytes, so 512 MiB are 13 million samples. There are
    ``min_shards`` to ``max_shards`` requests in flight (see ``resharding``).
    ``max_kept_samples`` bounds what is saved of collapsed ticks per tenant (see
    ``collapse``): at some 50 bytes each, 5 MB. ``max_retry_after_s`` bounds what the
    endpoint can ask for with Retry-After.

    ``relabel`` is applied to what goes here; samples older than ``sample_age_limit_s`` (0:
    of any age) are not sent. A secret in a file is read again before it is used, at most
    once a second.

    Types, help and units are told every ``metadata_interval_s`` (0: never) with 1.0.

    ``message`` is what is sent until the endpoint shows that it knows 1.0 only;
    ``legacy_created_timestamp`` is for receivers of 2.0's older drafts.

    ``private``: of one tenant, so that it is never waited for by others (see ``lanes``).

    Whoever builds this has checked it; ``headers`` may hold secrets, so nothing but
    ``name`` and ``shown_url`` may be logged.
    """

    url: str = field(repr=False)
    name: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 30.0
    max_samples_per_send: int = 2000
    max_bytes_per_send: int = 1 << 20
    min_backoff_s: float = 0.03
    max_backoff_s: float = 5.0
    max_retry_after_s: float = 600.0
    retry_on_429: bool = True
    min_shards: int = 1
    max_shards: int = 50
    max_pending_ticks: int = 4
    max_pending_bytes: int = 1 << 29
    max_kept_samples: int = 100_000
    add_org_id_header: bool = True
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    bearer_token: str | None = field(default=None, repr=False)
    message: Message = Message.V1
    legacy_created_timestamp: bool = False
    relabel: tuple[Rule, ...] = ()
    sample_age_limit_s: float = 0.0
    metadata_interval_s: float = 60.0
    tls: TlsSettings | None = None
    follow_redirects: bool = True
    proxy_url: str | None = field(default=None, repr=False)
    password_file: str | None = None
    bearer_token_file: str | None = None
    oauth2: OAuth2 | None = None
    private: bool = False

    def __post_init__(self) -> None:
        assert 0 < self.min_backoff_s <= self.max_backoff_s
        assert self.timeout_s > 0
        assert min(self.max_samples_per_send, self.max_bytes_per_send) > 0
        assert 0 < self.min_shards <= self.max_shards
        assert min(self.max_pending_ticks, self.max_pending_bytes) > 0
        bearer = self.bearer_token is not None or self.bearer_token_file is not None
        assert [self.user is not None, bearer, self.oauth2 is not None].count(True) <= 1

    @property
    def has_login(self) -> bool:
        """Whether credentials make the header Authorization."""
        given = (self.user, self.bearer_token, self.bearer_token_file, self.oauth2)
        return any(each is not None for each in given) or bool(urlsplit(self.url).username)

    @property
    def shown_url(self) -> str:
        """The URL without user, password and query."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def redact(self, text: str) -> str:
        """``text`` without this endpoint's secrets, should a foreign text repeat them."""
        return redact(text, self._secrets())

    def _secrets(self) -> set[str]:
        parts = urlsplit(self.url)
        secrets = {self.password, self.bearer_token, parts.password}
        secrets |= {value for _, value in parse_qsl(parts.query) if len(value) >= 4}
        if self.proxy_url is not None:
            secrets.add(urlsplit(self.proxy_url).password)
        if self.oauth2 is not None:
            secrets |= self.oauth2.secrets()
        if self.user is not None:
            pair = f"{self.user}:{self.password or ''}"
            secrets.add(b64encode(pair.encode()).decode())
        secrets |= secrets_in(self.headers)
        return {secret for secret in secrets if secret}


def redact(text: str, secrets: Iterable[str]) -> str:
    """``text`` with a mask for each of ``secrets``, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def secrets_in(headers: Mapping[str, str]) -> set[str]:
    """What the values of ``headers`` hold that must not be shown.

    A short value is rather "true" than a secret, and "1" is in every text.
    """
    secrets = {value.strip() for value in headers.values() if len(value.strip()) >= 4}
    for value in headers.values():
        scheme, _, credentials = value.partition(" ")
        if scheme.lower() in {"basic", "bearer"} and credentials.strip():
            secrets.add(credentials.strip())
    return secrets
