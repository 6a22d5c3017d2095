"""Sends one request to one endpoint and decides what its answer means.

The type of the outcome is the decision, made nowhere else: ``Delivered``, ``Retry`` with
the kind of trouble, or ``Rejected`` for good (remote write specification 1.0, "Retries &
Backoff": retry 5xx, may retry 429, no other 4xx).

Bounds: ``max_shards`` sockets, ``timeout_s`` for connecting and for each wait for bytes,
64 KiB of a response read (1 KiB of an error kept).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from enum import Enum
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from consumer.clock import Clock
from consumer.remote_write.credentials import CredentialError
from consumer.remote_write.endpoint import Endpoint, redact
from consumer.remote_write.headers import RequestHeaders, TenantHeaders
from consumer.remote_write.login import Login
from consumer.remote_write.request import EncodedRequest, Message

_MAX_ERROR_BYTES = 1024
_MAX_HOPS = 2
_MAX_BODY_BYTES = 64 * 1024
_WRITTEN = "X-Prometheus-Remote-Write-%s-Written"
# Statuses that receivers give to a whole request for the sake of a part of it: a sample out
# of order (Prometheus and Mimir 400, Thanos 409, others 422), or a size beyond a limit (413).
_DIVISIBLE = {"http_400", "http_409", "http_413", "http_422"}
_COUNT = re.compile(r"[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]{1,9}")


class Trouble(Enum):
    """Why a request has to be tried again."""

    NETWORK = "network"
    TIMEOUT = "timeout"
    SERVER = "server"
    THROTTLED = "throttled"

    @property
    def is_the_tenants(self) -> bool:
        """Whether the endpoint works and merely refuses this tenant for now."""
        return self is Trouble.THROTTLED


@dataclass(frozen=True, slots=True)
class Written:
    """What an endpoint says it stored; ``samples`` without native histograms."""

    samples: int = 0
    histograms: int = 0
    exemplars: int = 0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint has the request, or what is ``written`` of it if it said so (2.0)."""

    status: int
    written: Written | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The request may be taken later; not before ``retry_after_s``, if the endpoint said so."""

    trouble: Trouble
    text: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The request will never be taken.

    ``reason`` is a bounded word (``http_400``), ``text`` the endpoint's own (1 KiB at
    most). ``answered`` is false if it was not even sent. What is ``written`` was taken
    nevertheless, if the endpoint said so (2.0).
    """

    reason: str
    text: str
    answered: bool = True
    written: Written | None = None

    @property
    def divisible(self) -> bool:
        """Whether a part of the request may be to blame for the whole."""
        return self.reason in _DIVISIBLE and self.written in (None, Written())

    @property
    def is_too_large(self) -> bool:
        """Whether the size is to blame, and no sample."""
        return self.reason == "http_413"


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The endpoint does not know the message: nothing was taken, 1.0 may be."""

    text: str


Outcome = Delivered | Retry | Rejected | Unsupported


class Client:
    """The connections to one endpoint. May be used from any thread."""

    def __init__(
        self, endpoint: Endpoint, clock: Clock, tenants: TenantHeaders | None = None
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._url = _without_credentials(endpoint.url)
        self._knows_v2 = False
        self._timeout = urllib3.Timeout(connect=endpoint.timeout_s, read=endpoint.timeout_s)
        self._pool = _pool(endpoint)
        self._login = Login(endpoint, self._pool, clock)
        self.tell(tenants or TenantHeaders())

    def tell(self, tenants: TenantHeaders) -> None:
        """From now on requests carry the headers of ``tenants``."""
        self._headers = RequestHeaders(self._endpoint, tenants)

    def send(self, tenant: str, request: EncodedRequest, attempt: int = 0) -> Outcome:
        """Post ``request``; ``attempt`` counts from 0. Blocks; raises nothing of the network."""
        made = self._headers
        try:
            headers = made.of(tenant, request.message, attempt)
            if not (logs_in := made.logs_in(tenant)):
                headers |= self._login.headers()
        except ValueError as error:
            return Rejected("invalid_tenant", str(error), answered=False)
        except CredentialError as error:
            return Retry(Trouble.NETWORK, self._login.redact(str(error)))
        outcome = self._post(request, headers, may_log_in_again=not (attempt or logs_in))
        secrets = made.secrets(tenant)
        if secrets and not isinstance(outcome, Delivered):
            return replace(outcome, text=redact(outcome.text, secrets))
        return outcome

    def _post(
        self, request: EncodedRequest, headers: dict[str, str], *, may_log_in_again: bool
    ) -> Outcome:
        try:
            response = self._answer(request.body, headers)
        except Urllib3TimeoutError as error:
            return Retry(Trouble.TIMEOUT, self._text(error))
        except (HTTPError, HTTPException, OSError) as error:
            return Retry(Trouble.NETWORK, self._text(error))
        if response.status == 401 and may_log_in_again and self._login.refused():
            self._read(response)
            return Retry(Trouble.NETWORK, "HTTP 401: another token is fetched")
        return self._outcome(response, request.message)

    def _answer(self, body: bytes, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """The answer to ``body``, a redirection or two later; a permanent one is remembered."""
        url = self._url
        for hops in range(_MAX_HOPS + 1):
            response = self._pool.request(
                "POST",
                url,
                body=body,
                headers=headers,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            onward = redirected(url, response) if self._endpoint.follow_redirects else None
            if onward is None or hops == _MAX_HOPS:
                break
            self._read(response)
            if response.status == 308 and url == self._url:
                self._url = onward
            url = onward
        return response

    def close(self) -> None:
        """Close idle connections."""
        self._pool.clear()

    def _outcome(
        self, response: urllib3.BaseHTTPResponse, message: Message = Message.V1
    ) -> Outcome:
        status = response.status
        body = self._read(response)
        written = None
        if message is Message.V2:
            written = _written(response)
            self._knows_v2 |= written is not None
            if self._is_unsupported(status, written):
                return Unsupported(self._login.redact(f"HTTP {status}: {body}"))
        if 200 <= status < 300:
            return Delivered(status, written)
        text = f"HTTP {status}"
        if 300 <= status < 400:
            location = response.headers.get("Location", "nowhere")
            text += f": redirects to {location!r:.200} are not followed"
        if body:
            text += f": {body}"
        text = self._login.redact(text)
        if status == 429 and self._endpoint.retry_on_429:
            return Retry(Trouble.THROTTLED, text, self._retry_after_s(response))
        if 500 <= status < 600:
            return Retry(Trouble.SERVER, text, self._retry_after_s(response))
        return Rejected(f"http_{status}", text, written=written)

    def _is_unsupported(self, status: int, written: Written | None) -> bool:
        """Whether an answer to 2.0 is one of a receiver of 1.0.

        Such a one decodes nothing and is content, or knows the content type (415) or the
        message (400) not. A receiver of 2.0 says in each answer what it wrote.
        """
        if status == 415:
            return True
        if written is not None:
            return False
        return 200 <= status < 300 or (status == 400 and not self._knows_v2)

    def _read(self, response: urllib3.BaseHTTPResponse) -> str:
        """The first KiB of the body. Drains a short body so that its connection is kept."""
        deadline_s = self._clock.monotonic_s() + self._endpoint.timeout_s
        body = bytearray()
        try:
            while chunk := response.read1(4096):
                body += chunk
                if len(body) > _MAX_BODY_BYTES or self._clock.monotonic_s() > deadline_s:
                    response.close()
                    break
        except (HTTPError, HTTPException, OSError):
            response.close()
        finally:
            response.release_conn()
        return body[:_MAX_ERROR_BYTES].decode(errors="replace").strip()

    def _retry_after_s(self, response: urllib3.BaseHTTPResponse) -> float | None:
        found = response.headers.get("Retry-After")
        if found is None:
            return None
        wait_s = parse_retry_after(found, self._clock.now_ms())
        return None if wait_s is None else min(wait_s, self._endpoint.max_retry_after_s)

    def _text(self, error: Exception) -> str:
        return self._login.redact(f"{type(error).__name__}: {error!s:.1024}")


def redirected(url: str, response: urllib3.BaseHTTPResponse) -> str | None:
    """Where a request to ``url`` has to go instead: on the same host, or to its https.

    None where the answer says nothing of that kind, and for other hosts, which must not see
    credentials. Only 307 and 308 keep the method (RFC 9110, 15.4).
    """
    location = response.headers.get("Location")
    if response.status not in (307, 308) or not location:
        return None
    onward = urljoin(url, location)
    old, new = urlsplit(url), urlsplit(onward)
    is_same = (new.scheme, new.netloc) == (old.scheme, old.netloc)
    is_upgrade = (old.scheme, new.scheme, new.hostname) == ("http", "https", old.hostname)
    return onward if is_same or (is_upgrade and new.username is None) else None


def _pool(endpoint: Endpoint) -> urllib3.PoolManager:
    """The connections; one more for tokens, which have another host."""
    settings: dict[str, Any] = {"num_pools": 2, "maxsize": endpoint.max_shards}
    if endpoint.tls is not None:
        settings |= endpoint.tls.pool_settings()
    if endpoint.proxy_url is None:
        return urllib3.PoolManager(**settings)
    parts = urlsplit(endpoint.proxy_url)
    headers = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=pair)
    url = _without_credentials(endpoint.proxy_url)
    return urllib3.ProxyManager(url, proxy_headers=headers, **settings)


def _written(response: urllib3.BaseHTTPResponse) -> Written | None:
    """What the endpoint says it wrote; None if it says nothing of that.

    What it leaves out beside others, or is no number, is 0.
    """
    kinds = ("Samples", "Histograms", "Exemplars")
    found = [response.headers.get(_WRITTEN % kind) for kind in kinds]
    if all(text is None for text in found):
        return None
    return Written(*(int(text) if text and _COUNT.fullmatch(text) else 0 for text in found))


def parse_retry_after(text: str, now_ms: int) -> float | None:
    """Seconds to wait for a Retry-After of seconds or a date (RFC 9110, 10.2.3).

    None for what is neither, negative or past.
    """
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        wait_s = parsedate_to_datetime(text).timestamp() - now_ms / 1000
    except (ValueError, OverflowError):
        return None
    return wait_s if wait_s >= 0 else None


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
