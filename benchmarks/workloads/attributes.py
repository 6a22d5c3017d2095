"""The attributes that instrumentation libraries give to the spans of the shop.

The order of the draws from the random numbers is the format: another order, other bytes.
"""

from __future__ import annotations

import random
from typing import TypeAlias

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from benchmarks.workloads.topology import NOUNS, SERVICES, Database, Operation, Value, key_value

Attributes: TypeAlias = list[tuple[str, Value]]

FEWEST, MOST = 8, 14
"""Attributes of a span, but for those that have less to say."""

_IPHONE = "CPU iPhone OS 17_4 like Mac OS X"
_WEBKIT = "(KHTML, like Gecko)"
USER_AGENTS = (
    f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 {_WEBKIT} Chrome/124.0.0.0 Safari/537.36",
    "okhttp/4.12.0",
    "python-requests/2.31.0",
    "Go-http-client/2.0",
    f"Mozilla/5.0 (iPhone; {_IPHONE}) AppleWebKit/605.1.15 {_WEBKIT} Mobile/15E148",
)
EXCEPTIONS = (
    "java.net.SocketTimeoutException",
    "context deadline exceeded",
    "TypeError",
    "psycopg2.OperationalError",
    "System.InvalidOperationException",
)
STACK = "\n".join(
    f"\tat com.shop.{noun}.Handler.lambda${number}(Handler.java:{40 + 7 * number})"
    for number, noun in enumerate(NOUNS[:9])
)
STEPS = ("validate", "load", "transform", "authorize")


def common(rng: random.Random, attributes: Attributes) -> Attributes:
    """The first of ``attributes``, filled up with what every span may have."""
    extra: Attributes = [
        ("thread.id", rng.randrange(1, 200)),
        ("thread.name", f"http-nio-8080-exec-{rng.randrange(1, 60)}"),
        ("enduser.id", f"user-{rng.randrange(200_000):06d}"),
        ("session.id", f"{rng.getrandbits(128):032x}"),
        ("app.tenant", f"tenant-{rng.randrange(20)}"),
        ("app.feature", ("a", "b", "control")[rng.randrange(3)]),
    ]
    wanted = rng.randrange(FEWEST, MOST + 1)
    return [*attributes, *extra][:wanted]


def exception(rng: random.Random, span: Span) -> None:
    """Let ``span`` fail, with the exception as an event."""
    text = EXCEPTIONS[rng.randrange(5)]
    span.status.code = Status.STATUS_CODE_ERROR
    span.status.message = text
    event = span.events.add(time_unix_nano=span.end_time_unix_nano - 1000, name="exception")
    explanation = f"operation failed after {rng.randrange(1, 5)} attempts: {text}"
    event.attributes.append(key_value("exception.type", text))
    event.attributes.append(key_value("exception.message", explanation))
    event.attributes.append(key_value("exception.stacktrace", STACK))


def http_code(rng: random.Random, *, failed: bool) -> int:
    """A status code of HTTP."""
    if failed:
        return rng.choice((500, 502, 503, 504, 404))
    return rng.choice((200, 200, 200, 200, 201, 204, 302))


def grpc_server(
    rng: random.Random, service: int, operation: Operation, *, failed: bool
) -> Attributes:
    """Of the server of a gRPC call."""
    name, method = operation.name.split("/")
    return [
        ("rpc.system", "grpc"),
        ("rpc.service", name),
        ("rpc.method", method),
        ("rpc.grpc.status_code", 13 if failed else 0),
        ("net.host.name", SERVICES[service]),
        ("net.host.port", 9090),
        ("net.sock.peer.addr", _peer_address(rng)),
        ("net.sock.peer.port", rng.randrange(1024, 65535)),
    ]


def http_server(rng: random.Random, service: int, operation: Operation, code: int) -> Attributes:
    """Of the server of an HTTP request."""
    return [
        ("http.method", operation.method),
        ("http.route", operation.route),
        ("http.status_code", code),
        ("http.scheme", "http"),
        ("http.target", _target(rng, operation)),
        ("http.user_agent", USER_AGENTS[rng.randrange(5)]),
        ("net.host.name", f"{SERVICES[service]}.shop.svc"),
        ("net.host.port", 8080),
        ("http.flavor", "1.1"),
        ("net.sock.peer.addr", _peer_address(rng)),
        ("http.response_content_length", rng.randrange(20, 90000)),
    ]


def internal_step(operation: int) -> str:
    """What a service does by itself for ``operation``."""
    return STEPS[operation % 4]


def internal(rng: random.Random, service: int, step: str) -> Attributes:
    """Of work inside a service."""
    name = SERVICES[service]
    return [
        ("code.function", step),
        ("code.namespace", f"com.shop.{name.replace('-', '')}.service"),
        ("code.lineno", rng.randrange(20, 600)),
        ("code.filepath", f"/app/src/{name}/service.py"),
        ("cache.hit", rng.random() < 0.5),
        ("app.score", round(rng.random(), 6)),
        ("retry.count", rng.randrange(3)),
    ]


def database_call(
    rng: random.Random, service: int, database: Database, asked: tuple[str, str]
) -> Attributes:
    """Of a query; ``asked`` is its verb and table. How the host is told differs by service."""
    verb, table = asked
    host: Attributes = []
    if service % 5 < 3:
        host = [("server.address", database.host), ("server.port", 5432)]
    elif service % 5 == 3:
        host = [("network.peer.address", f"10.1.{service}.9"), ("network.peer.port", 27017)]
    return [
        ("db.system", database.system),
        ("db.name", database.name),
        *host,
        ("db.operation", verb),
        ("db.statement", database.statement.format(table=table)),
        ("db.user", f"app_{SERVICES[service]}"),
        ("db.sql.table", table),
        ("db.connection_string", f"{database.system}://{database.host}:5432"),
        ("db.rows", rng.randrange(500)),
    ]


def service_call(
    rng: random.Random, target: int, operation: Operation, *, failed: bool
) -> Attributes:
    """Of the client of a call to the service ``target``."""
    host = f"{SERVICES[target]}.shop.svc"
    attributes: Attributes
    if operation.route:
        page = f"{_target(rng, operation)}?page={rng.randrange(9)}"
        attributes = [
            ("http.method", operation.method),
            ("url.full", f"http://{host}:8080{page}"),
            ("http.status_code", http_code(rng, failed=failed)),
            ("net.peer.name", host),
            ("net.peer.port", 8080),
            ("http.flavor", "1.1"),
            ("http.user_agent", USER_AGENTS[2 + rng.randrange(2)]),
        ]
    else:
        service, method = operation.name.split("/")
        attributes = [
            ("rpc.system", "grpc"),
            ("rpc.service", service),
            ("rpc.method", method),
            ("rpc.grpc.status_code", 14 if failed else 0),
            ("net.peer.name", host),
            ("net.peer.port", 9090),
        ]
    if rng.random() < 0.3:
        attributes.insert(1, ("peer.service", SERVICES[target]))
    return attributes


def publish(rng: random.Random, service: int, topic: str) -> Attributes:
    """Of a message that ``service`` writes to ``topic``."""
    return [
        ("messaging.system", "kafka"),
        ("messaging.destination.name", topic),
        ("messaging.operation", "publish"),
        ("messaging.client_id", f"{SERVICES[service]}-producer"),
        ("messaging.kafka.destination.partition", rng.randrange(24)),
        ("messaging.message.body.size", rng.randrange(100, 9000)),
        ("messaging.kafka.message.offset", rng.randrange(10**7)),
        ("messaging.kafka.message.key", f"{rng.getrandbits(32):08x}"),
    ]


def external_call(rng: random.Random, name: str, noun: str, *, failed: bool) -> Attributes:
    """Of a request to somebody who is not instrumented."""
    attributes: Attributes = [
        ("http.method", "POST"),
        ("url.full", f"https://api.{name}.com/v1/{noun}/{rng.randrange(10**6)}"),
        ("http.status_code", http_code(rng, failed=failed)),
        ("net.peer.name", f"api.{name}.com"),
        ("net.peer.port", 443),
    ]
    if rng.random() < 0.66:
        attributes.insert(0, ("peer.service", name))
    return attributes


def _target(rng: random.Random, operation: Operation) -> str:
    return operation.route.replace("{id}", str(rng.randrange(10**6)))


def _peer_address(rng: random.Random) -> str:
    return f"10.0.{rng.randrange(256)}.{rng.randrange(256)}"
