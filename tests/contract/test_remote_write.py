"""The sender against a strict receiver, in the spirit of the public compliance tests."""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from threading import Thread
from typing import Any

import pytest

from consumer.clock import SystemClock
from consumer.remote_write.endpoint import Endpoint
from consumer.remote_write.request import Message
from consumer.remote_write.routes import Routes
from consumer.remote_write.sender import Sender
from consumer.remote_write.series import SeriesBlock, Tick
from tests.support.remote_write_receiver import Action, Received, Receiver, Reply, is_stale
from tests.support.sending import WAIT_S, eventually
from tests.unit.remote_write.fakes import Recorder, block

MakeSender = Callable[..., Sender]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found
        assert found.violations == []


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(params=list(Message), ids=["1.0", "2.0"])
def message(request: pytest.FixtureRequest) -> Message:
    """Everything holds in both versions of the protocol."""
    found: Message = request.param
    return found


@pytest.fixture
def make_sender(receiver: Receiver, recorder: Recorder, message: Message) -> Iterator[MakeSender]:
    """Makes started senders with short waits; endpoint ``here`` is the receiver."""
    made: list[Sender] = []

    def make(*others: Endpoint, **settings: Any) -> Sender:
        here: dict[str, Any] = {"url": receiver.url, "message": message}
        sender = Sender(
            Routes([endpoint(**here | settings), *others]),
            clock=SystemClock(),
            observer=recorder,
        )
        made.append(sender)
        sender.start()
        return sender

    yield make
    for sender in made:
        sender.close(0)


def endpoint(url: str, **settings: Any) -> Endpoint:
    short: dict[str, Any] = {
        "name": "here",
        "min_backoff_s": 0.002,
        "max_backoff_s": 0.02,
        "max_shards": 2,
        "timeout_s": 5.0,
        "max_pending_ticks": 20,
        "metadata_interval_s": 0.0,
    }
    return Endpoint(**{"url": url} | short | settings)


def tick(time_ms: int = 1000, **tenants: SeriesBlock) -> Tick:
    blocks = tenants or {"acme": block([["web"]], [time_ms])}
    return Tick(time_ms, {tenant: [one] for tenant, one in blocks.items()})


def delivered(sender: Sender, *ticks: Tick) -> None:
    submitted = [sender.submit(one) for one in ticks]
    assert all(delivery.wait(WAIT_S) for delivery in submitted)


def arrived(receiver: Receiver, tenant: str, time_ms: int) -> bool:
    return time_ms in times(receiver, tenant)


def zeros(message: Message, start_ms: int) -> list[tuple[int, float]]:
    """How 1.0 tells that a series begins; 2.0 tells it with each sample."""
    return [(start_ms, 0.0)] if message is Message.V1 else []


def times(receiver: Receiver, tenant: str = "acme", service: str = "web") -> list[int]:
    labels = (("__name__", "calls_total"), ("service", service))
    return [time_ms for time_ms, _ in receiver.samples(tenant).get(labels, [])]


def test_a_tick_arrives_with_its_tenant_and_protocol_headers(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    delivered(make_sender(), tick(1000, acme=block([["web"]], [3]), beta=block([["db"]], [4])))
    assert receiver.samples("acme") == {
        (("__name__", "calls_total"), ("service", "web")): [(1000, 3.0)]
    }
    assert receiver.samples("beta") == {
        (("__name__", "calls_total"), ("service", "db")): [(1000, 4.0)]
    }
    (request,) = [request for request in receiver.requests if request.tenant == "acme"]
    assert request.headers["Content-Encoding"] == "snappy"
    assert "Retry-Attempt" not in request.headers


def test_the_single_tenant_arrives_without_a_header(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    delivered(make_sender(), Tick(1000, {"single-tenant": [block([["web"]])]}))
    assert times(receiver, "") == [1000]


def test_special_values_arrive(receiver: Receiver, make_sender: MakeSender) -> None:
    values = [0.0, -1.5, math.inf, -math.inf, math.nan, 1e308, 5e-324, 0.1, 2.0**53]
    delivered(make_sender(), tick(acme=block([[str(value)] for value in values], values)))
    found = {dict(labels)["service"]: pairs for labels, pairs in receiver.samples("acme").items()}
    for value in values:
        ((_, got),) = found[str(value)]
        assert got == value or (math.isnan(got) and math.isnan(value) and not is_stale(got))


def test_large_foreign_and_many_labels_arrive(receiver: Receiver, make_sender: MakeSender) -> None:
    names = [f"label_{number}" for number in range(100)]
    texts = ['日本語 🚀 "\\\n', "x" * 10_240, *["v"] * 98]
    delivered(make_sender(), tick(acme=block([texts], label_names=names)))
    ((labels, _),) = receiver.samples("acme").items()
    assert {dict(labels)[name] for name in names} == set(texts)


def test_many_series_come_in_several_requests(receiver: Receiver, make_sender: MakeSender) -> None:
    sender = make_sender(max_shards=1)
    delivered(sender, tick(acme=block([[f"s{number}"] for number in range(5000)])))
    assert [len(request.series) for request in receiver.requests] == [2000, 2000, 1000]
    assert len(receiver.samples("acme")) == 5000


def test_a_series_begins_with_zero_and_ends_with_a_stale_marker(
    receiver: Receiver, make_sender: MakeSender, message: Message
) -> None:
    delivered(
        make_sender(),
        tick(2000, acme=block([["web"]], [5], newborn=[0], start_ms=1500)),
        tick(3000, acme=block([["web"]], [6])),
        tick(4000, acme=block([["web"]], [6], ended=[0])),
    )
    ((_, samples),) = receiver.samples("acme").items()
    *told, (last_ms, last) = samples
    assert told == [*zeros(message, 1500), (2000, 5.0), (3000, 6.0)]
    assert last_ms == 4000
    assert is_stale(last)


def test_a_bad_series_does_not_hold_up_the_others(
    receiver: Receiver, recorder: Recorder, make_sender: MakeSender
) -> None:
    delivered(make_sender(), tick(acme=block([["web"], ["\ud800"]]), beta=block([["\ud800"]])))
    assert times(receiver) == [1000]
    assert receiver.samples("beta") == {}
    assert recorder.counts["dropped", "here", "acme", "invalid_utf8"] == 1


def test_an_empty_tick_is_done_at_once(make_sender: MakeSender) -> None:
    assert make_sender().submit(Tick(1000, {})).done
    assert make_sender().submit(Tick(1000, {"acme": []})).done


@pytest.mark.parametrize("status", [200, 204])
def test_a_success_is_a_success_whatever_its_body(
    status: int, receiver: Receiver, recorder: Recorder, make_sender: MakeSender
) -> None:
    receiver.script([Reply(status=status, body=b"error" * 100_000)])
    delivered(make_sender(), tick(1000), tick(2000))
    assert len(receiver.requests) == 2
    assert recorder.counts["sent", "here", "acme"] == 2


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_failure_that_may_pass_is_tried_again(
    status: int, receiver: Receiver, recorder: Recorder, make_sender: MakeSender
) -> None:
    receiver.script([Reply(status=status, body=b"later")] * 3)
    delivered(make_sender(), tick())
    assert times(receiver) == [1000]
    assert recorder.counts["retried", "here", "acme"] == 3
    attempts = [request.headers.get("Retry-Attempt") for request in receiver.requests]
    assert attempts == [None, "1", "2", "3"]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 413, 422])
def test_a_rejection_is_final_and_the_next_tick_goes_on(
    status: int, receiver: Receiver, recorder: Recorder, make_sender: MakeSender
) -> None:
    receiver.script([Reply(status=status, body=b"no", headers={"Location": receiver.url})])
    delivered(make_sender(), tick(1000), tick(2000))
    assert times(receiver) == [2000]
    assert len(receiver.requests) == 2
    assert recorder.counts["failed", "here", "acme", f"http_{status}"] == 1


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirection_on_the_same_host_is_followed_and_a_permanent_one_remembered(
    status: int, receiver: Receiver, make_sender: MakeSender
) -> None:
    receiver.script([Reply(status=status, headers={"Location": "/elsewhere"})])
    delivered(make_sender(), tick(1000), tick(2000))
    assert times(receiver) == [1000, 2000]
    paths = [request.path for request in receiver.requests]
    last = "/elsewhere" if status == 308 else "/api/v1/write"
    assert paths == ["/api/v1/write", "/elsewhere", last]


@pytest.mark.parametrize(
    "location", ["http://localhost:1/", "//127.0.0.1:1/x", "", "http://me:hush@127.0.0.1/"]
)
def test_a_redirection_to_another_place_is_not_followed(
    location: str, receiver: Receiver, recorder: Recorder, make_sender: MakeSender
) -> None:
    receiver.script([Reply(status=308, headers={"Location": location})])
    delivered(make_sender(), tick(1000), tick(2000))
    assert times(receiver) == [2000]
    assert recorder.counts["failed", "here", "acme", "http_308"] == 1


def test_redirections_in_a_circle_end_and_none_is_followed_if_so_configured(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    receiver.always(Reply(status=307, headers={"Location": receiver.url}))
    delivered(make_sender(), tick(1000))
    assert len(receiver.requests) == 3
    delivered(make_sender(follow_redirects=False), tick(2000))
    assert len(receiver.requests) == 4


def test_415_says_that_2_0_is_not_known_and_is_final_for_1_0(
    receiver: Receiver, make_sender: MakeSender, message: Message
) -> None:
    receiver.script([Reply(status=415)] * 2)
    delivered(make_sender(), tick(1000), tick(2000))
    sent = [(True, 1000), (False, 1000), (False, 2000)]
    found = [(each.is_v2, each.series[0][1][0][0]) for each in receiver.requests]
    assert found == (sent if message is Message.V2 else [(False, 1000), (False, 2000)])
    assert times(receiver) == ([2000] if message is Message.V2 else [])


def test_429_is_final_where_the_endpoint_is_configured_so(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    receiver.script([Reply(status=429)])
    delivered(make_sender(retry_on_429=False), tick())
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "action", [Action.RESET, Action.HALF_CLOSE, Action.GARBAGE], ids=lambda action: action.value
)
def test_a_broken_connection_is_tried_again(
    action: Action, receiver: Receiver, recorder: Recorder, make_sender: MakeSender
) -> None:
    receiver.script([Reply(status=503, action=action)] * 2)
    delivered(make_sender(), tick())
    assert times(receiver) == [1000]
    assert recorder.counts["retried", "here", "acme"] == 2


def test_a_sample_taken_before_the_connection_broke_may_be_sent_again(
    receiver: Receiver, make_sender: MakeSender, message: Message
) -> None:
    receiver.script([Reply(status=200, action=Action.RESET)])
    delivered(make_sender(), tick(2000, acme=block([["web"]], newborn=[0], start_ms=1)))
    assert times(receiver) == [*(at_ms for at_ms, _ in zeros(message, 1)), 2000]
    assert len(receiver.requests) == 2


def test_an_answer_that_does_not_come_is_tried_again(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    receiver.script([Reply(delay_s=WAIT_S, status=503)])
    delivered(make_sender(timeout_s=0.1), tick())
    assert times(receiver) == [1000]


def test_a_body_cut_short_does_not_change_what_the_status_says(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    receiver.script(
        [
            Reply(status=200, action=Action.TRUNCATE),
            Reply(status=400, action=Action.TRUNCATE),
            Reply(status=500, action=Action.TRUNCATE),
        ]
    )
    delivered(make_sender(), tick(1000), tick(2000), tick(3000))
    assert times(receiver) == [1000, 3000]
    assert len(receiver.requests) == 4


@pytest.mark.parametrize("message", [Message.V1], indirect=True)
def test_a_partial_write_is_repeated_on_5xx_and_looked_through_on_400(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    two = block([["web"], ["db"]], newborn=[0, 1], start_ms=500)
    receiver.script([Reply(status=500, partial=1), Reply(), Reply(status=400, partial=1)])
    delivered(make_sender(), tick(1000, acme=two), tick(2000, acme=block([["web"], ["db"]])))
    assert times(receiver) == [500, 1000, 2000]
    assert times(receiver, service="db") == [500, 1000, 2000]


def test_retry_after_is_obeyed(receiver: Receiver, make_sender: MakeSender) -> None:
    receiver.script([Reply(status=503, headers={"Retry-After": "1"})])
    delivered(make_sender(), tick())
    first, second = receiver.requests
    assert second.at_s - first.at_s >= 1.0


def test_waits_are_capped(receiver: Receiver, make_sender: MakeSender) -> None:
    receiver.script([Reply(status=503)] * 20)
    delivered(make_sender(max_backoff_s=0.004), tick())
    assert len(receiver.requests) == 21
    # 0.004 s each is the rule; a busy machine may take its time.
    assert receiver.requests[-1].at_s - receiver.requests[0].at_s < WAIT_S / 4


def test_the_samples_of_a_series_go_out_in_time_order_whatever_fails(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    statuses = [503, 204, 429, 204, 500, 500, 204, 204, 503, 204]
    receiver.script([Reply(status=status) for status in statuses])
    rows = [[f"s{number}"] for number in range(7)]
    ticks = [tick(time_ms, acme=block(rows)) for time_ms in range(1000, 6000, 1000)]
    delivered(make_sender(max_samples_per_send=3, max_shards=4), *ticks)
    for number in range(7):
        assert times(receiver, service=f"s{number}") == [1000, 2000, 3000, 4000, 5000]


def test_a_small_tenant_does_not_wait_for_a_large_one(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    large = block([[f"s{number}"] for number in range(20)])
    sender = make_sender(max_samples_per_send=1, max_shards=1)
    delivered(sender, Tick(1000, {"large": [large], "small": [block([["web"]])]}))
    assert "small" in [request.tenant for request in receiver.requests[:2]]


def test_tenants_are_served_in_parallel(receiver: Receiver, make_sender: MakeSender) -> None:
    receiver.script([Reply(tenant="slow", delay_s=1.0)])
    sender = make_sender()
    slow = sender.submit(tick(1000, slow=block([["web"]])))
    delivered(sender, tick(1000, quick=block([["web"]])))
    assert not slow.done
    assert slow.wait(WAIT_S)


@pytest.mark.parametrize("status", [429, 500])
def test_a_tenant_that_is_refused_holds_up_nobody(
    status: int, receiver: Receiver, recorder: Recorder, make_sender: MakeSender
) -> None:
    receiver.always(Reply(status=status, tenant="bad"))
    sender = make_sender(max_pending_ticks=2)
    for time_ms in range(1000, 9000, 1000):
        submitted = sender.submit(
            tick(time_ms, bad=block([["web"]], [time_ms]), good=block([["web"]], [time_ms]))
        )
        assert receiver.wait_for(partial(arrived, receiver, "good", time_ms), WAIT_S)
    assert eventually(lambda: recorder.pending["here", "bad"] == (2, 2))
    assert sender.blocked is None
    assert not submitted.done
    receiver.always(None)
    assert submitted.wait(WAIT_S)
    assert times(receiver, "bad") == [1000, 8000]
    assert recorder.counts["dropped", "here", "bad", "collapsed"] == 6


def test_beginnings_ends_and_last_values_survive_the_collapse(
    receiver: Receiver, make_sender: MakeSender, message: Message
) -> None:
    receiver.always(Reply(status=429))
    sender = make_sender(max_pending_ticks=2)
    born = block([["web"], ["db"]], [1, 1], newborn=[1], start_ms=1500)
    sender.submit(tick(1000, acme=block([["web"]], [1])))
    sender.submit(tick(2000, acme=born))
    sender.submit(tick(3000, acme=block([["web"], ["db"]], [2, 2])))
    sender.submit(tick(4000, acme=block([["web"], ["db"]], [3, 2], ended=[1])))
    last = sender.submit(tick(5000, acme=block([["web"]], [4])))
    assert receiver.wait_for(lambda: len(receiver.requests) > 10, WAIT_S)
    receiver.always(None)
    assert last.wait(WAIT_S)
    assert times(receiver) == [1000, 5000]
    labels = (("__name__", "calls_total"), ("service", "db"))
    *told, (_, last_value) = receiver.samples("acme")[labels]
    assert told == [*zeros(message, 1500), (2000, 1.0), (3000, 2.0)]
    assert is_stale(last_value)


def test_a_tenant_refused_for_good_does_not_keep_older_ticks_undone(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    receiver.always(Reply(status=429, tenant="bad"))
    sender = make_sender(max_pending_ticks=2)
    both = {"bad": block([["web"]]), "good": block([["web"]])}
    submitted = [sender.submit(tick(time_ms, **both)) for time_ms in range(1000, 6000, 1000)]
    assert all(delivery.wait(WAIT_S) for delivery in submitted[:3])
    assert not submitted[-1].done


def test_an_endpoint_that_is_down_blocks_and_loses_nothing(
    receiver: Receiver, recorder: Recorder, make_sender: MakeSender
) -> None:
    receiver.always(Reply(status=503))
    sender = make_sender(max_pending_ticks=3)
    tenants = {name: block([["web"]]) for name in ("a", "b", "c")}
    assert sender.blocked is None
    submitted = [sender.submit(tick(time_ms, **tenants)) for time_ms in (1000, 2000, 3000)]
    assert receiver.wait_for(lambda: len(receiver.requests) > 10, WAIT_S)
    assert sender.blocked == "here"
    receiver.always(None)
    assert all(delivery.wait(WAIT_S) for delivery in submitted)
    assert sender.blocked is None
    assert all(times(receiver, tenant) == [1000, 2000, 3000] for tenant in tenants)
    assert not [key for key in recorder.counts if key[0] == "dropped"]


def test_an_endpoint_that_is_down_is_not_hammered_by_every_tenant(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    receiver.always(Reply(status=503))
    sender = make_sender(min_backoff_s=0.2, max_backoff_s=0.2)
    sender.submit(Tick(1000, {f"t{number}": [block([["web"]])] for number in range(50)}))
    assert receiver.wait_for(lambda: len(receiver.requests) >= 8, WAIT_S)
    first, *_, last = receiver.requests
    waits = [after.at_s - before.at_s for before, after in pairwise(receiver.requests)]
    assert last.at_s - first.at_s > 0.1
    assert sum(wait > 0.005 for wait in waits) >= 3


def test_one_endpoint_down_does_not_stop_the_other(
    receiver: Receiver, make_sender: MakeSender
) -> None:
    with Receiver() as other:
        other.always(Reply(status=500))
        sender = make_sender(endpoint(other.url, name="other", max_pending_ticks=2))
        submitted = [sender.submit(tick(time_ms)) for time_ms in (1000, 2000, 3000, 4000)]
        assert receiver.wait_for(lambda: times(receiver) == [1000, 2000, 3000, 4000], WAIT_S)
        assert sender.blocked == "other"
        assert not any(delivery.done for delivery in submitted)
        other.always(None)
        assert all(delivery.wait(WAIT_S) for delivery in submitted)
        assert times(other) == [1000, 2000, 3000, 4000]


def test_a_refused_connection_is_tried_until_somebody_listens(
    recorder: Recorder, make_sender: MakeSender
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sender = make_sender(url=f"http://127.0.0.1:{port}/", max_pending_ticks=1)
    delivery = sender.submit(tick())
    assert not delivery.wait(0.1)
    assert sender.blocked == "here"
    assert recorder.counts["retried", "here", "acme"] > 1


def test_a_name_that_does_not_resolve_is_no_reason_to_stop(make_sender: MakeSender) -> None:
    sender = make_sender(url="http://no-such-host.invalid/")
    delivery = sender.submit(tick())
    assert not delivery.wait(0.05)
    assert not sender.close(0)


def test_closing_delivers_what_waits(receiver: Receiver, make_sender: MakeSender) -> None:
    receiver.script([Reply(delay_s=0.05)])
    sender = make_sender()
    submitted = [sender.submit(tick(time_ms)) for time_ms in (1000, 2000, 3000)]
    assert sender.close(WAIT_S)
    assert all(delivery.done for delivery in submitted)
    assert times(receiver) == [1000, 2000, 3000]


def test_closing_ends_a_long_wait_at_once(receiver: Receiver, make_sender: MakeSender) -> None:
    receiver.script([Reply(status=503, headers={"Retry-After": "500"})])
    sender = make_sender()
    sender.submit(tick())
    assert receiver.wait_for(lambda: receiver.requests, WAIT_S)
    assert sender.close(WAIT_S)
    assert times(receiver) == [1000]


def test_closing_gives_up_at_the_deadline_and_says_so(
    receiver: Receiver, recorder: Recorder, make_sender: MakeSender
) -> None:
    receiver.always(Reply(status=503, headers={"Retry-After": "500"}))
    sender = make_sender()
    delivery = sender.submit(tick())
    assert not sender.close(0.2)
    # What is in flight at the deadline is given up by its own thread.
    assert eventually(lambda: recorder.pending["here", "acme"] == (0, 0))
    assert recorder.counts["dropped", "here", "acme", "shutdown"] == 1
    assert not delivery.done


def test_closing_a_sender_that_never_started_does_not_hang(
    receiver: Receiver, recorder: Recorder
) -> None:
    sender = Sender(Routes([endpoint(receiver.url)]), clock=SystemClock(), observer=recorder)
    delivery = sender.submit(tick())
    assert not sender.close(0.01)
    assert not delivery.done


def test_everything_sent_is_accounted_for(
    receiver: Receiver, recorder: Recorder, make_sender: MakeSender
) -> None:
    receiver.script([Reply(status=503), Reply(status=404)])
    sender = make_sender(max_samples_per_send=4, max_shards=1)
    delivered(sender, tick(2000, acme=block([[f"s{number}"] for number in range(10)])))
    assert sender.close(WAIT_S)
    counts = recorder.counts
    assert counts["sent", "here", "acme"] == 6
    assert counts["failed", "here", "acme", "http_404"] == 4
    assert counts["retried", "here", "acme"] == 4
    assert counts["trouble", "here", "acme", "server"] == 1
    assert counts["trouble", "here", "acme", "http_404"] == 1
    assert counts["requests", "here", "acme"] == 4
    assert counts["bytes", "here", "acme"] == sum(sizes(receiver.requests[2:]))
    assert recorder.pending["here", "acme"] == (0, 0)


def test_rejections_are_logged_once_with_a_bounded_text(
    receiver: Receiver, make_sender: MakeSender, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.always(Reply(status=400, body=b"too old: " + b"x" * 1_000_000))
    with caplog.at_level(logging.WARNING):
        delivered(make_sender(), *[tick(time_ms) for time_ms in range(1000, 3000, 100)])
    (record,) = caplog.records
    assert "too old: xx" in record.getMessage()
    assert 'such as calls_total{service="web"}' in record.getMessage()
    assert len(record.getMessage()) < 700


def test_secrets_are_not_logged(
    receiver: Receiver, make_sender: MakeSender, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.script([Reply(status=401, body=b"unknown token hush-token"), Reply(status=503)])
    url = receiver.url.replace("//", "//user:hush-password@") + "?key=hush-key"
    sender = make_sender(url=url, bearer_token="hush-token")  # noqa: S106
    delivered(sender, tick(1000), tick(2000))
    assert "unknown token ***" in caplog.text
    assert "hush" not in caplog.text


def test_a_block_that_breaks_the_encoder_is_dropped_alone(
    receiver: Receiver, recorder: Recorder, make_sender: MakeSender
) -> None:
    broken = block([["web"]])
    broken.labels[:] = 99
    delivered(make_sender(), tick(1000, acme=broken, beta=block([["web"]])), tick(2000))
    assert times(receiver) == [2000]
    assert times(receiver, "beta") == [1000]
    assert recorder.counts["internal_error", "here", "acme"] == 1
    assert recorder.counts["dropped", "here", "acme", "internal_error"] == 1


class Failing(Recorder):
    """An observer with a fault."""

    def samples_sent(self, endpoint: str, tenant: str, samples: int) -> None:
        raise RuntimeError(endpoint, tenant, samples)


def test_a_faulty_observer_does_not_stop_the_sender(receiver: Receiver) -> None:
    observer = Failing()
    target = endpoint(receiver.url, max_shards=1)
    sender = Sender(Routes([target]), clock=SystemClock(), observer=observer)
    sender.start()
    submitted = [sender.submit(tick(time_ms)) for time_ms in (1000, 2000, 3000)]
    assert all(delivery.wait(WAIT_S) for delivery in submitted)
    assert sender.close(WAIT_S)
    assert times(receiver) == [1000, 2000, 3000]
    assert observer.counts["internal_error", "here", "acme"] == 3


def test_a_system_that_allows_no_more_threads_is_asked_again_with_the_next_tick(
    receiver: Receiver,
    recorder: Recorder,
    make_sender: MakeSender,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    sender = make_sender()
    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", refuse)
        first = sender.submit(tick(1000))
    assert recorder.counts["internal_error", "here", ""] == 1
    delivered(sender, tick(2000))
    assert first.done
    assert times(receiver) == [1000, 2000]


def sizes(requests: list[Received]) -> list[int]:
    return [request.size_bytes for request in requests]
