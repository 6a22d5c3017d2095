"""Endpoints and headers of single tenants, and what a change of them does to what waits."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from consumer.clock import SystemClock
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.headers import TenantHeaders
from consumer.remote_write.routes import Routes
from consumer.remote_write.sender import Sender
from consumer.remote_write.series import Tick
from tests.support.remote_write_receiver import Received, Receiver, Reply
from tests.support.sending import WAIT_S, eventually
from tests.unit.remote_write.fakes import Recorder, block

WEB = block([["web"]])
DOWN = Reply(status=503)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found
        assert found.violations == []


@pytest.fixture
def other() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found
        assert found.violations == []


@contextmanager
def started(routes: Routes, recorder: Recorder | None = None) -> Iterator[Sender]:
    sender = Sender(routes, clock=SystemClock(), observer=recorder or Recorder())
    sender.start()
    try:
        yield sender
    finally:
        sender.close(0)


def endpoint(receiver: Receiver, name: str = "here", **settings: Any) -> Endpoint:
    short: dict[str, Any] = {
        "min_backoff_s": 0.002,
        "max_backoff_s": 0.02,
        "max_pending_ticks": 20,
        "metadata_interval_s": 0.0,
    }
    return Endpoint(**{"url": receiver.url, "name": name} | short | settings)


def tick(time_ms: int, *tenants: str) -> Tick:
    return Tick(time_ms, {tenant: [WEB] for tenant in tenants})


def deliver(sender: Sender, time_ms: int, *tenants: str) -> None:
    assert sender.submit(tick(time_ms, *tenants)).wait(WAIT_S)


def times(receiver: Receiver, tenant: str) -> list[int]:
    return [time_ms for samples in receiver.samples(tenant).values() for time_ms, _ in samples]


def lower(request: Received) -> Mapping[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def test_a_tenants_headers_are_on_its_requests_alone_and_win_whatever_their_case(
    receiver: Receiver,
) -> None:
    headers = TenantHeaders({"X-All": "all"}, {"acme": {"x-key": "acme's"}})
    with started(
        Routes([endpoint(receiver, headers={"X-Key": "static"})], headers=headers)
    ) as sender:
        deliver(sender, 1000, "acme")
        deliver(sender, 1000, "beta")
    acme, beta = map(lower, receiver.requests)
    assert (acme["x-key"], acme.get("x-all"), acme["x-scope-orgid"]) == ("acme's", None, "acme")
    assert (beta["x-key"], beta["x-all"], beta["x-scope-orgid"]) == ("static", "all", "beta")


def test_a_tenants_headers_may_say_who_it_is(receiver: Receiver) -> None:
    own = {"authorization": "Bearer acme's", "X-SCOPE-ORGID": "group"}
    routes = Routes(
        [endpoint(receiver, bearer_token="ours")],  # noqa: S106 - nobody's
        headers=TenantHeaders({}, {"acme": own}),
    )
    with started(routes) as sender:
        deliver(sender, 1000, "acme")
        deliver(sender, 1000, "beta")
    acme, beta = map(lower, receiver.requests)
    assert (acme["authorization"], acme["x-scope-orgid"]) == ("Bearer acme's", "group")
    assert (beta["authorization"], beta["x-scope-orgid"]) == ("Bearer ours", "beta")


def test_a_tenants_headers_cannot_replace_the_protocols(receiver: Receiver) -> None:
    own = {"content-type": "text/plain", "User-Agent": "me", "Host": "evil", "Content-Length": "1"}
    with started(Routes([endpoint(receiver)], headers=TenantHeaders({}, {"acme": own}))) as sender:
        deliver(sender, 1000, "acme")
    assert receiver.requests[0].headers["Host"].startswith("127.0.0.1")


def test_a_tenants_secrets_are_not_logged(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.script([Reply(status=503, body=b"hush-key?"), Reply(status=403, body=b"hush-token!")])
    own = {"X-Key": "hush-key", "Authorization": "Bearer hush-token"}
    with (
        caplog.at_level(logging.DEBUG, logger="consumer"),
        started(Routes([endpoint(receiver)], headers=TenantHeaders({}, {"acme": own}))) as sender,
    ):
        deliver(sender, 1000, "acme")
    assert "***!" in caplog.text
    assert "hush" not in caplog.text


def test_a_tenants_own_endpoint_gets_its_samples_and_nobody_elses(
    receiver: Receiver, other: Receiver
) -> None:
    routes = Routes([endpoint(receiver)], {"acme": [endpoint(other, "acme/o")], "mute": []})
    with started(routes) as sender:
        deliver(sender, 1000, "acme", "beta", "mute")
    assert (times(receiver, "acme"), times(receiver, "beta")) == ([], [1000])
    assert (times(other, "acme"), times(other, "beta")) == ([1000], [])
    assert times(receiver, "mute") == []


def test_a_tenants_own_endpoint_that_is_down_holds_up_nobody(
    receiver: Receiver, other: Receiver
) -> None:
    other.always(DOWN)
    own = endpoint(other, "acme/o", private=True, max_pending_ticks=2)
    with started(Routes([endpoint(receiver)], {"acme": [own]})) as sender:
        made = [sender.submit(tick(at, "acme", "beta")) for at in range(1000, 9000, 1000)]
        assert receiver.wait_for(lambda: 8000 in times(receiver, "beta"), WAIT_S)
        assert sender.blocked is None
        # What the later ticks say as well is not waited for.
        assert all(delivery.wait(WAIT_S) for delivery in made[:5])
        other.always(None)
        assert made[-1].wait(WAIT_S)
    assert times(other, "acme")[-1] == 8000


def test_new_headers_are_on_what_waits(receiver: Receiver) -> None:
    receiver.always(DOWN)
    where = [endpoint(receiver)]
    with started(Routes(where, headers=TenantHeaders({"X-Key": "old"}))) as sender:
        delivery = sender.submit(tick(1000, "acme"))
        assert receiver.wait_for(lambda: receiver.requests, WAIT_S)
        sender.apply(Routes(where, headers=TenantHeaders({"X-Key": "new"})))
        receiver.always(None)
        assert delivery.wait(WAIT_S)
    assert lower(receiver.requests[-1])["x-key"] == "new"


def test_an_endpoint_that_moved_gets_at_its_new_address_what_waits(
    receiver: Receiver, other: Receiver
) -> None:
    receiver.always(Reply(status=503, headers={"Retry-After": "500"}))
    with started(Routes([endpoint(receiver)])) as sender:
        made = [sender.submit(tick(at, "acme")) for at in (1000, 2000)]
        assert receiver.wait_for(lambda: receiver.requests, WAIT_S)
        sender.apply(Routes([endpoint(other, max_samples_per_send=1)]))
        made.append(sender.submit(tick(3000, "acme")))
        assert all(delivery.wait(WAIT_S) for delivery in made)
    assert times(other, "acme") == [1000, 2000, 3000]


def test_an_endpoint_that_is_not_named_any_more_still_gets_what_waits_and_is_closed_then(
    receiver: Receiver, other: Receiver
) -> None:
    receiver.always(DOWN)
    with started(Routes([endpoint(receiver)])) as sender:
        made = [sender.submit(tick(at, "acme")) for at in (1000, 2000)]
        sender.apply(Routes([endpoint(other, "other")]))
        deliver(sender, 3000, "acme")
        assert sender.blocked is None
        receiver.always(None)
        assert all(delivery.wait(WAIT_S) for delivery in made)
        assert eventually(lambda: sender.blocked is None and not sender._leaving)
    assert (times(receiver, "acme"), times(other, "acme")) == ([1000, 2000], [3000])


def test_an_endpoint_that_is_down_and_not_named_any_more_is_given_up_in_time(
    receiver: Receiver, other: Receiver
) -> None:
    receiver.always(DOWN)
    recorder = Recorder()
    with started(Routes([endpoint(receiver)]), recorder) as sender:
        delivery = sender.submit(tick(1000, "acme"))
        assert receiver.wait_for(lambda: receiver.requests, WAIT_S)
        sender.apply(Routes([endpoint(other, "other")], leave_s=0.05))
        assert eventually(lambda: sender.blocked is None and delivery.done)
    assert recorder.counts["dropped", "here", "acme", "endpoint_removed"] == 1
    assert recorder.pending["here", "acme"] == (0, 0)


def test_an_endpoint_that_is_named_again_goes_on(receiver: Receiver) -> None:
    receiver.always(DOWN)
    routes = Routes([endpoint(receiver)])
    with started(routes) as sender:
        first = sender.submit(tick(1000, "acme"))
        sender.apply(Routes(leave_s=WAIT_S))
        assert sender.submit(tick(2000, "acme")).done
        sender.apply(routes)
        last = sender.submit(tick(3000, "acme"))
        receiver.always(None)
        assert first.wait(WAIT_S)
        assert last.wait(WAIT_S)
    assert times(receiver, "acme") == [1000, 3000]


def test_closing_delivers_what_waits_for_an_endpoint_that_is_leaving(receiver: Receiver) -> None:
    receiver.script([Reply(status=503, headers={"Retry-After": "500"})])
    with started(Routes([endpoint(receiver)])) as sender:
        sender.submit(tick(1000, "acme"))
        assert receiver.wait_for(lambda: receiver.requests, WAIT_S)
        sender.apply(Routes())
        assert sender.close(WAIT_S)
    assert times(receiver, "acme") == [1000]
