"""A receiver that refuses a whole request for one sample, as Prometheus does with 1.0."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from consumer.remote_write.request import Message
from tests.support.remote_write_receiver import Receiver, Reply
from tests.support.sending import Sending, sending
from tests.unit.remote_write.fakes import block

ROWS = [[f"s{number}"] for number in range(2000)]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found
        assert found.violations == []


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[Sending]:
    with sending(receiver.url) as found:
        yield found


def refuse(receiver: Receiver, *services: str, time_ms: int | None = None) -> None:
    receiver.refuse(
        lambda labels, at_ms: dict(labels)["service"] in services and time_ms in (None, at_ms)
    )


def test_one_bad_sample_costs_itself_alone(receiver: Receiver, sender: Sending) -> None:
    refuse(receiver, "s1234")
    sender.deliver(1000, block(ROWS))
    assert len(receiver.samples("acme")) == 1999
    assert sender.count("failed", "acme", "http_400") == 1
    assert sender.count("sent", "acme") == 1999
    assert len(receiver.requests) <= 23
    assert sender.recorder.pending["here", "acme"] == (0, 0)


@pytest.mark.parametrize("message", list(Message), ids=["1.0", "2.0"])
def test_what_is_refused_is_named_in_the_log(
    receiver: Receiver, message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(receiver, "s1234")
    with caplog.at_level(logging.WARNING), sending(receiver.url, message=message) as sender:
        sender.deliver(1000, block(ROWS))
    assert '1 sample rejected for good, such as calls_total{service="s1234"}' in caplog.text


def test_a_refused_zero_does_not_cost_its_sample(receiver: Receiver, sender: Sending) -> None:
    refuse(receiver, "s5", time_ms=500)
    sender.deliver(1000, block(ROWS[:10], newborn=range(10), start_ms=500))
    samples = receiver.samples("acme")
    times = {dict(labels)["service"]: [at_ms for at_ms, _ in of] for labels, of in samples.items()}
    assert times.pop("s5") == [1000]
    assert set(map(tuple, times.values())) == {(500, 1000)}
    assert sender.count("failed", "acme", "http_400") == 1
    assert sender.count("sent", "acme") == 19


def test_a_zero_refused_with_nothing_else_there_does_not_cost_its_sample(
    receiver: Receiver, sender: Sending
) -> None:
    refuse(receiver, "s0", time_ms=500)
    sender.deliver(1000, block(ROWS[:1], newborn=[0], start_ms=500))
    assert list(receiver.samples("acme").values()) == [[(1000, 1.0)]]


def test_the_search_is_bounded_and_ends_with_the_tick(receiver: Receiver, sender: Sending) -> None:
    receiver.refuse(lambda _, at_ms: at_ms == 1000)
    sender.deliver(1000, block(ROWS), block(ROWS, name="size_total"))
    assert len(receiver.requests) <= 2 * (2 + 2 * 128)  # two shards
    assert sender.count("failed", "acme", "http_400") == 4000
    sender.deliver(2000, block(ROWS))
    assert sender.count("sent", "acme") == 2000


def test_all_zeros_refused_leave_the_search_for_others_alone(
    receiver: Receiver, sender: Sending
) -> None:
    receiver.refuse(lambda labels, at_ms: at_ms == 500 or dict(labels)["service"] == "s7")
    sender.deliver(1000, block(ROWS[:1000], newborn=range(1000), start_ms=500))
    assert len(receiver.samples("acme")) == 999
    assert sender.count("sent", "acme") == 999
    assert sender.count("failed", "acme", "http_400") == 1001


def test_an_answer_lost_and_then_a_refusal_of_what_is_there_already_loses_nothing(
    receiver: Receiver, sender: Sending
) -> None:
    receiver.script([Reply(status=503, partial=2)])
    refuse(receiver, "s0", "s1", time_ms=500)
    sender.deliver(1000, block(ROWS[:3]))
    assert len(receiver.samples("acme")) == 3
    assert sender.count("sent", "acme") == 3


def test_a_failure_amid_the_search_is_tried_again(receiver: Receiver, sender: Sending) -> None:
    refuse(receiver, "s3")
    receiver.script([Reply(), Reply(status=503), Reply(status=429), Reply()])
    sender.deliver(1000, block(ROWS[:8]))
    assert len(receiver.samples("acme")) == 7
    assert sender.count("failed", "acme", "http_400") == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_that_is_about_no_sample_is_not_searched(
    status: int, receiver: Receiver, sender: Sending
) -> None:
    receiver.always(Reply(status=status))
    sender.deliver(1000, block(ROWS[:8]))
    assert len(receiver.requests) == 1


def test_a_request_that_is_too_large_is_cut_until_it_fits(
    receiver: Receiver, sender: Sending
) -> None:
    receiver.script([Reply(status=413), Reply(status=413)])
    sender.deliver(1000, block(ROWS[:100]))
    assert len(receiver.samples("acme")) == 100


def test_order_is_kept_while_searching(receiver: Receiver) -> None:
    refuse(receiver, "s3")
    with sending(receiver.url, max_shards=4) as sender:
        for time_ms in range(1000, 6000, 1000):
            sender.deliver(time_ms, block(ROWS[:20]))
    assert all(
        [at_ms for at_ms, _ in samples] == [1000, 2000, 3000, 4000, 5000]
        for samples in receiver.samples("acme").values()
    )


def test_a_request_that_is_refused_as_a_whole_is_given_up_after_its_sixteenths(
    receiver: Receiver, sender: Sending
) -> None:
    receiver.refuse(lambda _, at_ms: at_ms == 1000)
    sender.deliver(1000, block(ROWS))
    assert len(receiver.requests) == 1 + 2 + 4 + 8 + 16
    assert sender.count("failed", "acme", "http_400") == 2000
    assert sender.recorder.pending["here", "acme"] == (0, 0)
    sender.deliver(2000, block(ROWS))
    assert sender.count("sent", "acme") == 2000


def test_after_a_request_refused_as_a_whole_the_rest_of_its_tick_is_given_up_sooner(
    receiver: Receiver,
) -> None:
    receiver.refuse(lambda _, at_ms: at_ms == 1000)
    with sending(receiver.url, max_shards=1) as sender:
        sender.deliver(1000, block(ROWS), block(ROWS, name="size_total"))
        assert len(receiver.requests) == 31 + 7
        assert sender.count("failed", "acme", "http_400") == 4000


@pytest.mark.parametrize(
    ("bad", "rows"), [(range(15), 250), (range(60, 2000, 130), 2000)], ids=["in a row", "apart"]
)
def test_fifteen_bad_samples_cost_themselves_alone(
    bad: range, rows: int, receiver: Receiver, sender: Sending
) -> None:
    refuse(receiver, *(f"s{number}" for number in bad))
    sender.deliver(1000, block(ROWS[:rows]))
    assert len(receiver.samples("acme")) == rows - 15
    assert sender.count("failed", "acme", "http_400") == 15


def test_zeros_refused_as_a_whole_are_given_up_without_their_samples(
    receiver: Receiver, sender: Sending
) -> None:
    receiver.refuse(lambda _, at_ms: at_ms == 500)
    sender.deliver(1000, block(ROWS[:1000], newborn=range(1000), start_ms=500))
    assert len(receiver.requests) == 1 + 31 + 1
    assert sender.count("sent", "acme") == 1000
    assert sender.count("failed", "acme", "http_400") == 1000


def test_a_limit_of_size_is_no_reason_to_give_up(receiver: Receiver, sender: Sending) -> None:
    receiver.script([Reply(status=413)] * 40)
    sender.deliver(1000, block(ROWS))
    assert len(receiver.samples("acme")) > 1960
