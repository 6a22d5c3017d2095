from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from consumer.demo.load import Load
from consumer.demo.shop import ShopTraffic
from consumer.demo.topology import SHARES, SHOPS
from consumer.distributor import Target
from consumer.kafka.client import OutgoingRecord
from tests.support.clock import HandClock


@dataclass
class FakeWriter:
    records: list[OutgoingRecord] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def write(self, record: OutgoingRecord) -> None:
        self.records.append(record)

    def flush(self, timeout_s: float) -> Sequence[str]:
        assert timeout_s > 0
        return self.failures


def make_load(writer: FakeWriter, clock: HandClock, rate: float = 500) -> Load:
    traffic = [ShopTraffic(shop, 5) for shop in SHOPS]
    return Load(writer, Target("otlp_spans"), clock=clock, rate=rate, traffic=traffic)


def run(load: Load, clock: HandClock, rounds: int) -> None:
    for _ in range(rounds):
        clock.sleep_s(0.05)
        load.produce_due()


def test_it_writes_at_the_rate_whatever_the_size_of_a_trace() -> None:
    clock = HandClock(1_700_000_000.0)
    load = make_load(FakeWriter(), clock)
    run(load, clock, 200)
    assert load.spans == pytest.approx(500 * 10, rel=0.02)


def test_each_tenant_gets_its_share() -> None:
    clock = HandClock(1_700_000_000.0)
    load = make_load(FakeWriter(), clock)
    run(load, clock, 200)
    for tenant, share in SHARES.items():
        assert load.spans_by_tenant[tenant] / load.spans == pytest.approx(share, abs=0.02)


def test_after_a_stall_it_makes_up_for_a_second_only() -> None:
    clock = HandClock(1_700_000_000.0)
    load = make_load(FakeWriter(), clock)
    clock.sleep_s(3600)
    load.produce_due()
    assert load.spans < 600


def test_records_are_keyed_by_trace_id_and_carry_the_tenant() -> None:
    clock = HandClock(1_700_000_000.0)
    writer = FakeWriter()
    run(make_load(writer, clock), clock, 4)
    for record in writer.records:
        request = ExportTraceServiceRequest.FromString(record.value)
        span = request.resource_spans[0].scope_spans[0].spans[0]
        assert record.key == span.trace_id.hex().encode()
        assert record.topic == "otlp_spans"
        assert [name for name, _ in record.headers] == ["X-Scope-OrgID"]
    tenants = {record.headers[0][1] for record in writer.records}
    assert tenants == {b"acme", b"globex"}


def test_spans_counted_are_spans_written() -> None:
    clock = HandClock(1_700_000_000.0)
    writer = FakeWriter()
    load = make_load(writer, clock)
    run(load, clock, 10)
    requests = [ExportTraceServiceRequest.FromString(record.value) for record in writer.records]
    spans = sum(len(r.resource_spans[0].scope_spans[0].spans) for r in requests)
    assert load.spans == spans > 0


def test_it_goes_on_and_says_why_when_kafka_does_not_take_records() -> None:
    clock = HandClock(1_700_000_000.0)
    load = make_load(FakeWriter(failures=["timed out"]), clock)
    run(load, clock, 2)
    assert load.failure == "timed out"
    assert load.spans > 0


def test_its_thread_ends_with_the_block() -> None:
    with make_load(FakeWriter(), HandClock(1_700_000_000.0)) as load:
        pass
    load.stop()
    assert not load._thread.is_alive()
