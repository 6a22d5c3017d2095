"""Who there is in the shop: services, their operations, pods and databases, who calls whom."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

Value: TypeAlias = bool | int | float | str | list[str]

NODES = 10
PODS_PER_SERVICE = 3
OPERATIONS_PER_SERVICE = 20
CALLS_PER_OPERATION = 3

SERVICES = (
    *("frontend", "api-gateway", "mobile-bff", "web-bff", "admin-portal", "partner-gateway"),
    *("auth", "identity", "session", "user-profile", "cart", "checkout", "order"),
    *("order-history", "payment", "fraud", "billing", "invoice", "tax", "shipping", "delivery"),
    *("tracking", "warehouse", "inventory", "catalog", "product", "search", "recommendation"),
    *("pricing", "promotion", "coupon", "loyalty", "review", "rating", "media"),
    *("image-resizer", "notification", "email", "sms", "push", "analytics", "event-collector"),
    *("feature-flag", "config", "geo", "currency", "translation", "support-chat", "scheduler"),
    "audit-log",
)
NOUNS = (
    *("items", "orders", "users", "carts", "payments", "refunds", "quotes", "labels", "events"),
    *("sessions", "profiles", "stocks", "prices", "reviews", "images", "tokens", "plans"),
    *("zones", "rates", "jobs"),
)
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE", "PATCH")
REGIONS = ("eu-west-1", "us-east-1")
NAMESPACES = ("edge", "core", "data")

Scope: TypeAlias = tuple[str, str]
"""Name and version of an instrumentation library."""


@dataclass(frozen=True, slots=True)
class Language:
    """What services of one language say about themselves; scopes: HTTP, database, queue."""

    name: str
    sdk_version: str
    runtime: str
    scopes: tuple[Scope, Scope, Scope]


@dataclass(frozen=True, slots=True)
class Operation:
    """What a service can be asked for; without a route it is gRPC."""

    name: str
    noun: str
    method: str
    route: str


@dataclass(frozen=True, slots=True)
class Database:
    """The one database of a service."""

    system: str
    statement: str
    name: str
    host: str


@dataclass(frozen=True, slots=True)
class Pod:
    """A process of a service, on a node of the cluster."""

    resource: Resource
    node: int


LANGUAGES = (
    Language(
        "java",
        "1.38.0",
        "OpenJDK Runtime Environment",
        (
            ("io.opentelemetry.tomcat-10.0", "2.4.0-alpha"),
            ("io.opentelemetry.jdbc", "2.4.0-alpha"),
            ("io.opentelemetry.kafka-clients-0.11", "2.4.0-alpha"),
        ),
    ),
    Language(
        "go",
        "1.28.0",
        "go",
        (
            ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0.53.0"),
            ("github.com/XSAM/otelsql", "0.32.0"),
            (
                "go.opentelemetry.io/contrib/instrumentation/github.com/IBM/sarama/otelsarama",
                "0.1.0",
            ),
        ),
    ),
    Language(
        "nodejs",
        "1.25.1",
        "nodejs",
        (
            ("@opentelemetry/instrumentation-http", "0.52.1"),
            ("@opentelemetry/instrumentation-pg", "0.43.0"),
            ("@opentelemetry/instrumentation-kafkajs", "0.2.0"),
        ),
    ),
    Language(
        "python",
        "1.25.0",
        "CPython",
        (
            ("opentelemetry.instrumentation.fastapi", "0.46b0"),
            ("opentelemetry.instrumentation.sqlalchemy", "0.46b0"),
            ("opentelemetry.instrumentation.kafka", "0.46b0"),
        ),
    ),
    Language(
        "dotnet",
        "1.9.0",
        ".NET",
        (
            ("Microsoft.AspNetCore", "8.0.0"),
            ("OpenTelemetry.Instrumentation.SqlClient", "1.9.0"),
            ("Confluent.Kafka.Extensions.Diagnostics", "0.4.0"),
        ),
    ),
)
DATABASES = (
    (
        "postgresql",
        "SELECT * FROM {table} WHERE id = $1 AND tenant_id = $2 ORDER BY created_at DESC LIMIT 50",
    ),
    ("mysql", "UPDATE {table} SET status = ?, updated_at = NOW() WHERE id = ? AND version = ?"),
    ("redis", "HGETALL {table}:?"),
    ("mongodb", "{table}.find"),
    ("elasticsearch", "GET /{table}/_search"),
)


class Topology:
    """All tables by service number; ``downstream`` by operation and call as well."""

    def __init__(self, rng: random.Random) -> None:
        services = range(len(SERVICES))
        self.operations = [
            [_operation(service, number) for number in range(OPERATIONS_PER_SERVICE)]
            for service in services
        ]
        self.databases = [_database(service) for service in services]
        self.pods = [
            [_pod(service, number) for number in range(PODS_PER_SERVICE)] for service in services
        ]
        self.downstream = [_downstream(service, rng) for service in services]


def key_value(key: str, value: Value) -> KeyValue:
    """One attribute."""
    pair = KeyValue(key=key)
    if isinstance(value, bool):
        pair.value.bool_value = value
    elif isinstance(value, int):
        pair.value.int_value = value
    elif isinstance(value, float):
        pair.value.double_value = value
    elif isinstance(value, list):
        pair.value.array_value.SetInParent()
        for text in value:
            pair.value.array_value.values.add().string_value = text
    else:
        pair.value.string_value = value
    return pair


def language_of(service: int) -> Language:
    """The language that ``service`` is written in."""
    return LANGUAGES[service % len(LANGUAGES)]


def noun_of(service: int, number: int) -> str:
    """What the operation ``number`` of ``service`` is about."""
    return NOUNS[(service * 7 + number) % len(NOUNS)]


def _operation(service: int, number: int) -> Operation:
    noun = noun_of(service, number)
    method = METHODS[(service + number) % len(METHODS)]
    if (service + number) % 6 == 5:
        package = SERVICES[service].replace("-", "")
        call = f"{noun.capitalize()}Service/{method.capitalize()}{noun.capitalize()}"
        return Operation(f"shop.{package}.v1.{call}", noun, "POST", "")
    route = f"/api/v{1 + number % 2}/{noun}/{{id}}{'' if number % 3 else '/details'}"
    return Operation(f"{method} {route}", noun, method, route)


def _database(service: int) -> Database:
    system, statement = DATABASES[service % len(DATABASES)]
    name = SERVICES[service]
    host = f"{name}-{system}.db.shop.svc.cluster.local"
    return Database(system, statement, f"{name.replace('-', '_')}_db", host)


def _downstream(service: int, rng: random.Random) -> list[list[int]]:
    """Only services of larger number, so that no call leads back."""
    candidates = list(range(service + 1, len(SERVICES))) or [len(SERVICES) - 1]
    return [
        [rng.choice(candidates) for _ in range(CALLS_PER_OPERATION)]
        for _ in range(OPERATIONS_PER_SERVICE)
    ]


def _pod(service: int, number: int) -> Pod:
    node = (service * PODS_PER_SERVICE + number) % NODES
    name, language = SERVICES[service], language_of(service)
    digest = hashlib.sha1(f"{name}-{number}".encode(), usedforsecurity=False).hexdigest()
    pod_name = f"{name}-{digest[:9]}-{digest[10:15]}"
    instance = "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
    namespace = f"shop-{NAMESPACES[service % 3]}"
    region = REGIONS[service % 2]
    attributes: list[tuple[str, Value]] = [
        ("service.name", name),
        ("service.namespace", namespace),
        ("service.instance.id", instance),
        ("service.version", f"1.{service % 9}.{number}"),
        ("k8s.cluster.name", f"prod-{region}"),
        ("k8s.namespace.name", namespace),
        ("k8s.pod.name", pod_name),
        ("k8s.deployment.name", name),
        ("k8s.container.name", "app"),
        ("k8s.node.name", f"ip-10-0-{node}-{17 + node}.ec2.internal"),
        ("host.name", pod_name),
        ("host.arch", "amd64"),
        ("os.type", "linux"),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.language", language.name),
        ("telemetry.sdk.version", language.sdk_version),
        ("cloud.provider", "aws"),
        ("cloud.region", region),
        ("cloud.availability_zone", region + "abc"[number % 3]),
        ("deployment.environment", "production"),
        ("process.pid", 1),
        ("process.runtime.name", language.runtime),
        ("process.command_args", [f"/app/bin/{name}", f"--config=/etc/{name}/config.yaml"]),
    ]
    return Pod(Resource(attributes=[key_value(key, value) for key, value in attributes]), node)
