import json
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError

import pytest
from prometheus_client import CollectorRegistry

from consumer.config import parse_config
from consumer.config.shown import as_tree
from consumer.telemetry.metrics import Metrics
from consumer.telemetry.server import (
    STUCK_AFTER_S,
    PartitionStatus,
    Pause,
    Served,
    ServerError,
    Status,
    StatusServer,
)
from tests.support.clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def status() -> Status:
    return Status(version="1.2.3")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def server(status: Status, metrics: Metrics, clock: HandClock) -> Iterator[StatusServer]:
    text = "{kafka: {client: {sasl.password: hunter2}, topic: spans}}"
    with StatusServer(
        ("127.0.0.1", 0),
        Served(metrics.registry, status, as_tree(parse_config(text, environ={}))),
        clock=clock,
    ) as running:
        yield running


def get(server: StatusServer, path: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def status_of(server: StatusServer) -> dict[str, Any]:
    code, body = get(server, "/status")
    assert code == 200
    answer: dict[str, Any] = json.loads(body)
    return answer


def test_a_free_port_is_taken_and_told(server: StatusServer) -> None:
    assert server.port > 0
    assert get(server, "/healthz")[0] == 200


@pytest.mark.parametrize("accept", ["*/*", "application/openmetrics-text; version=1.0.0"])
def test_metrics_are_served(server: StatusServer, metrics: Metrics, accept: str) -> None:
    metrics.intake.received("a", records=1, spans=2, size_bytes=3)
    code, body = get(server, "/metrics", Accept=accept)
    assert code == 200
    assert 'spanmill_spans_received_total{tenant="a"} 2.0' in body
    assert body.endswith("# EOF\n") == ("openmetrics" in accept)


def test_a_worker_is_ready_between_its_start_and_its_stop(
    server: StatusServer, status: Status
) -> None:
    assert get(server, "/ready") == (503, "starting\n")
    status.phase = "assigned"
    assert get(server, "/ready") == (200, "assigned\n")
    status.phase = "standing_by"
    assert get(server, "/ready") == (200, "standing_by\n")
    status.phase = "stopping"
    assert get(server, "/ready") == (503, "stopping\n")


def test_a_worker_whose_loop_turns_is_healthy(
    server: StatusServer, status: Status, clock: HandClock
) -> None:
    clock.sleep_s(STUCK_AFTER_S + 1)
    code, text = get(server, "/healthz")
    assert (code, text) == (503, "the loop has not turned for 121 s\n")
    status.turned_s = clock.monotonic_s()
    assert get(server, "/healthz") == (200, "ok\n")
    clock.sleep_s(STUCK_AFTER_S + 1)
    assert get(server, "/healthz")[0] == 503


def test_the_status_tells_what_the_worker_does(
    server: StatusServer, status: Status, clock: HandClock
) -> None:
    status.decoder, status.encoding = "native", "otlp_proto"
    status.partitions = (PartitionStatus(3, 100, 90, 5, 0.5),)
    status.paused, status.pauses = ("sink",), (Pause("sink", 5),)
    clock.sleep_s(12)
    answer = status_of(server)
    assert answer.pop("configuration")["kafka"]["topic"] == "spans"
    assert answer == {
        "version": "1.2.3",
        "phase": "starting",
        "decoder": "native",
        "encoding": "otlp_proto",
        "paused": ["sink"],
        "pauses": [{"reason": "sink", "since_ms": 5, "until_ms": None}],
        "uptime_seconds": 12.0,
        "partitions": [
            {
                "partition": 3,
                "next_offset": 100,
                "committed_offset": 90,
                "lag_records": 5,
                "lag_seconds": 0.5,
            }
        ],
    }


def test_secrets_are_not_in_the_status(server: StatusServer) -> None:
    assert "hunter2" not in get(server, "/status")[1]


def test_anything_else_is_not_found(server: StatusServer) -> None:
    assert get(server, "/secrets")[0] == 404


def test_an_address_in_use_is_told_in_one_line(
    status: Status, metrics: Metrics, clock: HandClock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = rf"^server: cannot listen on 127\.0\.0\.1:{port}: Address already in use; set "
        with pytest.raises(ServerError, match=text):
            StatusServer(("127.0.0.1", port), Served(metrics.registry, status, {}), clock=clock)


def test_the_port_is_free_again_after_the_end(
    status: Status, metrics: Metrics, clock: HandClock
) -> None:
    served = Served(metrics.registry, status, {})
    with StatusServer(("127.0.0.1", 0), served, clock=clock) as server:
        port = server.port
        get(server, "/ready")
    with StatusServer(("127.0.0.1", port), served, clock=clock) as again:
        assert again.port == port
