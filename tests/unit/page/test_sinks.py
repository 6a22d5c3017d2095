import pytest

from consumer.page.sinks import MAX_TEXT, Sinks, SinkView
from tests.support.clock import HandClock
from tests.unit.remote_write.fakes import Recorder


@pytest.fixture
def clock() -> HandClock:
    return HandClock(100)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def sinks(clock: HandClock, recorder: Recorder) -> Sinks:
    return Sinks(recorder, ["here"], clock)


def view(sinks: Sinks) -> SinkView:
    (only,) = sinks.views()
    return only


def test_an_endpoint_is_there_before_its_first_tick(sinks: Sinks) -> None:
    assert view(sinks).name == "here"
    assert view(sinks).state == "waiting"


def test_what_is_sent_and_lost_is_counted_by_reason(sinks: Sinks, clock: HandClock) -> None:
    sinks.samples_sent("here", "a", 10)
    clock.sleep_s(5)
    sinks.samples_sent("here", "b", 5)
    sinks.samples_retried("here", "a", 7)
    sinks.samples_failed("here", "a", "http_400", 2)
    sinks.samples_failed("here", "b", "http_400", 1)
    sinks.samples_dropped("here", "a", "too_old", 4)
    seen = view(sinks)
    assert (seen.samples_sent, seen.samples_retried) == (15, 7)
    assert seen.samples_failed == {"http_400": 3}
    assert seen.samples_dropped == {"too_old": 4}
    assert seen.sent_ms == 105_000
    assert seen.state == "working"


def test_an_endpoint_with_more_than_a_tick_to_deliver_is_behind(sinks: Sinks) -> None:
    sinks.samples_sent("here", "a", 1)
    sinks.pending_changed("here", "a", 100, 1)
    assert view(sinks).state == "working"
    sinks.pending_changed("here", "b", 50, 2)
    assert view(sinks).state == "behind"
    assert (view(sinks).samples_pending, view(sinks).ticks_pending) == (150, 2)
    sinks.pending_changed("here", "b", 0, 0)
    assert view(sinks).state == "working"


def test_trouble_after_the_last_success_is_failing(sinks: Sinks, clock: HandClock) -> None:
    sinks.samples_sent("here", "a", 1)
    clock.sleep_s(1)
    sinks.pending_changed("here", "a", 100, 1)
    sinks.trouble_seen("here", "a", "server", "HTTP 503: " + "x" * 10_000)
    seen = view(sinks)
    assert seen.state == "failing"
    assert seen.trouble is not None
    assert (seen.trouble.tenant, seen.trouble.reason) == ("a", "server")
    assert len(seen.trouble.text) == MAX_TEXT
    clock.sleep_s(1)
    sinks.samples_sent("here", "a", 100)
    assert view(sinks).state == "working"


def test_the_endpoint_that_the_worker_waits_for_is_blocking(sinks: Sinks) -> None:
    sinks.blocked = "here"
    assert view(sinks).state == "blocking"
    sinks.blocked = "elsewhere"
    assert view(sinks).state == "waiting"


def test_endpoints_come_and_go_with_the_routes(sinks: Sinks) -> None:
    sinks.pending_changed("here", "a", 100, 1)
    sinks.follow(["there"])
    assert [each.name for each in sinks.views()] == ["here", "there"]
    sinks.pending_changed("here", "a", 0, 0)
    assert [each.name for each in sinks.views()] == ["there"]


def test_everything_is_passed_on(sinks: Sinks, recorder: Recorder) -> None:
    sinks.samples_sent("here", "a", 1)
    sinks.samples_retried("here", "a", 2)
    sinks.samples_failed("here", "a", "why", 3)
    sinks.samples_dropped("here", "a", "why", 4)
    sinks.bytes_sent("here", "a", 5)
    sinks.request_finished("here", "a", 0.5)
    sinks.pending_changed("here", "a", 6, 1)
    sinks.trouble_seen("here", "a", "why", "text")
    sinks.internal_error("here", "a")
    sinks.shards_changed("here", 2, 1.5, 1, 4)
    sinks.queued_until("here", 7)
    sinks.sent_until("here", 6)
    heard = "sent=1 retried=2 failed=3 dropped=4 bytes=5 requests=1 trouble=1 internal_error=1"
    assert " ".join(f"{key[0]}={n}" for key, n in recorder.counts.items()) == heard
    assert recorder.pending == {("here", "a"): (6, 1)}
    assert recorder.shards == {"here": 2}
    assert recorder.newest == {("queued", "here"): 7, ("sent", "here"): 6}
