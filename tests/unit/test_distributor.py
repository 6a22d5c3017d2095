from __future__ import annotations

import base64
import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import urllib3
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from consumer.distributor import Publisher, Target, make_app
from consumer.distributor.app import MAX_BODY_BYTES
from consumer.distributor.otlp import RequestRefusedError, inflate, parse_request
from consumer.distributor.publisher import MAX_WAITING, NotWrittenError, OverloadedError
from consumer.distributor.split import split_by_trace
from consumer.http_listener import HttpListener
from consumer.kafka.client import OutgoingRecord, mock_cluster

ROOT = Path(__file__).parents[2]
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
TRACE_A = bytes(range(16))
TRACE_B = bytes(range(0xF0, 0x100))


@dataclass
class FakeWriter:
    records: list[OutgoingRecord] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    gate: threading.Event | None = None

    def write(self, record: OutgoingRecord) -> None:
        self.records.append(record)

    def flush(self, timeout_s: float) -> Sequence[str]:
        if self.gate is not None:
            assert self.gate.wait(timeout_s)
        return self.failures


@dataclass
class Listening:
    url: str
    writer: FakeWriter
    pool: urllib3.PoolManager

    def post(
        self, body: bytes, content_type: str = PROTOBUF, **headers: str
    ) -> urllib3.BaseHTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["Content-Type"] = content_type
        return self.pool.request("POST", self.url, body=body, headers=named, retries=False)

    def sent(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(r.value) for r in self.writer.records]


@pytest.fixture(scope="module")
def running() -> Iterator[Listening]:
    writer = FakeWriter()
    with (
        closing(Publisher(writer)) as publisher,
        HttpListener(
            make_app(publisher, Target("otlp_spans")), host="127.0.0.1", port=0
        ) as listener,
        urllib3.PoolManager() as pool,
    ):
        yield Listening(f"{listener.address}/v1/traces", writer, pool)


@pytest.fixture
def listening(running: Listening) -> Listening:
    """Return the running listener with its writer as new."""
    running.writer.__init__()  # type: ignore[misc]
    return running


def span(trace_id: bytes = TRACE_A, number: int = 1, **fields: object) -> Span:
    made = Span(trace_id=trace_id, span_id=number.to_bytes(8, "big"), name=f"op-{number}")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def resource_spans(service: str, spans: Sequence[Span]) -> ResourceSpans:
    made = ResourceSpans(schema_url="https://opentelemetry.io/schemas/1.30.0")
    attribute = made.resource.attributes.add(key="service.name")
    attribute.value.string_value = service
    scope = made.scope_spans.add()
    scope.scope.name = f"lib-{service}"
    scope.spans.extend(spans)
    return made


def request(*containers: ResourceSpans) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest(resource_spans=containers)


def one_span() -> bytes:
    return request(resource_spans("shop", [span()])).SerializeToString()


def as_otlp_json(message: ExportTraceServiceRequest) -> bytes:
    """What an SDK writes: ids in hex, unlike protobuf's own mapping."""
    tree = MessageToDict(message)
    for container in tree["resourceSpans"]:
        for scope in container["scopeSpans"]:
            for json_span in scope["spans"]:
                for owner in (json_span, *json_span.get("links", [])):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in owner:
                            owner[name] = base64.b64decode(owner[name]).hex()
    return json.dumps(tree).encode()


def test_a_request_becomes_one_record_per_trace_keyed_by_its_id_in_hex(
    listening: Listening,
) -> None:
    body = request(
        resource_spans("cart", [span(TRACE_A, 1), span(TRACE_B, 2)]),
        resource_spans("payment", [span(TRACE_A, 3)]),
    )
    answer = listening.post(body.SerializeToString())
    assert (answer.status, answer.data) == (200, b"")
    assert answer.headers["Content-Type"] == PROTOBUF
    assert [record.key for record in listening.writer.records] == [
        b"000102030405060708090a0b0c0d0e0f",
        b"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
    ]
    assert {record.topic for record in listening.writer.records} == {"otlp_spans"}
    assert listening.sent() == [
        request(
            resource_spans("cart", [span(TRACE_A, 1)]),
            resource_spans("payment", [span(TRACE_A, 3)]),
        ),
        request(resource_spans("cart", [span(TRACE_B, 2)])),
    ]


def test_the_tenant_travels_as_a_record_header(listening: Listening) -> None:
    listening.post(one_span(), X_Scope_OrgID="acme")
    assert listening.writer.records[0].headers == (("X-Scope-OrgID", b"acme"),)


def test_without_a_tenant_no_header_is_written(listening: Listening) -> None:
    listening.post(one_span())
    assert listening.writer.records[0].headers == ()


@pytest.mark.parametrize("tenant", ["a b", "a|b", "..", "x" * 151])
def test_an_impossible_tenant_is_refused(listening: Listening, tenant: str) -> None:
    assert listening.post(one_span(), X_Scope_OrgID=tenant).status == 400
    assert listening.writer.records == []


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_content_encodings_of_otlp_are_undone(listening: Listening, encoding: str) -> None:
    body = gzip.compress(one_span()) if encoding == "gzip" else one_span()
    assert listening.post(body, Content_Encoding=encoding).status == 200
    assert listening.sent()[0].SerializeToString() == one_span()


def test_an_unknown_content_encoding_is_refused_with_those_it_knows(listening: Listening) -> None:
    answer = listening.post(one_span(), Content_Encoding="zstd")
    assert answer.status == 415
    assert answer.headers["Accept-Encoding"] == "gzip, identity"


def test_json_says_ids_in_hex_enums_as_numbers_and_integers_as_text(listening: Listening) -> None:
    body = {
        "resourceSpans": [
            {
                "resource": {
                    "attributes": [{"key": "service.name", "value": {"stringValue": "web"}}]
                },
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": "5B8EFFF798038103D269B633813FC60C",
                                "spanId": "eee19b7ec3c1b174",
                                "parentSpanId": "eee19b7ec3c1b173",
                                "name": "GET /",
                                "kind": 2,
                                "startTimeUnixNano": "1544712660000000000",
                                "endTimeUnixNano": 1544712661000000000,
                                "status": {"code": 2},
                                "links": [
                                    {
                                        "traceId": "5B8EFFF798038103D269B633813FC60D",
                                        "spanId": "eee19b7ec3c1b175",
                                    }
                                ],
                                "aFieldOfTomorrow": True,
                            }
                        ]
                    }
                ],
            }
        ]
    }
    answer = listening.post(json.dumps(body).encode(), "application/json; charset=utf-8")
    assert (answer.status, answer.json()) == (200, {})
    assert answer.headers["Content-Type"] == JSON
    (sent,) = listening.sent()
    got = sent.resource_spans[0].scope_spans[0].spans[0]
    assert listening.writer.records[0].key == b"5b8efff798038103d269b633813fc60c"
    assert got.span_id.hex() == "eee19b7ec3c1b174"
    assert got.parent_span_id.hex() == "eee19b7ec3c1b173"
    assert got.links[0].span_id.hex() == "eee19b7ec3c1b175"
    assert (got.kind, got.status.code) == (Span.SPAN_KIND_SERVER, 2)
    assert got.end_time_unix_nano - got.start_time_unix_nano == 10**9


def test_json_and_protobuf_of_a_request_give_the_same_records(listening: Listening) -> None:
    body = request(resource_spans("a", [span(TRACE_A, 1), span(TRACE_B, 2)]))
    listening.post(body.SerializeToString())
    listening.post(as_otlp_json(body), JSON)
    records = listening.writer.records
    assert [(r.key, r.value) for r in records[:2]] == [(r.key, r.value) for r in records[2:]]


@pytest.mark.parametrize(
    "bad",
    [
        span(b""),
        span(b"\0" * 16),
        span(TRACE_A[:15]),
        span(TRACE_A, 0),
        span(TRACE_A, 9, span_id=b"1234567"),
        span(TRACE_A, 9, parent_span_id=b"123"),
    ],
)
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_spans_with_impossible_ids_are_refused_and_the_others_taken(
    listening: Listening, bad: Span, content_type: str
) -> None:
    body = request(resource_spans("shop", [bad, span(TRACE_A, 2)]))
    encoded = as_otlp_json(body) if content_type == JSON else body.SerializeToString()
    answer = listening.post(encoded, content_type)
    assert answer.status == 200
    if content_type == JSON:
        partial = answer.json()["partialSuccess"]
        assert partial["rejectedSpans"] == "1"
        assert "id is not" in partial["errorMessage"]
    else:
        response = ExportTraceServiceResponse.FromString(answer.data)
        assert response.partial_success.rejected_spans == 1
        assert "id is not" in response.partial_success.error_message
    assert listening.sent() == [request(resource_spans("shop", [span(TRACE_A, 2)]))]


def test_an_id_that_is_no_hex_costs_only_its_span(listening: Listening) -> None:
    body = as_otlp_json(request(resource_spans("shop", [span(TRACE_A, 1), span(TRACE_B, 2)])))
    answer = listening.post(body.replace(TRACE_A.hex().encode(), b"not hexadecimal"), JSON)
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert [record.key for record in listening.writer.records] == [TRACE_B.hex().encode()]


def test_an_empty_request_is_a_success(listening: Listening) -> None:
    assert listening.post(b"").status == 200
    assert listening.post(b"{}", JSON).json() == {}
    assert listening.writer.records == []


@pytest.mark.parametrize(
    ("content_type", "body", "headers"),
    [
        (PROTOBUF, b"\x0a\xff", {}),
        (PROTOBUF, b"not protobuf", {}),
        (JSON, b"{", {}),
        (JSON, b"[]", {}),
        (JSON, b'{"resourceSpans": 7}', {}),
        (JSON, b'{"resourceSpans": [7, null, {"scopeSpans": [[]]}]}', {}),
        (PROTOBUF, b"no gzip", {"Content_Encoding": "gzip"}),
        (PROTOBUF, gzip.compress(b"x" * 1000, mtime=0)[:-9], {"Content_Encoding": "gzip"}),
    ],
)
def test_a_body_that_is_no_request_is_a_400_with_a_status_message(
    listening: Listening, content_type: str, body: bytes, headers: dict[str, str]
) -> None:
    answer = listening.post(body, content_type, **headers)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == content_type
    assert "Retry-After" not in answer.headers
    if content_type == JSON:
        assert answer.json()["message"].startswith("the body is no ")
    else:
        assert answer.data[0] == 0x12, "field 2 of google.rpc.Status"


def test_a_gzip_bomb_is_refused_before_it_unfolds(listening: Listening) -> None:
    bomb = gzip.compress(b"\0" * (MAX_BODY_BYTES + 1))
    assert len(bomb) < 100_000
    assert listening.post(bomb, Content_Encoding="gzip").status == 413


def test_many_small_gzip_members_count_together() -> None:
    members = gzip.compress(b"ab") * 3
    assert inflate(members, "gzip", 6) == b"ababab"
    with pytest.raises(RequestRefusedError) as refusal:
        inflate(members, "gzip", 5)
    assert refusal.value.status == 413


def test_a_body_beyond_the_limit_is_refused(listening: Listening) -> None:
    assert listening.post(b"\0" * (MAX_BODY_BYTES + 1)).status == 413


@pytest.mark.parametrize("content_type", ["text/plain", "application/grpc", ""])
def test_other_content_types_are_refused(listening: Listening, content_type: str) -> None:
    assert listening.post(one_span(), content_type).status == 415


def test_other_paths_and_methods_do_not_exist(listening: Listening) -> None:
    root = listening.url.removesuffix("/v1/traces")
    assert listening.pool.request("GET", root + "/").status == 404
    assert listening.pool.request("POST", root + "/v1/logs", body=b"").status == 404
    assert listening.pool.request("GET", listening.url).status == 405


def test_when_kafka_does_not_acknowledge_the_client_is_asked_to_come_again(
    listening: Listening,
) -> None:
    listening.writer.failures = ["_MSG_TIMED_OUT"]
    answer = listening.post(one_span())
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert b"_MSG_TIMED_OUT" in answer.data


def test_too_many_waiting_requests_are_refused_at_once() -> None:
    writer = FakeWriter(gate=threading.Event())
    assert writer.gate is not None
    publisher = Publisher(writer)
    first = publisher.publish([OutgoingRecord("t", b"first")])
    while not first.running():
        pass
    taken = [publisher.publish([OutgoingRecord("t", b"")]) for _ in range(MAX_WAITING)]
    with pytest.raises(OverloadedError):
        publisher.publish([OutgoingRecord("t", b"one more")])
    writer.gate.set()
    publisher.close()
    assert all(outcome.exception() is None for outcome in taken)


def test_a_failed_group_does_not_fail_the_next() -> None:
    writer = FakeWriter(failures=["timed out"])
    with closing(Publisher(writer)) as publisher:
        failed = publisher.publish([OutgoingRecord("t", b"bad")])
        assert isinstance(failed.exception(timeout=5), NotWrittenError)
        writer.failures = []
        assert publisher.publish([OutgoingRecord("t", b"good")]).exception(timeout=5) is None


def test_an_abandoned_submission_is_not_written() -> None:
    writer = FakeWriter(gate=threading.Event())
    assert writer.gate is not None
    publisher = Publisher(writer)
    first = publisher.publish([OutgoingRecord("t", b"first")])
    while not first.running():
        pass
    publisher.publish([OutgoingRecord("t", b"abandoned")]).cancel()
    writer.gate.set()
    publisher.close()
    assert [record.value for record in writer.records] == [b"first"]


def test_a_trace_larger_than_a_record_becomes_several_of_one_key() -> None:
    spans = [span(TRACE_A, number, name="n" * 300) for number in range(1, 31)]
    split = split_by_trace(request(resource_spans("big", spans)), max_record_bytes=2000)
    assert len(split.records) > 1
    assert {record.key for record in split.records} == {TRACE_A.hex().encode()}
    assert all(len(record.value) <= 2000 for record in split.records)
    got = [
        one
        for record in split.records
        for one in parse_request(record.value, PROTOBUF).resource_spans[0].scope_spans[0].spans
    ]
    assert got == spans


def test_a_span_larger_than_a_record_is_refused() -> None:
    spans = [span(TRACE_A, 1, name="n" * 3000), span(TRACE_A, 2)]
    split = split_by_trace(request(resource_spans("big", spans)), max_record_bytes=2000)
    assert split.rejected == 1
    assert "larger than a record" in split.rejection_text
    assert len(split.records) == 1


PROGRAM = """
import sys
from consumer.config import load_config
from consumer.distributor import run_distributor
settings = ["kafka.bootstrap_servers=" + sys.argv[1], "server.host=127.0.0.1"]
sys.exit(run_distributor(load_config(None, overrides=settings, environ={}), port=int(sys.argv[2])))
"""


def test_the_program_serves_until_sigterm_and_ends_with_0() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    retries = urllib3.Retry(300, connect=300, backoff_factor=0.1, backoff_max=0.1)
    with (
        mock_cluster(["otlp_spans"]) as bootstrap,
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, bootstrap, str(port)], cwd=ROOT
        ) as running,
        urllib3.PoolManager(retries=retries) as pool,
    ):
        url = f"http://127.0.0.1:{port}/v1/traces"
        try:
            answer = pool.request("POST", url, body=one_span(), headers={"Content-Type": PROTOBUF})
        finally:
            running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
    assert answer.status == 200


def test_a_taken_port_ends_the_program_with_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "127.0.0.1:9", port],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
    assert done.returncode == 1
    assert b"cannot listen on 127.0.0.1:" in done.stderr
