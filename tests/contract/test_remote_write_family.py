"""Everything a registry tells in one tick, as it arrives in both versions of the protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from consumer.registry import Registry, RegistrySettings
from consumer.remote_write.request import Message
from tests.support.remote_write_receiver import Receiver
from tests.support.sending import sending
from tests.unit.registry.frames import Row, frame, gauge

START_MS = 1_800_000_000_000
TICK_MS = START_MS + 15_000
COUNTER, GAUGE, HISTOGRAM = 1, 2, 3


@pytest.fixture(params=list(Message), ids=["1.0", "2.0"])
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    settings = RegistrySettings(constant_labels=(("job", "shop/web"), ("instance", "pod-0")))
    series = Registry(settings, started_ms=START_MS)
    rows = [Row("acme", f"s{number}", observed=(2, 1, 1, 12.5)) for number in range(300)]
    series.fold([frame(rows), gauge("acme", "s0", 1.0)], START_MS + 1)
    settings_of = {"message": request.param, "metadata_interval_s": 60.0}
    with Receiver() as found, sending(found.url, **settings_of) as sender:
        sender.deliver(TICK_MS, *series.collect(TICK_MS).tenants["acme"])
        yield found
        assert found.violations == []


def last(receiver: Receiver, name: str, **labels: str) -> float:
    wanted = {"__name__": name, "job": "shop/web", "instance": "pod-0", **labels}
    (found,) = [each for key, each in receiver.samples("acme").items() if dict(key) == wanted]
    assert found[-1][0] == TICK_MS
    return found[-1][1]


def test_a_whole_family_arrives_with_the_labels_of_its_job(receiver: Receiver) -> None:
    assert last(receiver, "calls_total", service="s299") == 1.0
    assert last(receiver, "info", service="s0") == 1.0
    assert last(receiver, "latency_count", service="s7") == 4.0
    assert last(receiver, "latency_sum", service="s7") == 12.5
    buckets = [last(receiver, "latency_bucket", service="s7", le=le) for le in ("0.1", "1", "+Inf")]
    assert buckets == [2.0, 3.0, 4.0]
    assert len(receiver.samples("acme")) == 300 * 6 + 1


def test_requests_hold_no_more_than_they_may_and_2_0_names_no_text_twice(
    receiver: Receiver,
) -> None:
    assert max(len(request.series) for request in receiver.requests) <= 2_000
    told = [request for request in receiver.requests if request.series]
    sizes = [request.size_bytes / len(request.series) for request in told]
    assert max(sizes) < 100


def test_2_0_says_the_same_of_all_series_of_a_family(receiver: Receiver) -> None:
    told: dict[str, set[tuple[int, str, str]]] = {}
    begins: dict[str, set[tuple[int, ...]]] = {}
    for request in receiver.requests:
        for labels, start in request.starts.items():
            name = dict(labels)["__name__"]
            told.setdefault(name, set()).add((start.type, start.help, start.unit))
            begins.setdefault(name, set()).add(start.starts)
    latency = {(HISTOGRAM, "Latency.", "seconds")}
    of_histogram = {f"latency_{part}": latency for part in ("bucket", "sum", "count")}
    others = {"calls_total": {(COUNTER, "Calls.", "")}, "info": {(GAUGE, "Info.", "")}}
    is_v2 = receiver.requests[0].is_v2
    assert told == ({**of_histogram, **others} if is_v2 else {})
    assert begins == {name: {(0 if name == "info" else START_MS + 1,)} for name in told}


def test_1_0_says_it_of_each_family_in_a_request_of_its_own(receiver: Receiver) -> None:
    told = [request for request in receiver.requests if request.metadata]
    assert [request.series for request in told] == ([] if receiver.requests[0].is_v2 else [[]])
    for request in told:
        assert request.metadata == {
            "calls_total": (COUNTER, "Calls.", ""),
            "latency": (HISTOGRAM, "Latency.", "seconds"),
            "info": (GAUGE, "Info.", ""),
        }
