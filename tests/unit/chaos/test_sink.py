from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import urllib3

from tests.chaos.sink import Sink, Trouble
from tests.support.remote_write_receiver import Receiver, Reply


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def sink(receiver: Receiver) -> Iterator[Sink]:
    with Sink(receiver.url.rpartition("/api")[0]) as sink:
        yield sink


def post(sink: Sink) -> tuple[int, bytes]:
    with ExitStack() as stack:
        pool = stack.enter_context(urllib3.PoolManager(retries=False, timeout=5.0))
        answer = pool.request("POST", sink.url, body=b"x")
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
