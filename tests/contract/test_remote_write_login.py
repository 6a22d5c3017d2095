"""Credentials, TLS, proxies and rules on the way to a receiver."""

from __future__ import annotations

import logging
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from consumer.clock import SystemClock
from consumer.remote_write.credentials import OAuth2, TlsSettings
from consumer.remote_write.relabel import Rule
from tests.support.remote_write_receiver import Receiver, Reply
from tests.support.sending import sending
from tests.unit.remote_write.fakes import block

WEB = block([["web"]])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found
        assert found.violations == []


class Tokens:
    """A token endpoint; ``answers`` are used up, the last one stays."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str]] = []
        outer = self

        class Connection(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.requests.append((self.headers["authorization"], body))
                many = len(outer.answers) > 1
                status, answer = outer.answers.pop(0) if many else outer.answers[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Be quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Connection)
        Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"

    def settings(self) -> OAuth2:
        return OAuth2("us", self.url, "hush-client", None, ("write", "x"), {"audience": "hush-aud"})

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def authorizations(receiver: Receiver) -> list[str | None]:
    return [
        {name.lower(): value for name, value in request.headers.items()}.get("authorization")
        for request in receiver.requests
    ]


def test_a_token_is_fetched_once_and_used(receiver: Receiver) -> None:
    tokens = Tokens((200, b'{"access_token": "t1", "expires_in": 3600}'))
    with sending(receiver.url, oauth2=tokens.settings()) as sender:
        sender.deliver(1000, WEB)
        sender.deliver(2000, WEB)
    tokens.close()
    assert authorizations(receiver) == ["Bearer t1"] * 2
    basic = "Basic " + b64encode(b"us:hush-client").decode()
    body = "grant_type=client_credentials&audience=hush-aud&scope=write+x"
    assert tokens.requests == [(basic, body)]


def test_a_token_that_is_refused_is_fetched_again(receiver: Receiver) -> None:
    tokens = Tokens((200, b'{"access_token": "t1"}'), (200, b'{"access_token": "t2"}'))
    receiver.script([Reply(status=401)])
    with sending(receiver.url, oauth2=tokens.settings()) as sender:
        sender.deliver(1000, WEB)
    tokens.close()
    assert authorizations(receiver) == ["Bearer t1", "Bearer t2"]
    assert len(receiver.samples("acme")) == 1


@pytest.mark.parametrize(
    "answer", [(500, b""), (200, b"no"), (200, b"[]"), (200, b'{"access_token": "a\\nb"}')]
)
def test_without_a_token_samples_wait(answer: tuple[int, bytes], receiver: Receiver) -> None:
    tokens = Tokens(answer, answer, (200, b'{"access_token": "t"}'))
    with sending(receiver.url, oauth2=tokens.settings()) as sender:
        sender.deliver(1000, WEB)
    tokens.close()
    assert authorizations(receiver) == ["Bearer t"]


def test_a_file_is_read_again(receiver: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    with sending(receiver.url, bearer_token_file=str(file)) as sender:
        sender.deliver(1000, WEB)
        file.write_text("two\n")
        SystemClock().sleep_s(1.05)
        sender.deliver(2000, WEB)
        file.unlink()
        SystemClock().sleep_s(1.05)
        sender.deliver(3000, WEB)
    assert authorizations(receiver) == ["Bearer one", "Bearer two", "Bearer two"]


def test_a_password_comes_from_its_file(receiver: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("pass\n")
    with sending(receiver.url, user="me", password_file=str(file)) as sender:
        sender.deliver(1000, WEB)
    assert authorizations(receiver) == ["Basic " + b64encode(b"me:pass").decode()]


def test_no_secret_is_said_anywhere(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text("hush-file")
    tokens = Tokens((200, b'{"access_token": "hush-token"}'))
    pair = b64encode(b"us:hush-client")
    logins: list[tuple[bytes, dict[str, Any]]] = [
        (b"hush-file", {"bearer_token_file": str(file)}),
        (b"hush-token hush-client hush-aud " + pair, {"oauth2": tokens.settings()}),
    ]
    with caplog.at_level(logging.DEBUG, logger="consumer"):
        for body, login in logins:
            receiver.script([Reply(status=503, body=body), Reply(status=404, body=body)])
            with sending(receiver.url, **login) as sender:
                sender.deliver(1000, WEB)
        proxy = "http://u:hush-proxy@127.0.0.1:9"
        with sending(receiver.url, proxy_url=proxy, oauth2=tokens.settings()) as sender:
            assert "hush" not in repr(sender.sender._dispatchers["here"]._link.endpoint)
    tokens.close()
    assert "HTTP 404" in caplog.text
    assert "hush-" not in caplog.text
    assert pair.decode() not in caplog.text


def test_a_request_goes_through_the_proxy(receiver: Receiver) -> None:
    proxy = receiver.url.replace("//", "//user:word@").removesuffix("/api/v1/write")
    with sending("http://far.invalid/write", proxy_url=proxy) as sender:
        sender.deliver(1000, WEB)
    assert len(receiver.samples("acme")) == 1
    sent = {name.lower(): value for name, value in receiver.requests[0].headers.items()}
    assert sent["proxy-authorization"] == "Basic " + b64encode(b"user:word").decode()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of ``inner.test`` with its key, in one file."""
    file = tmp_path / "both.pem"
    key = tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=inner.test"
    names = "subjectAltName=DNS:inner.test"
    subprocess.run(
        [*command.split(), "-addext", names, "-keyout", str(key), "-out", str(file)],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + key.read_text())
    return file


@pytest.fixture
def https(receiver: Receiver, certificate: Path) -> str:
    """The receiver behind TLS; it wants a certificate of its clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server = receiver._server
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    return receiver.url.replace("http:", "https:")


def test_tls_trusts_a_ca_checks_a_name_and_shows_a_certificate(
    receiver: Receiver, https: str, certificate: Path
) -> None:
    path = str(certificate)
    tls = TlsSettings(ca_file=path, cert_file=path, server_name="inner.test")
    with sending(https, tls=tls) as sender:
        sender.deliver(1000, WEB)
    assert len(receiver.samples("acme")) == 1


def test_tls_may_trust_anybody(receiver: Receiver, https: str, certificate: Path) -> None:
    tls = TlsSettings(cert_file=str(certificate), insecure_skip_verify=True, min_version="TLS13")
    with sending(https, tls=tls) as sender:
        sender.deliver(1000, WEB)
    assert len(receiver.samples("acme")) == 1


def test_tls_sends_nothing_to_another_name(
    receiver: Receiver, https: str, certificate: Path
) -> None:
    path = str(certificate)
    tls = TlsSettings(ca_file=path, cert_file=path, server_name="other.test")
    with sending(https, tls=tls) as sender:
        sender.sender.close(0.2)
        assert sender.count("sent", "acme") == 0
    assert receiver.requests == []


def test_rules_are_those_of_one_endpoint(receiver: Receiver) -> None:
    rules = (
        Rule(action="drop", source_labels=("service",), regex="db"),
        Rule(source_labels=("service",), target_label="app"),
    )
    with sending(receiver.url, relabel=rules) as sender:
        sender.deliver(2000, block([["web"], ["db"]], newborn=[0], start_ms=1500))
        assert sender.count("dropped", "acme", "relabelled") == 1
        assert sender.recorder.pending["here", "acme"] == (0, 0)
    assert receiver.samples("acme") == {
        (("__name__", "calls_total"), ("app", "web"), ("service", "web")): [
            (1500, 0.0),
            (2000, 1.0),
        ]
    }


def test_samples_older_than_the_limit_are_not_sent(receiver: Receiver) -> None:
    now_ms = SystemClock().now_ms()
    with sending(receiver.url, sample_age_limit_s=60.0) as sender:
        sender.deliver(now_ms - 120_000, WEB)
        sender.deliver(now_ms, WEB)
        assert sender.count("dropped", "acme", "too_old") == 1
        assert sender.count("sent", "acme") == 1


def test_samples_that_grow_too_old_while_they_wait_are_given_up(receiver: Receiver) -> None:
    receiver.always(Reply(status=503))
    with sending(receiver.url, sample_age_limit_s=0.3) as sender:
        sender.deliver(SystemClock().now_ms(), WEB)
        assert sender.count("dropped", "acme", "too_old") == 1
