"""Who we are to an endpoint: secrets in files that change, OAuth2 tokens, TLS."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from consumer.clock import Clock

_REREAD_S = 1.0
_EARLY_S = 10.0
_DEFAULT_LIFE_S = 300.0
_MAX_TOKEN_BYTES = 64 * 1024
_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class CredentialError(Exception):
    """A credential cannot be had now; it may be later. Its text holds no secret."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """``tls_config``; paths of PEM files. ``min_version`` as ``TLS12``."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False
    min_version: str = "TLS12"

    def context(self) -> ssl.SSLContext:
        """Raises OSError (``ssl.SSLError`` is one) for files that cannot be used."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = _VERSIONS[self.min_version]
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context

    def pool_settings(self) -> dict[str, object]:
        """What urllib3's pools are told."""
        if self.insecure_skip_verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        settings: dict[str, object] = {"ssl_context": self.context()}
        if self.server_name is not None:
            settings["server_hostname"] = self.server_name
        return settings


@dataclass(frozen=True, slots=True)
class OAuth2:
    """Client credentials (RFC 6749, 4.4), sent as HTTP Basic."""

    client_id: str
    token_url: str = field(repr=False)
    client_secret: str | None = field(default=None, repr=False)
    client_secret_file: str | None = None
    scopes: tuple[str, ...] = ()
    endpoint_params: Mapping[str, str] = field(default_factory=dict, repr=False)

    def secrets(self) -> set[str | None]:
        """What must not be shown."""
        pair = b64encode(f"{self.client_id}:{self.client_secret or ''}".encode()).decode()
        return {self.client_secret, pair, *self.endpoint_params.values()}


class SecretFile:
    """The text of a file, read again at most once a second. Safe for threads."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._read_s = float("-inf")
        self._text = ""

    @property
    def known(self) -> str:
        """What was read last, or nothing."""
        return self._text

    def text(self) -> str:
        """Without white space around it; the last known while the file cannot be read."""
        now_s = self._clock.monotonic_s()
        if now_s - self._read_s >= _REREAD_S:
            try:
                self._text = Path(self._path).read_text(encoding="utf-8").strip()
                self._read_s = now_s
            except (OSError, UnicodeDecodeError) as error:
                if not self._text:
                    raise CredentialError(f"cannot read {self._path}") from error
        return self._text


class TokenSource:
    """The present access token; fetched by the thread that needs it, others wait.

    A fetch takes ``timeout_s`` for each wait on the network, and its answer 64 KiB at most.
    """

    def __init__(
        self, settings: OAuth2, pool: urllib3.PoolManager, timeout_s: float, clock: Clock
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = Lock()
        self._token = ""
        self._until_s = float("-inf")
        self._file = (
            SecretFile(settings.client_secret_file, clock) if settings.client_secret_file else None
        )

    @property
    def known(self) -> str:
        """The last token, or nothing: for what must not be shown."""
        return self._token

    @property
    def known_secret(self) -> str:
        """The client's secret as it was read last, or nothing."""
        return self._file.known if self._file else self._settings.client_secret or ""

    def _secret(self) -> str:
        return self._file.text() if self._file else self._settings.client_secret or ""

    def token(self) -> str:
        """A token that is valid for some seconds yet; raises :class:`CredentialError`."""
        with self._lock:
            if self._clock.monotonic_s() >= self._until_s:
                self._fetch()
            return self._token

    def forget(self) -> None:
        """Ask for another token next time: this one was refused."""
        self._until_s = float("-inf")

    def _fetch(self) -> None:
        settings = self._settings
        fields = {"grant_type": "client_credentials", **settings.endpoint_params}
        if settings.scopes:
            fields["scope"] = " ".join(settings.scopes)
        try:
            response = self._pool.request(
                "POST",
                settings.token_url,
                fields=fields,
                encode_multipart=False,
                headers=urllib3.make_headers(basic_auth=f"{settings.client_id}:{self._secret()}"),
                timeout=self._timeout_s,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            body = response.read(_MAX_TOKEN_BYTES)
            response.release_conn()
        except (HTTPError, OSError) as error:
            raise CredentialError(f"no token: {type(error).__name__}") from error
        if response.status != 200:
            raise CredentialError(f"no token: HTTP {response.status}")
        self._take(body)

    def _take(self, body: bytes) -> None:
        try:
            answer = orjson.loads(body)
            token = answer["access_token"]
            life_s = float(answer.get("expires_in") or _DEFAULT_LIFE_S)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CredentialError("no token: the answer holds none") from error
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise CredentialError("no token: the answer holds none that can be sent")
        self._token = token
        self._until_s = self._clock.monotonic_s() + max(life_s - _EARLY_S, life_s / 2)
