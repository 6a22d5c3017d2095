# ruff: noqa: S106 - no secrets of anybody's
from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import pytest
import urllib3

from consumer.remote_write.client import (
    Client,
    Delivered,
    Outcome,
    Rejected,
    Retry,
    Trouble,
    parse_retry_after,
)
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.request import EncodedRequest, Message
from tests.support.clock import HandClock


def client(url: str = "http://localhost/write", **settings: Any) -> Client:
    return Client(Endpoint(url=url, name="here", **settings), HandClock())


def outcome(
    status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, **settings: Any
) -> Outcome:
    response = urllib3.HTTPResponse(
        BytesIO(body), headers=headers or {}, status=status, preload_content=False
    )
    return client(**settings)._outcome(response)


def headers(tenant: str = "acme", attempt: int = 0, **settings: Any) -> dict[str, str]:
    made = client(**settings)
    return made._headers.of(tenant, Message.V1, attempt) | made._login.headers()


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_2xx_is_delivered_whatever_the_body_says(status: int) -> None:
    assert outcome(status, b"error: not really") == Delivered(status)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_any_5xx_is_tried_again(status: int) -> None:
    assert outcome(status, b"down") == Retry(Trouble.SERVER, f"HTTP {status}: down")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 415, 422, 499])
def test_other_4xx_are_rejected_for_good(status: int) -> None:
    assert outcome(status, b"no") == Rejected(f"http_{status}", f"HTTP {status}: no")


def test_429_is_tried_again_unless_switched_off() -> None:
    assert outcome(429) == Retry(Trouble.THROTTLED, "HTTP 429")
    assert outcome(429, retry_on_429=False) == Rejected("http_429", "HTTP 429")


def test_a_redirect_is_rejected_and_says_where_it_leads() -> None:
    found = outcome(302, headers={"Location": "https://elsewhere/write"})
    assert isinstance(found, Rejected)
    assert "'https://elsewhere/write' are not followed" in found.text


@pytest.mark.parametrize("status", [101, 600, 999])
def test_a_status_outside_http_is_rejected(status: int) -> None:
    assert isinstance(outcome(status), Rejected)


def test_a_kibibyte_of_an_error_is_kept() -> None:
    found = outcome(400, b"x" * 1_000_000)
    assert isinstance(found, Rejected)
    assert len(found.text) == len("HTTP 400: ") + 1024


def test_an_error_that_is_not_unicode_is_kept_readable() -> None:
    assert outcome(400, b"\xff!") == Rejected("http_400", "HTTP 400: \ufffd!")


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read_and_bounded(status: int) -> None:
    for text, wait_s in [("7", 7.0), ("0", 0.0), ("86400", 600.0), ("-1", None), ("soon", None)]:
        found = outcome(status, headers={"Retry-After": text})
        assert isinstance(found, Retry)
        assert found.retry_after_s == wait_s


def test_retry_after_may_be_a_date() -> None:
    now_ms = 1_445_412_470_000
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now_ms) == 10.0
    assert parse_retry_after("Wed, 21 Oct 2015 07:27:00 GMT", now_ms) is None


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "-inf", "Wed, 99 Oct 2015", "1 2", "٣", "1.5", "1_0"]
)
def test_an_odd_retry_after_is_ignored(text: str) -> None:
    assert parse_retry_after(text, 0) is None


def test_the_protocol_headers_are_there() -> None:
    found = headers()
    assert found["Content-Encoding"] == "snappy"
    assert re.fullmatch(r"spanmill/\S+", found["User-Agent"])


def test_users_headers_are_sent_but_cannot_replace_the_protocols() -> None:
    own = {
        "content-encoding": "gzip",
        " Content-Type": "text/plain",
        "USER-AGENT": "me",
        "x-prometheus-remote-write-version": "9",
        "Content-Length": "1",
        "X-Mine": "kept",
    }
    found = headers(headers=own)
    assert found["X-Mine"] == "kept"
    assert not {"gzip", "text/plain", "me", "9", "1"} & set(found.values())
    names = [name.lower() for name in found]
    assert len(names) == len(set(names))


def test_the_tenant_goes_into_its_header() -> None:
    assert headers("my-tenant")["X-Scope-OrgID"] == "my-tenant"


def test_the_single_tenant_has_no_header() -> None:
    assert "X-Scope-OrgID" not in headers("single-tenant")


def test_the_tenant_header_can_be_switched_off() -> None:
    assert "X-Scope-OrgID" not in headers("my-tenant", add_org_id_header=False)


@pytest.mark.parametrize("name", ["X-Scope-OrgID", "x-scope-orgid", " X-SCOPE-ORGID "])
def test_a_configured_tenant_header_is_kept(name: str) -> None:
    found = headers("my-tenant", headers={name: "fake"})
    assert [value for name, value in found.items() if name.lower() == "x-scope-orgid"] == ["fake"]


def test_a_blank_configured_tenant_header_does_not_count() -> None:
    found = headers("my-tenant", headers={"x-scope-orgid": "  "})
    assert [value for name, value in found.items() if name.lower() == "x-scope-orgid"] == [
        "my-tenant"
    ]


def test_a_tenants_name_goes_out_as_utf8() -> None:
    assert headers("zoë")["X-Scope-OrgID"].encode("latin-1") == "zoë".encode()


@pytest.mark.parametrize("tenant", ["a\r\nX-Evil: 1", "a\nb", "\x00", "\ud800"])
def test_a_tenant_that_is_no_header_value_is_rejected_without_being_sent(tenant: str) -> None:
    found = client().send(tenant, EncodedRequest(b"", 0, 0))
    assert isinstance(found, Rejected)
    assert (found.reason, found.answered) == ("invalid_tenant", False)


def test_further_attempts_say_so() -> None:
    assert "Retry-Attempt" not in headers(attempt=0)
    assert headers(attempt=3)["Retry-Attempt"] == "3"


def test_credentials_become_an_authorization_header() -> None:
    basic = "Basic " + b64encode(b"me:pass:word").decode()
    assert headers(user="me", password="pass:word")["authorization"] == basic
    assert headers(url="http://me:pass%3Aword@localhost/")["authorization"] == basic
    assert headers(bearer_token="token")["authorization"] == "Bearer token"
    given = headers(bearer_token="token", headers={"Authorization": "other"})
    assert "other" not in given.values()


def test_secrets_are_neither_shown_nor_in_errors() -> None:
    endpoint = Endpoint(
        url="https://me:hush-url@localhost/write?token=hush-query",
        name="here",
        headers={"X-Key": "hush-header", "Authorization": "Custom hush-scheme"},
        password="hush-password",
        bearer_token="hush-token",
    )
    assert "hush" not in repr(endpoint)
    assert endpoint.shown_url == "https://localhost/write"
    secrets = ["url", "query", "header", "scheme", "password", "token"]
    found = endpoint.redact(" ".join(f"hush-{secret}" for secret in secrets))
    assert "hush" not in found.replace("hush-scheme", "")
    assert "hush" not in endpoint.redact("Authorization: Custom hush-scheme")


def test_an_endpoint_that_repeats_a_secret_does_not_get_it_into_the_error() -> None:
    found = outcome(401, b"bad token hush-token", bearer_token="hush-token")
    assert found == Rejected("http_401", "HTTP 401: bad token ***")
