import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import snappy
import urllib3

from tests.chaos.sink import Sink, Trouble
from tests.support.otlp import field, varint
from tests.support.remote_write_receiver import Receiver, Reply


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def sink(receiver: Receiver) -> Iterator[Sink]:
    with Sink(receiver.url.rpartition("/api")[0]) as sink:
        yield sink


HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "spanmill/0.1.0",
}


def post(sink: Sink, body: bytes = b"x") -> tuple[int, bytes]:
    with ExitStack() as stack:
        pool = stack.enter_context(urllib3.PoolManager(retries=False, timeout=5.0))
        answer = pool.request("POST", sink.url, body=body, headers=HEADERS)
        return answer.status, answer.data


def test_requests_and_answers_pass(receiver: Receiver, sink: Sink) -> None:
    receiver.always(Reply(status=418, body=b"a teapot"))
    status, body = post(sink)
    assert (status, len(receiver.requests)) == (sum(sink.answers), 1)
    assert body


def test_a_sink_that_is_unavailable_lets_nothing_through(receiver: Receiver, sink: Sink) -> None:
    sink.trouble = Trouble.UNAVAILABLE
    assert post(sink) == (503, b"down for a while")
    assert receiver.requests == []


@pytest.mark.parametrize(("trouble", "came"), [(Trouble.RESET, 0), (Trouble.TAKEN_AND_RESET, 1)])
def test_a_reset_connection_is_told_to_the_sender(
    receiver: Receiver, sink: Sink, trouble: Trouble, came: int
) -> None:
    sink.trouble = trouble
    with pytest.raises(urllib3.exceptions.ProtocolError):
        post(sink)
    assert len(receiver.requests) == came


def test_a_request_without_samples_passes_and_has_no_delay(receiver: Receiver, sink: Sink) -> None:
    assert post(sink, snappy.compress(b""))[0] == 204
    assert receiver.violations == []
    assert sink.delays_ms == []


def test_how_late_samples_come_is_noted(sink: Sink) -> None:
    sample = field(2, varint(2 << 3) + varint(1_700_000_000_000))
    name = field(1, field(1, b"__name__") + field(2, b"up"))
    before_ms = time.time_ns() // 1_000_000
    assert post(sink, snappy.compress(field(1, name + sample)))[0] == 204
    [delay_ms] = sink.delays_ms
    assert delay_ms >= before_ms - 1_700_000_000_000
