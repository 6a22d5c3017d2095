from __future__ import annotations

from collections import Counter

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from consumer.demo.shop import ShopTraffic, Trace
from consumer.demo.topology import ACME, GLOBEX, SHOPS, Publish, Query, Request, Shop
from consumer.distributor.split import split_by_trace

NOW_MS = 1_700_000_000_123


def traces(shop: Shop, count: int = 400, seed: int = 7) -> list[Trace]:
    traffic = ShopTraffic(shop, seed)
    return [traffic.trace(NOW_MS) for _ in range(count)]


def attributes(span: Span) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in span.attributes}


@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.tenant)
def test_the_tables_name_only_what_exists(shop: Shop) -> None:
    steps = [step for operation in shop.operations.values() for step in operation.steps]
    for step in steps:
        match step:
            case Request():
                assert step.operation in shop.operations
            case Query():
                assert step.database in shop.databases
            case Publish():
                assert step.topic in shop.subscribers
    assert set(shop.entries) <= set(shop.operations)
    assert {name for names in shop.subscribers.values() for name in names} <= set(shop.operations)


def test_the_busy_shop_has_a_front_end_and_some_fifteen_services() -> None:
    services = {operation.service for operation in ACME.operations.values()}
    assert len(services) >= 15
    assert {"frontend", "cart", "checkout", "payment"} <= services


def test_one_seed_gives_the_same_traces_and_another_others() -> None:
    def written(seed: int) -> list[list[bytes]]:
        traffic = ShopTraffic(ACME, seed)
        return [traffic.exports(traffic.trace(NOW_MS)) for _ in range(20)]

    assert written(1) == written(1)
    assert written(1) != written(2)


@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.tenant)
def test_ids_are_valid_and_parents_belong_to_the_trace(shop: Shop) -> None:
    for trace in traces(shop, 50):
        spans = list(trace.spans())
        ids = [span.span_id for span in spans]
        assert len(set(ids)) == len(ids)
        assert {span.trace_id for span in spans} == {trace.trace_id}
        roots = [span for span in spans if not span.parent_span_id]
        assert [root.kind for root in roots] == [Span.SPAN_KIND_SERVER]
        assert {span.parent_span_id for span in spans} - {b""} <= set(ids)


def test_the_distributor_would_refuse_none_of_it() -> None:
    traffic = ShopTraffic(ACME, 3)
    for value in traffic.exports(traffic.trace(NOW_MS)):
        split = split_by_trace(ExportTraceServiceRequest.FromString(value), 900_000)
        assert (len(split.records), split.rejected) == (1, 0)


def test_a_trace_ends_at_the_time_given_and_its_spans_take_time() -> None:
    for trace in traces(ACME, 50):
        spans = list(trace.spans())
        assert max(span.end_time_unix_nano for span in spans) == NOW_MS * 1_000_000
        assert all(span.end_time_unix_nano > span.start_time_unix_nano for span in spans)


def test_a_request_takes_longer_at_the_client_than_at_the_server() -> None:
    for trace in traces(ACME, 50):
        by_id = {span.span_id: span for span in trace.spans()}
        for span in by_id.values():
            parent = by_id.get(span.parent_span_id)
            if span.kind == Span.SPAN_KIND_SERVER and parent is not None:
                assert parent.kind == Span.SPAN_KIND_CLIENT
                assert parent.start_time_unix_nano <= span.start_time_unix_nano
                assert parent.end_time_unix_nano >= span.end_time_unix_nano


def test_a_trace_is_exported_once_by_each_of_its_services() -> None:
    traffic = ShopTraffic(ACME, 3)
    trace = traffic.trace(NOW_MS)
    requests = [ExportTraceServiceRequest.FromString(value) for value in traffic.exports(trace)]
    services = [
        pair.value.string_value
        for request in requests
        for pair in request.resource_spans[0].resource.attributes
        if pair.key == "service.name"
    ]
    assert services == list(trace.services)
    spans = [span for r in requests for span in r.resource_spans[0].scope_spans[0].spans]
    assert spans == list(trace.spans())


@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.tenant)
def test_every_kind_of_edge_is_there(shop: Shop) -> None:
    seen: Counter[str] = Counter()
    for trace in traces(shop):
        kind_of = {span.span_id: span.kind for span in trace.spans()}
        for span in trace.spans():
            parent_kind = kind_of.get(span.parent_span_id)
            described = attributes(span)
            seen["internal"] += span.kind == Span.SPAN_KIND_INTERNAL
            seen["database"] += {"db.system", "db.name", "server.address"} <= set(described)
            seen["external"] += "peer.service" in described
            pair = (parent_kind, span.kind)
            seen["request"] += pair == (Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER)
            seen["messaging"] += pair == (Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER)
            seen["error"] += span.status.code == Status.STATUS_CODE_ERROR
    assert all(seen.values())
    assert len(seen) == 6


def test_one_message_has_several_consumers() -> None:
    consumers = Counter(
        span.parent_span_id
        for trace in traces(ACME)
        for span in trace.spans()
        if span.kind == Span.SPAN_KIND_CONSUMER
    )
    assert set(consumers.values()) == {3}


def test_few_fail_and_few_are_slow() -> None:
    spans = [span for trace in traces(ACME, 1500) for span in trace.spans()]
    failed = sum(span.status.code == Status.STATUS_CODE_ERROR for span in spans) / len(spans)
    assert 0.001 < failed < 0.05
    lookups = sorted(
        span.end_time_unix_nano - span.start_time_unix_nano
        for span in spans
        if span.name == "Auth/Session" and span.kind == Span.SPAN_KIND_SERVER
    )
    median, slowest = lookups[len(lookups) // 2], lookups[-1]
    assert 0.5e6 < median < 5e6
    assert slowest > 5 * median


def test_the_tenants_have_different_services() -> None:
    assert GLOBEX.tenant != ACME.tenant
    assert not {operation.service for operation in ACME.operations.values()} & {
        operation.service for operation in GLOBEX.operations.values()
    }
