"""Remote write 2.0 against a receiver that parses it strictly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from consumer.remote_write.request import Message
from consumer.remote_write.series import MetricType, SeriesBlock
from tests.support.remote_write_receiver import Receiver, Reply, is_stale
from tests.support.sending import Sending, sending
from tests.unit.remote_write.fakes import block

WEB = (("__name__", "calls_total"), ("service", "web"))
WRITTEN = "X-Prometheus-Remote-Write-Samples-Written"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found
        assert found.violations == []


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[Sending]:
    with sending(receiver.url, message=Message.V2) as found:
        yield found


def described(kind: MetricType = MetricType.COUNTER, **more: Any) -> SeriesBlock:
    return replace(block([["web"], ["db"]], kind=kind, **more), help="Calls.", unit="calls")


def test_a_tick_arrives_as_2_0_with_type_help_and_unit(receiver: Receiver, sender: Sending) -> None:
    sender.deliver(1000, described())
    (request,) = receiver.requests
    assert request.is_v2
    assert receiver.samples("acme")[WEB] == [(1000, 1.0)]
    start = request.starts[WEB]
    assert (start.type, start.help, start.unit) == (1, "Calls.", "calls")
    assert sender.count("sent", "acme") == 2


@pytest.mark.parametrize(
    ("kind", "number"),
    [(MetricType.COUNTER, 1), (MetricType.GAUGE, 2), (MetricType.HISTOGRAM, 3)],
)
def test_each_type_has_its_number(
    kind: MetricType, number: int, receiver: Receiver, sender: Sending
) -> None:
    sender.deliver(1000, described(kind))
    assert {start.type for start in receiver.requests[0].starts.values()} == {number}


def test_1_0_is_the_default(receiver: Receiver) -> None:
    with sending(receiver.url) as sender:
        sender.deliver(1000, described())
    assert not receiver.requests[0].is_v2


def test_each_sample_says_when_its_series_began_and_there_is_no_zero(
    receiver: Receiver, sender: Sending
) -> None:
    sender.deliver(2000, block([["web"]], newborn=[0], start_ms=1500))
    sender.deliver(3000, block([["web"]], start_ms=1500))
    assert receiver.samples("acme")[WEB] == [(2000, 1.0), (3000, 1.0)]
    for request in receiver.requests:
        assert (request.starts[WEB].starts, request.starts[WEB].created) == ((1500,), 0)


def test_beginnings_may_differ_and_be_unknown(receiver: Receiver, sender: Sending) -> None:
    columns = block([["a"], ["b"], ["c"], ["d"]], newborn=[2])
    columns.start_ms[:] = [1, 0, 1_700_000_000_000, 1_800_000_000_001]
    sender.deliver(1_800_000_000_000, columns)
    found = [start.starts for start in receiver.requests[0].starts.values()]
    assert found == [(1,), (0,), (1_700_000_000_000,), (0,)]


def test_the_beginning_may_go_where_older_drafts_had_it(receiver: Receiver) -> None:
    with sending(receiver.url, message=Message.V2, legacy_created_timestamp=True) as sender:
        sender.deliver(2000, block([["web"]], newborn=[0], start_ms=1500))
    start = receiver.requests[0].starts[WEB]
    assert (start.starts, start.created) == ((0,), 1500)


def test_a_gauge_has_no_beginning(receiver: Receiver, sender: Sending) -> None:
    sender.deliver(2000, block([["web"]], kind=MetricType.GAUGE, newborn=[0], start_ms=1500))
    assert receiver.requests[0].starts[WEB].starts == (0,)


def test_an_ended_series_gets_the_stale_marker(receiver: Receiver, sender: Sending) -> None:
    sender.deliver(1000, block([["web"]], ended=[0]))
    ((_, value),) = receiver.samples("acme")[WEB]
    assert is_stale(value)


def test_special_values_and_labels_arrive(receiver: Receiver, sender: Sending) -> None:
    values = [0.0, -1.5, math.inf, -math.inf, 1e308, 5e-324, 2.0**53]
    texts = ['日本語 🚀 "\\\n', "x" * 10_240, "calls_total", "service", "", "a", "b"]
    sender.deliver(1000, block([[text] for text in texts], values))
    found = {
        dict(labels).get("service", ""): got
        for labels, [(_, got)] in receiver.samples("acme").items()
    }
    assert found == dict(zip(texts, values, strict=True))


def test_many_series_come_in_several_requests_with_symbols_of_their_own(receiver: Receiver) -> None:
    with sending(
        receiver.url, message=Message.V2, max_samples_per_send=300, max_shards=1
    ) as sender:
        rows = [[f"s{number}"] for number in range(500)]
        sender.deliver(1000, block(rows), block(rows, name="size_total"))
    assert [len(request.series) for request in receiver.requests] == [300, 300, 300, 100]
    assert len(receiver.samples("acme")) == 1000


def test_a_request_too_large_is_cut(receiver: Receiver) -> None:
    with sending(receiver.url, message=Message.V2, max_bytes_per_send=2000) as sender:
        sender.deliver(1000, block([[f"{number}" * 100] for number in range(40)]))
    assert len(receiver.samples("acme")) == 40
    assert len(receiver.requests) > 3


def test_a_bad_series_is_dropped_alone_and_once(receiver: Receiver) -> None:
    with sending(receiver.url, message=Message.V2, max_bytes_per_send=100) as sender:
        sender.deliver(1000, block([["web"], ["\ud800"], ["db"], ["cache"]]))
        assert sender.count("dropped", "acme", "invalid_utf8") == 1
    assert len(receiver.samples("acme")) == 3


@pytest.mark.parametrize("knows_v2", [False, None], ids=["415", "2xx without a word"])
def test_an_endpoint_that_knows_1_0_gets_it_from_then_on(knows_v2: bool | None) -> None:
    with Receiver(knows_v2=knows_v2) as receiver:
        with sending(receiver.url, message=Message.V2, max_samples_per_send=2) as sender:
            sender.deliver(2000, block([["web"], ["db"], ["x"]], newborn=[0], start_ms=1500))
            sender.deliver(3000, block([["web"]]))
            assert sender.count("sent", "acme") == 5
            assert sender.count("failed", "acme", "http_415") == 0
        assert [request.is_v2 for request in receiver.requests].count(True) == 1
        assert receiver.samples("acme")[WEB] == [(1500, 0.0), (2000, 1.0), (3000, 1.0)]
        assert receiver.violations == []


def test_a_400_of_one_who_never_spoke_2_0_is_a_reason_to_fall_back(
    receiver: Receiver, sender: Sending
) -> None:
    receiver.script([Reply(status=400, headers={WRITTEN: ""}), Reply()])
    sender.deliver(1000, block([["web"]]))
    assert receiver.requests[-1].is_v2
    with Receiver(knows_v2=False) as old:
        old.refuse_v2_with(400)
        with sending(old.url, message=Message.V2) as other:
            other.deliver(1000, block([["web"]]))
        assert [request.is_v2 for request in old.requests] == [True, False]


def test_a_good_answer_never_changes_the_protocol(receiver: Receiver, sender: Sending) -> None:
    receiver.script([Reply(status=503), Reply(status=429), Reply(status=200)])
    for time_ms in range(1000, 5000, 1000):
        sender.deliver(time_ms, block([["web"]]))
    assert all(request.is_v2 for request in receiver.requests)


def test_what_was_written_is_counted_as_the_endpoint_says(
    receiver: Receiver, sender: Sending
) -> None:
    receiver.script([Reply(status=200, headers={WRITTEN: "1"})])
    sender.deliver(1000, described())
    assert sender.count("sent", "acme") == 1
    assert sender.count("failed", "acme", "not_written") == 1


def test_a_partial_write_is_not_sent_again(receiver: Receiver, sender: Sending) -> None:
    receiver.script([Reply(status=400, partial=1)])
    sender.deliver(1000, described())
    assert len(receiver.requests) == 1
    assert sender.count("sent", "acme") == 1
    assert sender.count("failed", "acme", "http_400") == 1


def test_a_partial_write_with_5xx_is_sent_again_as_a_whole(
    receiver: Receiver, sender: Sending
) -> None:
    receiver.script([Reply(status=503, partial=1)])
    sender.deliver(1000, described())
    assert len(receiver.requests) == 2
    assert sender.count("sent", "acme") == 2


def test_a_refusal_of_all_is_looked_through(receiver: Receiver, sender: Sending) -> None:
    receiver.refuse(lambda labels, _: dict(labels)["service"] == "s7")
    sender.deliver(1000, block([[f"s{number}"] for number in range(50)]))
    assert len(receiver.samples("acme")) == 49
    assert sender.count("failed", "acme", "http_400") == 1
    assert sender.count("sent", "acme") == 49
