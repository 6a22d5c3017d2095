"""Metadata of 1.0: told now and then, in requests of its own that never cost a sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from consumer.remote_write.request import Message
from consumer.remote_write.series import MetricType
from tests.support.remote_write_receiver import Receiver, Reply
from tests.support.sending import sending
from tests.unit.remote_write.fakes import block

CALLS = replace(block([["web"]]), help="Calls.")
COUNTER, GAUGE, HISTOGRAM = 1, 2, 3


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found
        assert found.violations == []


def told(receiver: Receiver) -> list[int]:
    """How many families each request tells, those with samples left out."""
    return [len(request.metadata) for request in receiver.requests if request.metadata]


def test_it_is_told_once_an_interval_by_the_time_of_the_ticks(receiver: Receiver) -> None:
    with sending(receiver.url, metadata_interval_s=30.0) as sender:
        for time_ms in (100_000, 115_000, 130_000, 145_000, 160_000):
            sender.deliver(time_ms, CALLS)
        sender.deliver(160_000, CALLS, tenant="other")
    at_ms = [request.tenant for request in receiver.requests if request.metadata]
    assert at_ms == ["acme", "acme", "acme", "other"]
    assert sender.count("metadata", "acme") == 3
    assert sender.count("sent", "acme") == 5


def test_it_comes_after_the_samples_and_each_family_once(receiver: Receiver) -> None:
    names = ["latency_bucket", "latency_count", "latency_sum"]
    blocks = [block([["web"]], name=name, kind=MetricType.HISTOGRAM) for name in names]
    gauge = block([["web"]], name="info_sum", kind=MetricType.GAUGE)
    with sending(receiver.url, metadata_interval_s=60.0) as sender:
        sender.deliver(1_000, *blocks, CALLS, gauge)
    samples, metadata = receiver.requests
    assert (len(samples.series), metadata.series) == (5, [])
    assert metadata.metadata == {
        "latency": (HISTOGRAM, "", ""),
        "calls_total": (COUNTER, "Calls.", ""),
        "info_sum": (GAUGE, "", ""),
    }


def test_one_of_several_shards_tells_it(receiver: Receiver) -> None:
    rows = [[f"s{number}"] for number in range(100)]
    with sending(
        receiver.url, metadata_interval_s=60.0, max_samples_per_send=10, max_shards=4
    ) as sender:
        sender.deliver(1_000, block(rows))
    assert told(receiver) == [1]


def test_many_families_are_told_in_several_requests(receiver: Receiver) -> None:
    blocks = [block([["web"]], name=f"calls_{number}_total") for number in range(25)]
    with sending(
        receiver.url, metadata_interval_s=60.0, max_samples_per_send=10, max_shards=1
    ) as sender:
        sender.deliver(1_000, *blocks)
    assert told(receiver) == [10, 10, 5]


def test_it_is_tried_again_and_a_refusal_costs_no_sample(receiver: Receiver) -> None:
    replies = [Reply(), Reply(status=503), Reply(status=400, body=b"too much metadata")]
    receiver.script(replies)
    with sending(receiver.url, metadata_interval_s=60.0) as sender:
        sender.deliver(1_000, CALLS)
        sender.deliver(2_000, CALLS)
    assert told(receiver) == [1, 1]
    assert [samples for _, samples in receiver.samples("acme").items()] == [
        [(1_000, 1.0), (2_000, 1.0)]
    ]
    assert sender.count("metadata failed", "acme", "http_400") == 1


def test_2_0_needs_none_and_a_receiver_that_knows_1_0_only_gets_it(receiver: Receiver) -> None:
    with sending(receiver.url, metadata_interval_s=60.0, message=Message.V2) as sender:
        sender.deliver(1_000, CALLS)
    assert told(receiver) == []
    with Receiver(knows_v2=False) as old:
        with sending(old.url, metadata_interval_s=60.0, message=Message.V2) as sender:
            sender.deliver(1_000, CALLS)
            sender.deliver(2_000, CALLS)
        assert told(old) == [1]
        assert old.violations == []
