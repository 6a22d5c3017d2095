"""The traces of the shop: a request at an edge service, and all that follows from it.

The order of the draws from the random numbers is the format: another order, other bytes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from benchmarks.workloads.attributes import (
    Attributes,
    common,
    database_call,
    exception,
    external_call,
    grpc_server,
    http_code,
    http_server,
    internal,
    internal_step,
    publish,
    service_call,
)
from benchmarks.workloads.topology import (
    OPERATIONS_PER_SERVICE,
    PODS_PER_SERVICE,
    SERVICES,
    Operation,
    Topology,
    key_value,
    language_of,
    noun_of,
)

EDGE_SERVICES = 6
SMALLEST_TRACE, LARGEST_TRACE = 8, 40
DATABASE_OPERATIONS = ("SELECT", "UPDATE", "HGETALL", "find", "GET")
EXTERNAL = ("stripe", "sendgrid", "twilio", "maps-api")
HTTP, DATABASE, QUEUE = range(3)
"""Indexes into the scopes of a language."""


@dataclass(frozen=True, slots=True)
class Made:
    """A span and where it came from."""

    service: int
    pod: int
    scope: int
    span: Span


@dataclass(frozen=True, slots=True)
class Work:
    """What one pod does in a trace from ``start_ns`` on, under the span ``parent``."""

    service: int
    operation: int
    pod: int
    parent: bytes
    start_ns: int
    duration_ns: int
    failed: bool
    depth: int


class Traces:
    """Makes one trace after the other; ``ids_per_name`` 0 leaves span names as they are."""

    def __init__(self, rng: random.Random, topology: Topology, *, ids_per_name: int) -> None:
        self._rng = rng
        self._topology = topology
        self._ids_per_name = ids_per_name
        self._spans: list[Made] = []
        self._budget = 0
        self._trace_id = b""
        self._state = ""
        self._is_sampled = False

    def trace(self, start_ns: int) -> list[Made]:
        """The spans of a new trace, in the order of their making."""
        rng = self._rng
        self._trace_id = rng.getrandbits(128).to_bytes(16, "big")
        self._budget = rng.randrange(SMALLEST_TRACE, LARGEST_TRACE + 1)
        self._state = _trace_state(rng.random())
        self._is_sampled = rng.random() < 0.05
        self._spans = []
        while len(self._spans) < SMALLEST_TRACE:
            self._spans = []
            failed = rng.random() < 0.07
            service, operation = rng.randrange(EDGE_SERVICES), rng.randrange(OPERATIONS_PER_SERVICE)
            duration_ns = self._duration_ns(180)
            self._serve(Work(service, operation, 0, b"", start_ns, duration_ns, failed, 0))
        return self._spans

    def _duration_ns(self, mean_ms: int) -> int:
        return max(20_000, int(self._rng.lognormvariate(math.log(mean_ms), 0.9) * 1e6))

    def _name(self, base: str) -> str:
        if not self._ids_per_name:
            return base
        return f"{base}#{self._rng.randrange(self._ids_per_name)}"

    def _span(self, work: Work, kind: Span.SpanKind.ValueType, name: str, scope: int) -> Span:
        """A new span; its attributes and status are to follow."""
        name = self._name(name)
        span = Span(
            trace_id=self._trace_id,
            span_id=self._rng.getrandbits(64).to_bytes(8, "big"),
            parent_span_id=work.parent,
            trace_state=self._state,
            flags=0x101 if self._rng.random() < 0.5 else 0x1,
            name=name,
            kind=kind,
            start_time_unix_nano=work.start_ns,
            end_time_unix_nano=work.start_ns + work.duration_ns,
        )
        self._spans.append(Made(work.service, work.pod, scope, span))
        return span

    def _finish(self, span: Span, service: int, attributes: Attributes, *, failed: bool) -> None:
        """Give ``span`` its attributes, status and events."""
        self._describe(span, attributes)
        self._conclude(span, service, failed=failed)

    def _describe(self, span: Span, attributes: Attributes) -> None:
        kept = common(self._rng, attributes)
        span.attributes.extend(key_value(key, value) for key, value in kept)
        if self._is_sampled:
            span.attributes.append(key_value("sampling.ratio", 0.25))

    def _conclude(self, span: Span, service: int, *, failed: bool) -> None:
        if failed:
            exception(self._rng, span)
        elif service % 5 == 1:
            span.status.code = Status.STATUS_CODE_OK
        elif service % 5 != 2:
            span.status.SetInParent()  # there but empty, as most SDKs write it
        if self._rng.random() < 0.06:
            sent = span.events.add(time_unix_nano=span.start_time_unix_nano + 1000, name="message")
            sent.attributes.append(key_value("message.type", "SENT"))
            sent.attributes.append(key_value("message.id", self._rng.randrange(5)))

    def _serve(self, work: Work) -> None:
        """Answer a request."""
        work = replace(work, pod=self._rng.randrange(PODS_PER_SERVICE))
        operation = self._operation(work)
        span = self._span(work, Span.SPAN_KIND_SERVER, operation.name, HTTP)
        code = http_code(self._rng, failed=work.failed)
        if operation.route:
            attributes = http_server(self._rng, work.service, operation, code)
        else:
            attributes = grpc_server(self._rng, work.service, operation, failed=work.failed)
        self._finish(span, work.service, attributes, failed=work.failed)
        self._follow(replace(work, parent=span.span_id))

    def _operation(self, work: Work) -> Operation:
        return self._topology.operations[work.service][work.operation]

    def _follow(self, work: Work) -> None:
        """What is done to answer: some steps, one after the other."""
        rng = self._rng
        steps = rng.randrange(1, 6) if work.depth else rng.randrange(3, 7)
        start_ns = work.start_ns + work.duration_ns // 20
        slot_ns = max(1000, work.duration_ns * 9 // 10 // steps)
        for number in range(steps):
            if len(self._spans) >= self._budget:
                break
            kind = rng.random()
            duration_ns = max(1000, min(slot_ns - 500, int(slot_ns * rng.uniform(0.3, 0.98))))
            failed = (work.failed and number == steps - 1) or rng.random() < 0.045
            step = replace(work, start_ns=start_ns, duration_ns=duration_ns, failed=failed)
            if self._step(kind, work.depth)(step):
                start_ns += slot_ns

    def _step(self, kind: float, depth: int) -> Callable[[Work], bool]:
        """What to do; it tells whether there was anything to do."""
        if kind < 0.26:
            return self._work_alone
        if kind < 0.52:
            return self._query
        if kind < 0.86 and depth < 6:
            return self._call
        if kind < 0.95 and depth < 5:
            return self._publish
        return self._call_external

    def _work_alone(self, work: Work) -> bool:
        step = internal_step(work.operation)
        noun = self._operation(work).noun.capitalize()
        span = self._span(work, Span.SPAN_KIND_INTERNAL, f"{noun}Service.{step}", HTTP)
        attributes = internal(self._rng, work.service, step)
        self._finish(span, work.service, attributes, failed=work.failed)
        return True

    def _query(self, work: Work) -> bool:
        database = self._topology.databases[work.service]
        verb = DATABASE_OPERATIONS[work.service % 5]
        name = f"{verb} {database.name}.{noun_of(work.service, work.operation % 4)}"
        span = self._span(work, Span.SPAN_KIND_CLIENT, name, DATABASE)
        noun = self._operation(work).noun
        attributes = database_call(self._rng, work.service, database, (verb, noun))
        self._finish(span, work.service, attributes, failed=work.failed)
        return True

    def _call(self, work: Work) -> bool:
        """Call another service; now and then one of the two sides is never exported."""
        rng, service = self._rng, work.service
        number = rng.randrange(3)
        if service == len(SERVICES) - 1:
            return False
        target = self._topology.downstream[service][work.operation][number]
        asked = (work.operation * 3 + number * 7 + service) % OPERATIONS_PER_SERVICE
        operation = self._topology.operations[target][asked]
        name = operation.method if operation.route else operation.name
        span = self._span(work, Span.SPAN_KIND_CLIENT, name, HTTP)
        attributes = service_call(rng, target, operation, failed=work.failed)
        self._finish(span, service, attributes, failed=work.failed)
        fate = rng.random()
        if fate < 0.985:
            served = Work(
                service=target,
                operation=asked,
                pod=0,
                parent=span.span_id,
                start_ns=work.start_ns + work.duration_ns // 50,
                duration_ns=work.duration_ns - work.duration_ns // 25,
                failed=work.failed and rng.random() < 0.8,
                depth=work.depth + 1,
            )
            self._serve(served)
        if fate < 0.008:
            self._spans = [made for made in self._spans if made.span is not span]
        return True

    def _publish(self, work: Work) -> bool:
        """Write to a queue, and mostly somebody reads it."""
        rng, service = self._rng, work.service
        target = self._topology.downstream[service][work.operation % 3][0]
        topic = f"{SERVICES[service]}.{noun_of(service, work.operation % 3)}.events"
        sent = replace(work, duration_ns=min(work.duration_ns, 3_000_000))
        span = self._span(sent, Span.SPAN_KIND_PRODUCER, f"{topic} publish", QUEUE)
        attributes = publish(rng, service, topic)
        self._finish(span, service, attributes, failed=work.failed)
        if rng.random() < 0.97 and len(self._spans) < self._budget:
            received = Work(
                service=target,
                operation=(work.operation + service) % OPERATIONS_PER_SERVICE,
                pod=rng.randrange(PODS_PER_SERVICE),
                parent=span.span_id,
                start_ns=span.end_time_unix_nano + self._duration_ns(40),
                duration_ns=self._duration_ns(25),
                failed=False,
                depth=work.depth + 2,
            )
            self._receive(received, topic, attributes)
        return True

    def _receive(self, work: Work, topic: str, sent: Attributes) -> None:
        span = self._span(work, Span.SPAN_KIND_CONSUMER, f"{topic} process", QUEUE)
        group = ("messaging.kafka.consumer.group", f"{SERVICES[work.service]}-group")
        changed = {"messaging.operation": ("messaging.operation", "process")}
        changed["messaging.client_id"] = group
        self._describe(span, [changed.get(pair[0], pair) for pair in sent])
        self._conclude(span, work.service, failed=self._rng.random() < 0.03)
        if self._rng.random() < 0.2:
            link = span.links.add(trace_id=self._trace_id, span_id=work.parent)
            link.attributes.append(key_value("link.kind", "producer"))
        self._follow(replace(work, parent=span.span_id))

    def _call_external(self, work: Work) -> bool:
        span = self._span(work, Span.SPAN_KIND_CLIENT, "POST", HTTP)
        noun, name = self._operation(work).noun, EXTERNAL[work.service % 4]
        attributes = external_call(self._rng, name, noun, failed=work.failed)
        self._finish(span, work.service, attributes, failed=work.failed)
        return True


def scope_of(made: Made) -> tuple[str, str]:
    """The instrumentation library that ``made`` came from."""
    return language_of(made.service).scopes[made.scope]


def _trace_state(draw: float) -> str:
    if draw < 0.05:
        return "ot=th:c"
    if draw < 0.08:
        return "vendor=a1b2,ot=th:8;rv:12345678901234"
    return "congo=t61rcWkgMzE" if draw < 0.12 else ""
