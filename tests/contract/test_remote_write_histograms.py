"""Native histograms and exemplars on their way: counts, splits, shards, fallback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from consumer.remote_write.relabel import Rule
from consumer.remote_write.request import Message
from consumer.remote_write.series import Exemplars, MetricType, NativeHistograms, SeriesBlock, Tick
from tests.support.remote_write_receiver import Labels, Receiver, Reply
from tests.support.sending import WAIT_S, sending
from tests.unit.remote_write.fakes import block

TIME_MS = 1_800_000_000_000
V1_AND_V2 = pytest.mark.parametrize("message", list(Message), ids=["1.0", "2.0"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found
        assert found.violations == []


def native(count: int) -> SeriesBlock:
    """``count`` histograms with as many buckets as their number, and an exemplar each."""
    rows = np.arange(count)
    offsets = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
    histograms = NativeHistograms(
        schema=np.full(count, 3, np.int8),
        zero_threshold=2.0**-128,
        count=rows.astype(np.float64) + 1,
        zero_count=np.ones(count),
        sum=rows.astype(np.float64) / 2,
        offsets=offsets,
        bucket=np.concatenate([np.arange(row) for row in rows]).astype(np.int32),
        bucket_count=np.ones(int(offsets[-1])),
    )
    plain = block([[f"s{row:03}"] for row in rows], name="latency", kind=MetricType.HISTOGRAM)
    return replace(plain, histograms=histograms, exemplars=exemplars(count))


def exemplars(count: int) -> Exemplars:
    return Exemplars(
        row=np.arange(count),
        value=np.full(count, 0.5),
        trace_id=np.array([[0, row] for row in range(count)], np.uint64).reshape(count, 2),
        span_id=np.arange(count, dtype=np.uint64),
        time_ms=np.full(count, TIME_MS - 7),
        trace_id_label="trace_id",
    )


def number_of(labels: Labels) -> int:
    return int(dict(labels)["service"][1:])


def check(receiver: Receiver, count: int) -> None:
    """Every histogram and exemplar is there once, at its own series."""
    histograms = receiver.histograms("acme")
    assert len(histograms) == count
    for labels, [found] in histograms.items():
        assert found.count == number_of(labels) + 1
        assert found.buckets == dict.fromkeys(range(number_of(labels)), 1.0)
    told = receiver.exemplars("acme")
    assert len(told) == count
    for labels, [exemplar] in told.items():
        assert exemplar.time_ms == TIME_MS - 7
        assert dict(exemplar.labels) == {
            "trace_id": f"{number_of(labels):032x}",
            "span_id": f"{number_of(labels):016x}",
        }


@V1_AND_V2
def test_histograms_and_exemplars_arrive_and_are_counted(
    receiver: Receiver, message: Message
) -> None:
    with sending(receiver.url, message=message) as sender:
        sender.deliver(TIME_MS, native(20), block([["web"]]))
    check(receiver, 20)
    counts = [sender.count(what, "acme") for what in ("sent", "histograms", "exemplars")]
    assert counts == [21, 20, 20]


@V1_AND_V2
def test_they_stay_with_their_series_over_shards_and_failures(
    receiver: Receiver, message: Message
) -> None:
    receiver.script([Reply(status=503), Reply(), Reply(status=429)] * 5)
    with sending(receiver.url, message=message, max_shards=4, max_samples_per_send=10) as sender:
        sender.deliver(TIME_MS, native(100))
    check(receiver, 100)
    assert sender.count("histograms", "acme") == 100


@V1_AND_V2
def test_one_that_is_refused_costs_itself_alone(receiver: Receiver, message: Message) -> None:
    receiver.refuse(lambda labels, _: number_of(labels) == 3)
    with sending(receiver.url, message=message) as sender:
        sender.deliver(TIME_MS, native(10))
    found = {number_of(labels) for labels in receiver.histograms("acme")}
    assert found == set(range(10)) - {3}
    assert sender.count("failed", "acme", "http_400") == 1
    assert sender.count("exemplars", "acme") == 9
    assert sender.count("exemplars failed", "acme", "http_400") == 1


def test_a_receiver_of_1_0_gets_them_in_1_0() -> None:
    with Receiver(knows_v2=False) as old, sending(old.url, message=Message.V2) as sender:
        sender.deliver(TIME_MS, native(10))
        check(old, 10)
        assert old.violations == []


def test_what_was_not_written_is_counted_by_kind(receiver: Receiver) -> None:
    written = "X-Prometheus-Remote-Write-%s-Written"
    told = {written % "Samples": "1", written % "Histograms": "2", written % "Exemplars": "0"}
    receiver.script([Reply(status=200, headers=told)])
    with sending(receiver.url, message=Message.V2) as sender:
        sender.deliver(TIME_MS, native(5), block([["web"], ["db"]]))
    assert sender.count("sent", "acme") == 3
    assert sender.count("histograms", "acme") == 2
    assert sender.count("failed", "acme", "not_written") == 4
    assert sender.count("exemplars failed", "acme", "not_written") == 5


def test_relabelling_keeps_them_with_their_series(receiver: Receiver) -> None:
    rules = (Rule(action="drop", source_labels=("service",), regex="s000|s002"),)
    with sending(receiver.url, relabel=rules) as sender:
        sender.deliver(TIME_MS, native(5))
    assert {number_of(labels) for labels in receiver.exemplars("acme")} == {1, 3, 4}
    assert {number_of(labels) for labels in receiver.histograms("acme")} == {1, 3, 4}


def test_a_tick_that_collapses_keeps_the_last_histograms(receiver: Receiver) -> None:
    receiver.always(Reply(status=429))
    with sending(receiver.url, max_pending_ticks=2) as sender:
        made = [sender.sender.submit(Tick(TIME_MS + at, {"acme": [native(5)]})) for at in range(6)]
        assert receiver.wait_for(lambda: len(receiver.requests) > 5, WAIT_S)
        receiver.always(None)
        assert made[-1].wait(WAIT_S)
    last = {labels: each[-1].time_ms for labels, each in receiver.histograms("acme").items()}
    assert set(last.values()) == {TIME_MS + 5}
    assert len(last) == 5
