from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import snappy
import urllib3

from consumer.clock import SystemClock
from consumer.demo import receiver as receiver_module
from consumer.demo.receiver import PATH, Receiver
from consumer.demo.write_request import WriteRequestError, _WriteRequest, parse_write_request
from consumer.http_listener import HttpListener
from tests.support.clock import HandClock

SERVER = "SPAN_KIND_SERVER"
OK, ERROR = "STATUS_CODE_UNSET", "STATUS_CODE_ERROR"


class Sender:
    """Writes requests as a worker does: one timestamp a tick, a zero before the first sample."""

    def __init__(self) -> None:
        self.clock = HandClock(100.0)
        self.receiver = Receiver(self.clock)
        self.known: set[tuple[tuple[str, str], ...]] = set()

    def tick(self, tenant: str, time_ms: int, values: Mapping[tuple[str, str], float]) -> None:
        self.receiver.take(tenant, self.encode(time_ms, values))

    def encode(self, time_ms: int, values: Mapping[tuple[str, str], float]) -> bytes:
        request = _WriteRequest()
        for (name, label_text), value in values.items():
            labels = dict(pair.split("=", 1) for pair in label_text.split(",") if pair)
            labels |= {"__name__": name, "__metrics_gen_instance": "host"}
            key = tuple(sorted(labels.items()))
            series = request.timeseries.add()
            for label, text in key:
                series.labels.add(name=label, value=text)
            if key not in self.known:
                series.samples.add(timestamp=time_ms // 60_000 * 60_000 - 1000, value=0.0)
            self.known.add(key)
            series.samples.add(timestamp=time_ms, value=value)
        body: bytes = snappy.compress(request.SerializeToString())
        return body


def calls(service: str, name: str, kind: str, status: str) -> tuple[str, str]:
    labels = f"service={service},span_name={name},span_kind={kind},status_code={status}"
    return "traces_spanmetrics_calls_total", labels


def bucket(service: str, name: str, kind: str, le: str) -> tuple[str, str]:
    labels = f"service={service},span_name={name},span_kind={kind},status_code={OK},le={le}"
    return "traces_spanmetrics_latency_bucket", labels


def edge(metric: str, client: str, server: str, connection_type: str = "") -> tuple[str, str]:
    labels = f"client={client},server={server}"
    if connection_type:
        labels += f",connection_type={connection_type}"
    return f"traces_service_graph_request_{metric}", labels


def test_an_operation_has_its_rate_errors_and_quantiles_over_the_window() -> None:
    sender = Sender()
    good, bad = calls("cart", "GET /", SERVER, OK), calls("cart", "GET /", SERVER, ERROR)
    low, high, all_ = (bucket("cart", "GET /", SERVER, le) for le in ("0.1", "0.2", "+Inf"))
    sender.tick("acme", 110_000, {good: 80, bad: 20, low: 50, high: 100, all_: 100})
    sender.tick("acme", 120_000, {good: 170, bad: 30, low: 100, high: 200, all_: 200})
    (row,) = sender.receiver.reports(10_000)["acme"].operations
    assert (row.service, row.span_name, row.span_kind) == ("cart", "GET /", SERVER)
    assert row.rate == pytest.approx(10.0)
    assert row.error_share == pytest.approx(0.1)
    assert row.p50_s == pytest.approx(0.1)
    assert row.p95_s == pytest.approx(0.19)


def test_before_a_window_has_passed_rates_are_over_the_time_since_the_start() -> None:
    sender = Sender()
    sender.tick("acme", 104_000, {calls("cart", "GET /", SERVER, OK): 40})
    (row,) = sender.receiver.reports()["acme"].operations
    assert row.rate == pytest.approx(10.0)
    assert math.isnan(row.p50_s), "no buckets came"


def test_the_start_is_when_the_load_begins_not_when_the_receiver_does() -> None:
    sender = Sender()
    sender.clock.seconds = 102.0
    sender.receiver.begin()
    sender.tick("acme", 104_000, {calls("cart", "GET /", SERVER, OK): 40})
    assert sender.receiver.reports()["acme"].operations[0].rate == pytest.approx(20.0)


def test_serving_operations_come_first_then_the_busiest() -> None:
    sender = Sender()
    values = {
        calls("a", "busy client", "SPAN_KIND_CLIENT", OK): 900.0,
        calls("a", "quiet", SERVER, OK): 10.0,
        calls("b", "busy", "SPAN_KIND_CONSUMER", OK): 20.0,
        calls("b", "never", SERVER, OK): 0.0,
    }
    sender.tick("acme", 104_000, values)
    rows = sender.receiver.reports()["acme"].operations
    assert [row.span_name for row in rows] == ["busy", "quiet", "busy client"]


def test_edges_have_rate_errors_and_the_mean_latency_of_the_server() -> None:
    sender = Sender()
    values = {
        edge("total", "web", "cart"): 40.0,
        edge("failed_total", "web", "cart"): 10.0,
        edge("server_seconds_sum", "web", "cart"): 8.0,
        edge("server_seconds_count", "web", "cart"): 40.0,
        edge("client_seconds_sum", "web", "cart"): 80.0,
        edge("client_seconds_count", "web", "cart"): 40.0,
    }
    sender.tick("acme", 104_000, values)
    (row,) = sender.receiver.reports()["acme"].edges
    assert (row.client, row.server, row.connection_type) == ("web", "cart", "")
    assert (row.rate, row.error_share, row.mean_s) == (10.0, 0.25, 0.2)


def test_the_latency_of_an_edge_to_the_unknown_is_the_clients() -> None:
    sender = Sender()
    values = {
        edge("total", "pay", "stripe", "virtual_node"): 4.0,
        edge("client_seconds_sum", "pay", "stripe", "virtual_node"): 2.0,
        edge("client_seconds_count", "pay", "stripe", "virtual_node"): 4.0,
    }
    sender.tick("acme", 104_000, values)
    (row,) = sender.receiver.reports()["acme"].edges
    assert (row.connection_type, row.mean_s) == ("virtual_node", 0.5)


def test_tenants_are_kept_apart() -> None:
    sender = Sender()
    sender.tick("acme", 104_000, {calls("a", "x", SERVER, OK): 1.0})
    sender.tick("globex", 104_000, {edge("total", "a", "b"): 1.0})
    reports = sender.receiver.reports()
    assert list(reports) == ["acme", "globex"]
    assert [len(report.operations) for report in reports.values()] == [1, 0]
    assert not any(report.complete for report in reports.values())


def test_a_tenant_is_complete_with_operations_and_edges() -> None:
    sender = Sender()
    sender.tick("acme", 104_000, {calls("a", "x", SERVER, OK): 1.0, edge("total", "a", "b"): 1.0})
    assert sender.receiver.reports()["acme"].complete
    assert sender.receiver.reports()["acme"].calls == 1


def test_two_writers_of_the_same_labels_add_up() -> None:
    receiver = Receiver(HandClock(100.0))
    for instance in ("one", "two"):
        request = _WriteRequest()
        series = request.timeseries.add()
        labels = {"__metrics_gen_instance": instance, "__name__": "traces_spanmetrics_calls_total"}
        for name, value in (labels | {"service": "a", "span_name": "x"}).items():
            series.labels.add(name=name, value=value)
        series.samples.add(timestamp=59_000, value=0)
        series.samples.add(timestamp=104_000, value=20)
        receiver.take("acme", snappy.compress(request.SerializeToString()))
    (row,) = receiver.reports()["acme"].operations
    assert row.rate == 10.0


def test_further_tenants_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "MAX_TENANTS", 1)
    sender = Sender()
    sender.tick("acme", 104_000, {})
    with pytest.raises(WriteRequestError):
        sender.tick("globex", 104_000, {})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\x0f\x00",
        b"no snappy",
        snappy.compress(b"no protobuf"),
        snappy.compress(b"\x0a\xff"),
    ],
)
def test_what_is_no_write_request_is_refused(body: bytes) -> None:
    with pytest.raises(WriteRequestError):
        list(parse_write_request(body))


def test_noise_is_refused_or_read_but_never_anything_else() -> None:
    noise = np.random.default_rng(5)
    good = Sender().encode(104_000, {calls("a", "x", SERVER, OK): 1.0, edge("total", "a", "b"): 2})
    for _ in range(2000):
        body = bytearray(good)
        for _ in range(noise.integers(1, 4)):
            body[noise.integers(len(body))] = noise.integers(256)
        try:
            list(parse_write_request(bytes(body[: noise.integers(1, len(body) + 1)])))
        except WriteRequestError:
            continue


def test_it_listens_for_posts_of_a_tenant() -> None:
    receiver = Receiver(SystemClock())
    body = Sender().encode(104_000, {calls("a", "x", SERVER, OK): 1.0})
    with (
        HttpListener(receiver.app(), host="127.0.0.1", port=0) as listener,
        urllib3.PoolManager() as pool,
    ):
        url = listener.address + PATH
        org = {"X-Scope-OrgID": "acme"}
        assert pool.request("POST", url, body=body, headers=org).status == 204
        assert pool.request("POST", url, body=body).status == 204
        assert pool.request("POST", url, body=b"x", headers=org).status == 400
    assert list(receiver.reports()) == ["acme", "single-tenant"]
    assert receiver.refused == 1
    assert receiver.ticks == 1
