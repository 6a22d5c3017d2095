"""A worker without network: the real loop between a fake Kafka and a fake sink.

The clock is turned by hand. What the loop does to the outside is written to one journal, in order.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from threading import Event
from typing import TypeAlias, cast

import numpy as np
from prometheus_client import CollectorRegistry

from consumer.assembly import record_time
from consumer.config import parse_config
from consumer.decode.ahead import DecodeAhead
from consumer.flusher import TickSink
from consumer.kafka.client import (
    Answered,
    Fate,
    IncomingRecord,
    KafkaError,
    OutgoingRecord,
)
from consumer.kafka.dead_letters import DeadLetters
from consumer.kafka.intake import IntakeSettings
from consumer.kafka.source import Committed, SpanSource
from consumer.overrides import Overrides
from consumer.pipeline import open_pipeline
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.routes import Routes
from consumer.remote_write.series import SeriesBlock, Tick
from consumer.seam.build import Around, direct_seam
from consumer.telemetry.metrics import Metrics
from consumer.telemetry.reporter import Reporter
from consumer.telemetry.server import Status
from consumer.worker import Parts, Worker, WorkerSettings
from tests.support.clock import HandClock
from tests.support.otlp import START_NS, record, resource_spans, span

START_MS = START_NS // 1_000_000
INTERVAL_MS = 1_000
WAIT_MS = 2_000
SHUTDOWN_S = 5.0
TOPIC = "spans"
CALLS = "traces_spanmetrics_calls_total"
CONFIG = f"""
kafka: {{group_instance_id: pod-0}}
record_time: {{idle_grace: 0s}}
metrics_generator:
  processor: {{service_graphs: {{wait: {WAIT_MS}ms}}}}
  registry: {{collection_interval: {INTERVAL_MS}ms}}
"""

Sample: TypeAlias = tuple[int, float]
Labels: TypeAlias = tuple[tuple[str, str], ...]


class FakeSource:
    """One member of a group. ``give`` queues records; the test decides about partitions."""

    def __init__(self, journal: list[str]) -> None:
        self.assigned: frozenset[int] = frozenset()
        self.committed: dict[int, int] = {}
        self.notes: dict[int, str] = {}
        self.refuses_commits = False
        self.is_paused = False
        self.held: frozenset[int] = frozenset()
        self.has_more: set[int] = set()
        """Partitions of which more can be read than was given."""
        self.records_unread = 0
        self.ends: dict[int, tuple[int, int]] = {}
        self._journal = journal
        self._waiting: list[IncomingRecord] = []

    def give(self, *records: IncomingRecord) -> None:
        """Records for the next poll."""
        self._waiting += records
        for each in records:
            first, _ = self.ends.get(each.partition, (each.offset, 0))
            self.ends[each.partition] = (first, each.offset + 1)

    def poll(self, _timeout_s: float) -> Sequence[IncomingRecord]:
        """What waits, unless paused."""
        if self.is_paused:
            return []
        records = [each for each in self._waiting if each.partition not in self.held]
        self._waiting = [each for each in self._waiting if each.partition in self.held]
        return records

    def commit(self, offsets: Mapping[int, int], note: str = "") -> None:
        """Take the offsets, or not."""
        if self.refuses_commits:
            raise KafkaError("rebalance in progress")
        self._journal.append(f"commit {dict(offsets)}")
        self.committed.update(offsets)
        self.notes.update(dict.fromkeys(offsets, note))

    def unread(self) -> int:
        """What the test says."""
        return self.records_unread

    def pause(self) -> None:
        """Give nothing from now on."""
        self.is_paused = True
        self._journal.append("pause")

    def resume(self) -> None:
        """Give again."""
        self.is_paused = False
        self._journal.append("resume")

    def hold(self, partitions: Collection[int]) -> None:
        """Give nothing of these partitions."""
        self.held = frozenset(partitions)

    def ask_ends(self) -> bool:
        """The ends are known at any time."""
        return True

    def end_offsets(self, partition: int) -> tuple[int, int] | None:
        """As far as records were given."""
        first, end = self.ends.get(partition, (0, 0))
        return first, end + (partition in self.has_more)


class FakeSender:
    """Keeps every tick; delivers at once, or by hand with ``is_held``."""

    def __init__(self, journal: list[str]) -> None:
        self.ticks: list[Tick] = []
        self.blocked: str | None = None
        self.routes: Routes | None = None
        self.is_held = False
        self._held: list[Delivery] = []
        self._journal = journal

    def apply(self, routes: Routes) -> None:
        """Keep the routes."""
        self.routes = routes

    def submit(self, tick: Tick) -> Delivery:
        """Take a tick."""
        self._journal.append(f"send {tick.time_ms - START_MS}")
        self.ticks.append(tick)
        delivery = Delivery(1)
        self._held.append(delivery)
        if not self.is_held:
            self.deliver()
        return delivery

    def deliver(self, ticks: int | None = None) -> None:
        """Settle the oldest ``ticks`` that wait, or all."""
        for delivery in self._held[:ticks]:
            delivery.settle_part()
            self._journal.append("delivered")
        del self._held[:ticks]


class FakeWriter:
    """The dead-letter topic; fails while ``failure`` is set, never takes what is in ``refused``."""

    def __init__(self) -> None:
        self.written: list[OutgoingRecord] = []
        self.failure = ""
        self.refused: set[bytes] = set()
        self.queued: list[tuple[OutgoingRecord, Answered]] = []

    def write(self, outgoing: OutgoingRecord, answered: Answered) -> None:
        """Queue a record."""
        self.queued.append((outgoing, answered))

    def flush(self, _timeout_s: float) -> Sequence[str]:
        """Answer all that is queued."""
        queued, self.queued = self.queued, []
        failures = []
        for outgoing, answered in queued:
            if outgoing.value in self.refused:
                failures.append("too large")
                answered(Fate.REFUSED)
            elif self.failure:
                failures.append(self.failure)
                answered(Fate.FAILED)
            else:
                self.written.append(outgoing)
                answered(Fate.WRITTEN)
        return failures


class Loop:
    """A worker whose turns the test makes; it begins ``started_ms`` after ``START_MS``."""

    def __init__(
        self,
        config: str = CONFIG,
        *,
        dead_letter_topic: str = "",
        started_ms: int = 0,
        ahead: DecodeAhead | None = None,
    ) -> None:
        self.journal: list[str] = []
        self.clock = HandClock((START_MS + started_ms) / 1_000)
        self.source = FakeSource(self.journal)
        self.sender = FakeSender(self.journal)
        self.letters = FakeWriter()
        self.metrics = Metrics(CollectorRegistry())
        self.status = Status(version="1")
        parsed = parse_config(config, environ={})
        self.overrides = Overrides(parsed, environ={}, now_ms=self.clock.now_ms())
        tenants = self.overrides.tenants
        reporter = Reporter(self.metrics, self.status, self.clock)
        letters = DeadLetters(dead_letter_topic, self.letters, "1")
        sender = cast("TickSink", self.sender)
        around = Around(sender, letters, reporter, self.clock)
        self.seam = direct_seam(parsed, self.overrides, around)
        parts = Parts(
            pipeline=open_pipeline(parsed, tenants, ahead),
            seam=self.seam,
            dead_letters=letters,
            overrides=self.overrides,
            reporter=reporter,
            clock=self.clock,
            ahead=ahead,
        )
        intake = IntakeSettings("X-Scope-OrgID", "single-tenant", tenant_in_key=False)
        settings = WorkerSettings(TOPIC, intake, record_time(parsed), 0.5, SHUTDOWN_S)
        self.worker = Worker(settings, parts)
        self.seam.join(cast("SpanSource", self.source))
        self.worker._source = cast("SpanSource", self.source)

    def assign(self, *partitions: int, note: str = "") -> None:
        """The group gives partitions."""
        self.source.assigned |= set(partitions)
        self.worker.assigned({p: Committed(-1, note) for p in partitions})

    def revoke(self, *partitions: int) -> None:
        """The group wants partitions back, and gets them."""
        self.worker.revoked(partitions)
        self.source.assigned -= set(partitions)

    def lose(self, *partitions: int) -> None:
        """The group has taken partitions away."""
        self.source.assigned -= set(partitions)
        self.worker.lost(partitions)

    def turn(self, *records: IncomingRecord, after_ms: int = 0) -> None:
        """Turn once, ``after_ms`` later, with ``records`` to read."""
        self.clock.sleep_s(after_ms / 1_000)
        self.source.give(*records)
        self.worker._turn()

    def stop(self) -> None:
        """SIGTERM, and the end of ``run``."""
        stop = Event()
        stop.set()
        self.worker.run(cast("SpanSource", self.source), stop)

    def own(self, name: str, **labels: str) -> float:
        """One of the worker's metrics about itself; 0 if it is not there."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def told(self, name: str = CALLS) -> dict[tuple[str, str], list[Sample]]:
        """What the sink was told of the series ``name``: (tenant, service) -> samples, in order.

        A zero sample counts as one; a stale marker is NaN. Times are since the start.
        """
        found: dict[tuple[str, str], list[Sample]] = {}
        for (of, tenant, labels), samples in self.everything().items():
            if of == name:
                found.setdefault((tenant, dict(labels).get("service", "")), []).extend(samples)
        return found

    def everything(self) -> dict[tuple[str, str, Labels], list[Sample]]:
        """What the sink was told: (name, tenant, labels) -> samples, in order."""
        found: dict[tuple[str, str, Labels], list[Sample]] = {}
        for tick in self.sender.ticks:
            for tenant, blocks in tick.tenants.items():
                for block in blocks:
                    for labels, samples in samples_of(block, tick.time_ms):
                        told = found.setdefault((block.name, tenant, labels), [])
                        told.extend((at - START_MS, value) for at, value in samples)
        return found


def samples_of(block: SeriesBlock, time_ms: int) -> Iterator[tuple[Labels, list[Sample]]]:
    """Each series of a block with the samples that it stands for."""
    for row in range(len(block)):
        texts = [block.strings[code] for code in block.labels[row].tolist()]
        named = {
            **dict(zip(block.label_names, texts, strict=True)),
            **dict(block.constant_labels),
        }
        start_ms = int(block.start_ms[row])
        samples = [(start_ms, 0.0)] if block.newborn[row] and start_ms < time_ms else []
        value = math.nan if block.ended[row] else float(np.float64(block.values[row]))
        labels = tuple(sorted((name, text) for name, text in named.items() if text))
        yield labels, [*samples, (time_ms, value)]


def incoming(  # noqa: PLR0913 - a test names the one or two it is about
    offset: int,
    *,
    partition: int = 0,
    service: str = "shop",
    spans: int = 1,
    tenant: str | None = "north",
    value: bytes | None = None,
    time_ms: int = 0,
) -> IncomingRecord:
    """A record of ``spans`` internal spans that ended when the test began, ``time_ms`` later."""
    made = [
        span(
            kind=1,
            span_id=(offset * 100 + index + 1).to_bytes(8, "big"),
            start_time_unix_nano=START_NS - 50_000_000,
        )
        for index in range(spans)
    ]
    return IncomingRecord(
        partition=partition,
        offset=offset,
        time_ms=START_MS + time_ms,
        key=b"trace",
        value=record(resource_spans(made, service=service)) if value is None else value,
        headers=[] if tenant is None else [("x-scope-orgid", tenant.encode())],
    )
