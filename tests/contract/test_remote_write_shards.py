"""One large tenant over several connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from consumer.remote_write.series import SeriesBlock, Tick
from tests.support.remote_write_receiver import Receiver, Reply
from tests.support.sending import WAIT_S, sending
from tests.unit.remote_write.fakes import block

ROWS = [[f"s{number}"] for number in range(200)]
"""Many, so that no shard is empty or twice as full as another, however they are spread."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found
        assert found.violations == []


def buckets(count: int = 8) -> list[SeriesBlock]:
    return [block(ROWS, constant=(("le", str(number)),)) for number in range(count)]


def test_a_large_tenant_is_sent_over_several_connections(receiver: Receiver) -> None:
    delay_s = 1.0
    receiver.script([Reply(delay_s=delay_s)] * 4)
    with sending(receiver.url, max_shards=4, max_samples_per_send=400) as sender:
        sender.deliver(1000, *buckets())
        assert sender.recorder.pending["here", "acme"] == (0, 0)
    first, *_, fourth = receiver.requests[:4]
    assert fourth.at_s - first.at_s < delay_s, "the fourth waited for an answer"
    assert len(receiver.samples("acme")) == 1600


def test_the_samples_of_a_series_stay_in_order_whatever_fails(receiver: Receiver) -> None:
    # The receiver itself complains of samples that come out of order.
    receiver.script([Reply(status=503), Reply(delay_s=0.05), Reply(status=429), Reply()] * 10)
    with sending(receiver.url, max_shards=4, max_samples_per_send=100) as sender:
        ticks = [
            Tick(time_ms, {"acme": buckets(2 + time_ms // 1000)})
            for time_ms in range(1000, 7000, 1000)
        ]
        deliveries = [sender.sender.submit(tick) for tick in ticks]
        assert all(delivery.wait(WAIT_S) for delivery in deliveries)
    for labels, samples in receiver.samples("acme").items():
        first = max(1, int(dict(labels)["le"]) - 1)
        assert [at_ms for at_ms, _ in samples] == [1000 * at for at in range(first, 7)]


def test_a_tick_is_delivered_when_its_last_shard_is(receiver: Receiver) -> None:
    receiver.script([Reply(delay_s=0.5)])
    with sending(receiver.url, max_shards=4, max_samples_per_send=400) as sender:
        delivery = sender.sender.submit(Tick(1000, {"acme": buckets()}))
        assert receiver.wait_for(lambda: len(receiver.samples("acme")) > 800, WAIT_S)
        assert not delivery.done
        assert delivery.wait(WAIT_S)


def test_an_outage_blocks_a_large_tenant_and_loses_nothing(receiver: Receiver) -> None:
    receiver.always(Reply(status=503))
    settings = {"max_shards": 4, "max_samples_per_send": 400, "max_pending_ticks": 2}
    with sending(receiver.url, **settings) as sender:
        made = [sender.sender.submit(Tick(at, {"acme": buckets()})) for at in (1000, 2000)]
        assert sender.sender.blocked == "here"
        assert sender.recorder.pending["here", "acme"] == (3200, 2)
        receiver.always(None)
        assert all(delivery.wait(WAIT_S) for delivery in made)
    assert {len(samples) for samples in receiver.samples("acme").values()} == {2}
