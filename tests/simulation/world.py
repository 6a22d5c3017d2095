"""Simulated workers: the real loop, pipeline, seam and registries on a Kafka in memory.

One seed decides everything: when spans come, who owns what, who crashes between which two
effects, who is thought dead and goes on, and when the sink takes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random
from threading import Event
from typing import Any, cast

from prometheus_client import CollectorRegistry

from consumer.assembly import record_time
from consumer.config import parse_config
from consumer.config.series import registry_settings
from consumer.decode import Encoding, open_decoder
from consumer.decode.ahead import DecodeAhead
from consumer.kafka.client import IncomingRecord
from consumer.kafka.dead_letters import DeadLetters
from consumer.kafka.intake import IntakeSettings
from consumer.overrides import Overrides
from consumer.pipeline import open_pipeline
from consumer.remote_write.delivery import Delivery
from consumer.remote_write.series import Tick
from consumer.seam.build import _shard_registry
from consumer.seam.log import LogParts, LogSeam, LogSettings
from consumer.seam.outgoing import Outgoing
from consumer.seam.owner import Owner, OwnerParts, OwnerSettings
from consumer.telemetry.metrics import Metrics
from consumer.telemetry.reporter import Reporter
from consumer.telemetry.server import Status
from consumer.ticks.record_time import base_ms_of
from consumer.worker import Parts, Worker, WorkerSettings
from tests.simulation.kafka import Cluster, Crash, SimSnapshots, SimSource, SimTransactions
from tests.support.clock import HandClock
from tests.support.fakes import Labels, samples_of
from tests.support.otlp import START_NS, record, resource_spans, span

START_MS = START_NS // 1_000_000
BASE_MS = 1_000
WAIT_MS = 2_000
PARTITIONS, SHARDS, PODS = 3, 2, 3
CALLS = "traces_spanmetrics_calls_total"
EDGES = "traces_service_graph_request_total"
CONFIG = f"""
processing_guarantee: exactly_once
exactly_once: {{commit_interval: 300ms, snapshot_interval: 2s, retention: 10m}}
metrics_generator:
  processor: {{service_graphs: {{wait: {WAIT_MS}ms}}}}
  registry: {{collection_interval: {BASE_MS}ms}}
"""

KEYS = {CALLS: ("service",), EDGES: ("client", "server")}
"""The labels by which series are told apart here."""

Series = tuple[str, Labels]

_open_decoder = partial(open_decoder, Encoding.OTLP_PROTO)


class SimSink:
    """Takes ticks; what it was told is kept when it answers, or is lost with its worker."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.is_zombies = False
        self.waiting: list[tuple[Tick, Delivery]] = []

    @property
    def blocked(self) -> str | None:
        return "sink" if self._world.sink_is_down or len(self.waiting) > 4 else None

    def submit(self, tick: Tick) -> Delivery:
        self._world.cluster.crash_point()
        delivery = Delivery(1)
        self.waiting.append((tick, delivery))
        return delivery

    def apply(self, _routes: object) -> None: ...

    def answer(self) -> None:
        """Take everything that waits."""
        for tick, delivery in self.waiting:
            self._world.keep(tick, may_be_late=self.is_zombies)
            delivery.settle_part()
        self.waiting.clear()


class Pod:
    """One worker process; ``name`` is its own, of this life alone."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.sink = SimSink(world)
        config = world.config
        overrides = Overrides(config, environ={}, now_ms=world.clock.now_ms())
        reporter = Reporter(Metrics(CollectorRegistry()), Status(version="1"), world.clock)
        transactions = cast("Any", SimTransactions(world.cluster))
        base_ms = base_ms_of(overrides.tenants)
        owner = Owner(
            OwnerSettings(
                "deltas",
                "snapshots",
                SHARDS,
                config.exactly_once.snapshot_interval,
                config.record_time.max_sample_age,
            ),
            OwnerParts(
                sink=self.sink,
                transactions=transactions,
                snapshots=cast("Any", SimSnapshots(world.cluster)),
                reporter=reporter,
                clock=world.clock,
                open_registry=lambda shard: _shard_registry(config, shard),
            ),
            overrides.tenants,
            base_ms,
        )
        owner.join(cast("Any", SimSource(world.cluster, "deltas", name, owner)))
        self.seam = LogSeam(
            LogSettings("spans", "deltas", SHARDS, config.exactly_once.commit_interval),
            LogParts(
                outgoing=Outgoing(SHARDS, registry_settings(config), overrides.tenants),
                owner=owner,
                transactions=transactions,
                reporter=reporter,
                clock=world.clock,
                is_safe=lambda: True,
            ),
            base_ms,
        )
        ahead = DecodeAhead(_open_decoder, least_bytes=0) if world.random.random() < 0.5 else None
        parts = Parts(
            pipeline=open_pipeline(config, overrides.tenants, ahead),
            seam=self.seam,
            dead_letters=DeadLetters("", None, "1"),
            overrides=overrides,
            reporter=reporter,
            clock=world.clock,
            ahead=ahead,
        )
        intake = IntakeSettings("X-Scope-OrgID", "north", tenant_in_key=False)
        settings = WorkerSettings("spans", intake, record_time(config), 0.0, 1.0)
        self.worker = Worker(settings, parts)
        self.source = cast("Any", SimSource(world.cluster, "spans", name, self.worker))
        self.worker._source = self.source
        self.seam.join(self.source)

    def turn(self) -> None:
        self.worker._turn()

    def stop(self, shutdown_s: float) -> None:
        """SIGTERM, as ``assembly`` deals with it."""
        stop = Event()
        stop.set()
        self.worker.run(self.source, stop)
        self.source.close()
        self.seam.close(shutdown_s)


class World:
    """Everything there is, for one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311  repeatable, keeps no secret
        self.clock = HandClock(START_MS / 1_000)
        self.config = parse_config(CONFIG, environ={})
        self.crash_chance = 0.0
        self.cluster = Cluster(PARTITIONS, SHARDS, lambda: self._chance(self.crash_chance))
        self.sink_is_down = False
        self.pods: dict[int, Pod] = {}
        self.zombies: list[Pod] = []
        self.told: defaultdict[Series, dict[int, set[float]]] = defaultdict(
            lambda: defaultdict(set)
        )
        self.gains: defaultdict[Series, Counter[int]] = defaultdict(Counter)
        self.done: Counter[str] = Counter()
        self._lives = 0
        self._spans = 0
        self._halves: list[tuple[int, int, bytes]] = []
        """Servers to come: when, in which partition, and whom they answer."""

    def keep(self, tick: Tick, *, may_be_late: bool) -> None:
        """The sink has taken a tick; only a zombie may tell what is older than what it has."""
        for blocks in tick.tenants.values():
            for block in blocks:
                if block.name in (CALLS, EDGES):
                    for labels, samples in samples_of(block, tick.time_ms):
                        newest_ms = max(self.told[block.name, labels], default=0)
                        assert may_be_late or newest_ms <= tick.time_ms, "out of order"
                        for at, value in samples:
                            self.told[block.name, labels][at].add(value)

    def shown(self, name: str, keys: Sequence[str]) -> dict[Labels, dict[int, float]]:
        """What was told of ``name`` by the labels ``keys``: time -> value."""
        found: dict[Labels, dict[int, float]] = {}
        for (of, labels), values in self.told.items():
            if of == name:
                named = dict(labels)
                key = tuple((key, named[key]) for key in keys)
                told = {at: min(each) for at, each in values.items()}
                assert key not in found, f"two series for {key}"
                found[key] = told
        return found

    def last_tick_ms(self) -> int:
        """The last tick that was told of every series."""
        return min(max(values) for values in self.told.values())

    def is_told(self, end_ms: int) -> bool:
        """Whether every series that there has to be is told up to ``end_ms``."""
        here = {name: self.shown(name, keys) for name, keys in KEYS.items()}
        return all(
            labels in here[name] and max(here[name][labels]) >= end_ms
            for name, labels in self.gains
        )

    def start(self, number: int) -> None:
        """A pod (again)."""
        self._lives += 1
        with self._survives(number):
            self.pods[number] = Pod(self, f"pod-{number}/{self._lives}")
        self.balance()

    def balance(self) -> None:
        """The groups decide anew."""
        self.cluster.groups["spans"].balance(PARTITIONS, self.random)
        self.cluster.groups["deltas"].balance(SHARDS, self.random)

    def step(self) -> None:
        """Some time passes, and something happens."""
        self.clock.sleep_s(self.random.uniform(0.0, 0.5))
        self._produce()
        for number in self._shuffled(self.pods):
            self.turn(number)
        for zombie in self.zombies:
            self._turn_zombie(zombie)
        for pod in [*self.pods.values(), *self.zombies]:
            if not self.sink_is_down and self._chance(0.7):
                pod.sink.answer()

    def disturb(self) -> None:
        """Something goes wrong, perhaps."""
        deeds: list[Callable[[], None]] = [self._stop_one, self._freeze_one, self._fail_sink]
        if self._chance(0.10):
            self.random.choice([*deeds, self.balance, self.balance])()
        for number in range(PODS):
            if number not in self.pods and self._chance(0.3):
                self.start(number)
        self._expire()

    def turn(self, number: int) -> None:
        """One turn of a pod, which may be its last."""
        with self._survives(number):
            self.pods[number].turn()

    @contextmanager
    def _survives(self, number: int) -> Iterator[None]:
        try:
            yield
        except Crash:
            self.done["crashes"] += 1
            pod = self.pods.pop(number, None)
            if pod is not None and self._chance(0.5):
                pod.sink.answer()

    def _turn_zombie(self, zombie: Pod) -> None:
        if self._chance(0.3):
            try:
                zombie.turn()
            except Crash:
                self.zombies.remove(zombie)

    def _stop_one(self) -> None:
        if len(self.pods) > 1:
            self.done["stops"] += 1
            number = self.random.choice(sorted(self.pods))
            pod = self.pods[number]
            pod.sink.answer()
            with self._survives(number):
                pod.stop(self.clock.monotonic_s())
                pod.sink.answer()
            self.pods.pop(number, None)
            self.balance()

    def _freeze_one(self) -> None:
        """A pod is thought dead; it goes on all the same, a little later."""
        if len(self.pods) > 1:
            self.done["freezes"] += 1
            pod = self.pods.pop(self.random.choice(sorted(self.pods)))
            pod.sink.is_zombies = True
            self.zombies = [*self.zombies, pod][-2:]
            for group in self.cluster.groups.values():
                group.expire(pod.name)
            self.balance()

    def _fail_sink(self) -> None:
        self.done["failures"] += 1
        self.sink_is_down = not self.sink_is_down

    def _expire(self) -> None:
        """The groups notice, after a while, who is gone."""
        here = {pod.name for pod in (*self.pods.values(), *self.zombies)}
        for group in self.cluster.groups.values():
            for member in sorted(group.members.keys() - here):
                if self._chance(0.4):
                    group.expire(member)
                    self.balance()

    def _produce(self) -> None:
        now_ms = self.clock.now_ms()
        for due_ms, partition, client in [h for h in self._halves if h[0] <= now_ms]:
            self._halves.remove((due_ms, partition, client))
            self._write(partition, "server", 2, parent_span_id=client)
            self._gain(EDGES, now_ms, client="client", server="server")
        for _ in range(self.random.randrange(3)):
            partition = self.random.randrange(PARTITIONS)
            if self._chance(0.5):
                self._write(partition, f"shop-{self.random.randrange(3)}", 1)
            else:
                client = self._write(partition, "client", 3)
                due_ms = now_ms + self.random.randrange(WAIT_MS - 600)
                self._halves.append((due_ms, partition, client))

    def _write(self, partition: int, service: str, kind: int, **fields: Any) -> bytes:
        self._spans += 1
        now_ms = self.clock.now_ms()
        span_id = self._spans.to_bytes(8, "big")
        made = span(
            kind=kind,
            span_id=span_id,
            start_time_unix_nano=now_ms * 1_000_000 - 50_000_000,
            **{"parent_span_id": (1 << 40).to_bytes(8, "big"), **fields},
        )
        value = record(resource_spans([made], service=service))
        log = self.cluster.topics["spans"][partition]
        self.cluster.append(
            "spans", partition, IncomingRecord(partition, len(log), now_ms, b"", value, ())
        )
        self._gain(CALLS, now_ms, service=service)
        return span_id

    def _gain(self, name: str, now_ms: int, **labels: str) -> None:
        series = name, tuple(sorted(labels.items()))
        self.gains[series][now_ms // BASE_MS * BASE_MS + BASE_MS] += 1

    def _shuffled(self, pods: dict[int, Pod]) -> list[int]:
        return self.random.sample(sorted(pods), len(pods))

    def _chance(self, share: float) -> bool:
        return self.random.random() < share
