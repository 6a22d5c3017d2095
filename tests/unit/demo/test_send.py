from __future__ import annotations

import urllib3
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from consumer.demo.load import Load
from consumer.demo.send import TENANT_HEADER, OtlpWriter, send_load
from consumer.demo.shop import ShopTraffic
from consumer.demo.topology import SHOPS
from consumer.distributor import Target
from tests.support.clock import HandClock


class Address:
    """What is on the other side; it answers with ``status``, or not at all."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.error: urllib3.exceptions.HTTPError | None = None
        self.spans: dict[str, int] = {}

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        if self.error is not None:
            raise self.error
        request = ExportTraceServiceRequest.FromString(body)
        found = sum(
            len(scope.spans) for each in request.resource_spans for scope in each.scope_spans
        )
        tenant = headers[TENANT_HEADER]
        self.spans[tenant] = self.spans.get(tenant, 0) + found
        return self.status


def one_second(address: Address) -> Load:
    clock = HandClock()
    traffic = [ShopTraffic(shop, 5) for shop in SHOPS]
    target = Target("", TENANT_HEADER)
    load = Load(OtlpWriter(address.post), target, clock=clock, rate=200, traffic=traffic)
    clock.sleep_s(1.0)
    load.produce_due()
    return load


def test_every_span_is_posted_as_its_tenant() -> None:
    address = Address()
    load = one_second(address)
    assert load.spans >= 200
    assert address.spans == load.spans_by_tenant
    assert load.failure == ""


def test_an_answer_that_is_not_good_is_told() -> None:
    assert one_second(Address(503)).failure == "the answer was 503"


def test_nobody_there_is_told() -> None:
    address = Address()
    address.error = urllib3.exceptions.HTTPError("refused")
    assert one_second(address).failure == "refused"


def test_the_command_fails_when_nobody_listens() -> None:
    assert send_load("http://127.0.0.1:1", rate=100, duration_s=0.2, seed=1) == 1
