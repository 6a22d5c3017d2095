"""The Authorization of each request, and what must never be shown of it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import urllib3

from consumer.clock import Clock
from consumer.remote_write.credentials import SecretFile, TokenSource
from consumer.remote_write.endpoint import Endpoint, redact


class Login:
    """One endpoint's credentials, as they are now. Safe for threads."""

    def __init__(self, endpoint: Endpoint, pool: urllib3.PoolManager, clock: Clock) -> None:
        self._endpoint = endpoint
        path = endpoint.bearer_token_file or endpoint.password_file
        self._file = SecretFile(path, clock) if path else None
        self._tokens = (
            TokenSource(endpoint.oauth2, pool, endpoint.timeout_s, clock)
            if endpoint.oauth2
            else None
        )

    def headers(self) -> dict[str, str]:
        """The Authorization header, if any; raises ``CredentialError`` when it cannot be had."""
        endpoint = self._endpoint
        if self._tokens is not None:
            return {"authorization": f"Bearer {self._tokens.token()}"}
        secret = self._file.text() if self._file else None
        if endpoint.bearer_token is not None or endpoint.bearer_token_file is not None:
            return {"authorization": f"Bearer {secret or endpoint.bearer_token}"}
        parts = urlsplit(endpoint.url)
        user, password = endpoint.user, secret or endpoint.password
        if user is None and parts.username is not None:
            user, password = unquote(parts.username), unquote(parts.password or "")
        if user is None:
            return {}
        return dict(urllib3.make_headers(basic_auth=f"{user}:{password or ''}"))

    def refused(self) -> bool:
        """The endpoint did not accept us (401); whether another try may have another token."""
        if self._tokens is None:
            return False
        self._tokens.forget()
        return True

    def redact(self, text: str) -> str:
        """``text`` without any secret of the endpoint, those in files and tokens included."""
        secrets = {self._file.known if self._file else "", *self._of_tokens()}
        return self._endpoint.redact(redact(text, filter(None, secrets)))

    def _of_tokens(self) -> set[str]:
        return set() if self._tokens is None else {self._tokens.known, self._tokens.known_secret}
