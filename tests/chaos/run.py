"""A run from the first broker to the verdict; everything that was started ends with it."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.chaos.fleet import Fleet, Scene
from tests.chaos.load import TENANT_HEADER, Load, LoadSettings
from tests.chaos.plan import Deed, Step, Violence, plan
from tests.chaos.sink import Sink, Trouble
from tests.chaos.truth import Logged, Truth, truth_of
from tests.chaos.verdict import Verdict, histories_of, judge, judge_likeness, judge_totals
from tests.support.histories import History
from tests.support.kafka_broker import KafkaBroker, KafkaCluster
from tests.support.processes import wait_until
from tests.support.prometheus import Prometheus

EXACTLY_ONCE = "exactly_once"
PARTITIONS = 6
SESSION_S = 6.0
"""``session.timeout.ms`` of the workers (tests/support/workers.py)."""

TROUBLES = (Trouble.UNAVAILABLE, Trouble.RESET, Trouble.TAKEN_AND_RESET)
TROUBLE_S = (1.0, 5.0)
UNHEARD_S = 1.5
"""Longer than a worker takes to tell a tick."""

BEAT_S = 0.1
PATIENCE_S = 0.3
"""Until the next try, when no worker is awake."""

OVERTIME_S = 60.0
"""The load goes on for so much longer when deeds are left: they count, not the time."""

DRAIN_S = 90.0
READ_S = 120.0


@dataclass(frozen=True, slots=True)
class Run:
    """What is asked for. ``wait_ms``: of edges for their other half.

    ``idle_grace_ms``: how long a record may be under way and still count in the tick of its time.
    """

    violence: Violence
    guarantee: str = EXACTLY_ONCE
    purchases_per_s: float = 50.0
    interval_ms: int = 2_000
    wait_ms: int = 20_000
    max_delay_s: float = 3.0
    idle_grace_ms: int = 1_000
    shards: int = 4
    with_reference: bool = True

    @property
    def is_exact(self) -> bool:
        """Whether each series has one writer that never begins again, so that all is judged."""
        is_quiet = not self.violence.kills and not self.violence.others
        return is_quiet or self.guarantee == EXACTLY_ONCE


@dataclass(frozen=True, slots=True)
class Parts:
    """What is outside the workers."""

    folder: Path
    kafka: KafkaCluster
    broker: KafkaBroker | None
    """The same, if it may be restarted."""
    prometheus: Prometheus
    sink: Sink


@contextmanager
def open_parts(folder: Path) -> Iterator[Parts]:
    """A broker, a Prometheus and a way to it, of this run alone."""
    with ExitStack() as stack:
        kafka_folder, prometheus_folder = folder / "kafka", folder / "prometheus"
        kafka_folder.mkdir()
        prometheus_folder.mkdir()
        broker = KafkaBroker(kafka_folder)
        stack.enter_context(broker.process)
        broker.start()
        prometheus = Prometheus(prometheus_folder)
        stack.enter_context(prometheus.process)
        prometheus.start()
        sink = stack.enter_context(Sink(prometheus.url))
        yield Parts(folder, broker, broker, prometheus, sink)


class Stage:
    """One run on given parts."""

    def __init__(self, run: Run, parts: Parts) -> None:
        self._run = run
        self._parts = parts
        self._random = random.Random(run.violence.seed)  # noqa: S311  repeatable
        self._topic = parts.kafka.new_topic("chaos", PARTITIONS)
        self._done: Counter[str] = Counter()
        self._sink_until_s = 0.0

    def play(self) -> tuple[dict[str, Any], bool]:
        """Load, violence, drain, verdict: the report, and whether all is well."""
        run = self._run
        began_s = time.monotonic()
        with ExitStack() as stack:
            fleet = self._fleet(stack, "disturbed")
            load = self._loaded(fleet)
            log = self._read_log(load.records)
            truth = truth_of(log, interval_ms=run.interval_ms, wait_ms=run.wait_ms)
            found = self._drained(fleet, truth)
            is_exact = run.is_exact
            verdict = (
                judge(truth, found, truth.end_ms()) if is_exact else judge_totals(truth, found)
            )
            report = self._report(fleet, verdict, log)
            report["slowest_write_s"] = round(load.slowest_write_s, 3)
            report["price"] = self._price(fleet, truth)
        is_good = verdict.is_good() if is_exact else verdict.lost == verdict.lost_edges
        if run.with_reference:
            likeness = self._compare(truth, found)
            report["reference"] = dict(likeness)
            is_good &= not (is_exact and likeness.total())
        report["seconds"] = round(time.monotonic() - began_s, 1)
        return report, is_good

    def _fleet(self, stack: ExitStack, name: str) -> Fleet:
        run, parts = self._run, self._parts
        sink_url = parts.sink.url if name == "disturbed" else parts.prometheus.remote_write_url
        scene = Scene(
            folder=parts.folder,
            name=name,
            bootstrap=parts.kafka.bootstrap,
            topic=self._topic,
            sink_url=sink_url,
            guarantee=run.guarantee,
            interval_ms=run.interval_ms,
            wait_ms=run.wait_ms,
            idle_grace_ms=run.idle_grace_ms,
            exactly_once={
                "shards": run.shards,
                "snapshot_interval": "7s",
                "transaction_timeout": "10s",
            },
        )
        fleet = Fleet(scene, run.violence.seed)
        stack.callback(fleet.end)
        return fleet

    def _loaded(self, fleet: Fleet) -> Load:
        run = self._run
        fleet.scale(1)
        fleet.wait_ready()
        settings = LoadSettings(
            seed=run.violence.seed,
            purchases_per_s=run.purchases_per_s,
            interval_ms=run.interval_ms,
            max_delay_s=run.max_delay_s,
        )
        load = Load(self._parts.kafka.bootstrap, self._topic, settings)
        load.start()
        try:
            self._disturb(fleet, load, plan(run.violence))
        finally:
            load.finish()
        self._parts.sink.trouble = Trouble.NONE
        fleet.settle()
        return load

    def _disturb(self, fleet: Fleet, load: Load, steps: Sequence[Step]) -> None:
        start_s = time.monotonic()
        left = list(steps)
        while (now_s := time.monotonic() - start_s) < self._run.violence.seconds or left:
            if left and left[0].at_s <= now_s:
                step = left.pop(0)
                if self._do(step, fleet, load):
                    self._done[step.deed.value] += 1
                elif now_s < self._run.violence.seconds + OVERTIME_S:
                    left.insert(0, replace(step, at_s=now_s + PATIENCE_S))
            if self._sink_until_s and time.monotonic() >= self._sink_until_s:
                self._parts.sink.trouble, self._sink_until_s = Trouble.NONE, 0.0
            fleet.tend()
            time.sleep(BEAT_S)

    def _do(self, step: Step, fleet: Fleet, load: Load) -> bool:
        """Do it; False when there is nobody just now to whom it could be done."""
        chance = self._random
        match step.deed:
            case Deed.KILL:
                return fleet.kill()
            case Deed.KILL_UNHEARD:
                return self._kill_unheard(fleet)
            case Deed.RESTART:
                return fleet.restart()
            case Deed.SCALE:
                fleet.scale(step.number)
            case Deed.FREEZE:
                return fleet.freeze(SESSION_S * chance.uniform(1.2, 1.8))
            case Deed.USURP:
                return fleet.usurp(chance.uniform(1.0, SESSION_S * 1.5))
            case Deed.SINK:
                self._parts.sink.trouble = chance.choice(TROUBLES)
                self._sink_until_s = time.monotonic() + chance.uniform(*TROUBLE_S)
            case Deed.BROKER:
                assert self._parts.broker is not None, "this broker is not ours"
                load.hold()
                self._parts.broker.restart()
                load.go_on()
        return True

    def _kill_unheard(self, fleet: Fleet) -> bool:
        """Whoever is killed has told a tick that it does not know to be delivered."""
        self._parts.sink.trouble = Trouble.TAKEN_AND_RESET
        time.sleep(self._run.interval_ms / 1000 + UNHEARD_S)
        killed = fleet.kill()
        self._parts.sink.trouble = Trouble.NONE
        return killed

    def _read_log(self, records: int) -> list[Logged]:
        """The span topic as it is; the load and the log must agree about the number of records."""
        kafka = self._parts.kafka
        ends = sum(kafka.end_offsets(self._topic).values())
        assert ends == records, f"{ends} records in the log, {records} were written"
        read = kafka.read(self._topic, ends, READ_S)
        assert len(read) == ends, f"{len(read)} of {ends} records could be read"
        log = []
        for each in read:
            headers = dict(each.headers() or ())
            tenant, value = headers[TENANT_HEADER], each.value()
            assert isinstance(tenant, bytes)
            assert isinstance(value, bytes)
            place = each.partition() or 0, each.offset() or 0, each.timestamp()[1]
            log.append(Logged(*place, tenant.decode(), value))
        return sorted(log, key=lambda record: (record.partition, record.offset))

    def _drained(self, fleet: Fleet, truth: Truth) -> list[History]:
        """Wait until every series has come to the end; what Prometheus holds then."""
        end_ms = truth.end_ms()
        stage = fleet.scene.stage
        if self._run.is_exact:
            at_end = f'count(last_over_time({{stage="{stage}"}}[1ms]))'

            def is_there() -> bool:
                fleet.tend()
                found = self._parts.prometheus.query(at_end, end_ms / 1000)
                return bool(found) and found[0].value >= len(truth.gains)

            self._wait(is_there, end_ms)
            return histories_of(self._parts.prometheus, stage, end_ms)

        self._wait(lambda: self._is_past(fleet, end_ms), end_ms)
        for worker in fleet.running():
            worker.stop()
        return histories_of(self._parts.prometheus, stage, round(time.time() * 1000))

    def _is_past(self, fleet: Fleet, end_ms: int) -> bool:
        """Whether everything is committed, and no edge waits any more."""
        fleet.tend()
        kafka, topic = self._parts.kafka, self._topic
        if time.time() * 1000 < end_ms + 5 * self._run.interval_ms:
            return False
        return kafka.committed(fleet.scene.group, topic) == kafka.end_offsets(topic)

    def _wait(self, condition: Any, end_ms: int) -> None:
        """As long as the rest of the time of the spans takes, and some more; no failure."""
        left_s = max(0.0, end_ms / 1000 - time.time()) + DRAIN_S
        try:
            wait_until(condition, "the last tick", left_s)
        except TimeoutError:
            self._done["gave_up_waiting"] += 1

    def _compare(self, truth: Truth, found: Sequence[History]) -> Counter[str]:
        """Let one worker that nobody disturbs read the same log, and compare."""
        with ExitStack() as stack:
            fleet = self._fleet(stack, "reference")
            fleet.scale(1)
            undisturbed = self._drained(fleet, truth)
        if not self._run.is_exact:
            return judge_likeness(undisturbed, found)
        verdict = judge(truth, undisturbed, truth.end_ms())
        likeness = judge_likeness(undisturbed, found)
        likeness["wrong_finals"] = verdict.wrong_finals
        likeness["wrong_ticks"] = verdict.wrong_ticks
        likeness["missing_ticks"] = verdict.missing_ticks
        return likeness

    def _price(self, fleet: Fleet, truth: Truth) -> dict[str, Any]:
        """How late ticks came, and what the internal topics took on the disk of the broker."""
        delays_s = sorted(delay / 1000 for delay in self._parts.sink.delays_ms)
        price: dict[str, Any] = {}
        if delays_s:
            price["delay_s_median"] = delays_s[len(delays_s) // 2]
            price["delay_s_p99"] = delays_s[len(delays_s) * 99 // 100]
        changes = sum(len(gains) for gains in truth.gains.values())
        for topic in fleet.scene.internal_topics():
            logs = (self._parts.folder / "kafka" / "data").glob(f"{topic}-*/*.log")
            size_bytes = sum(path.stat().st_size for path in logs)
            price[f"{topic.rpartition('-')[2]}_bytes"] = size_bytes
            price[f"{topic.rpartition('-')[2]}_bytes_per_changed_series_and_tick"] = round(
                size_bytes / changes, 2
            )
        return price

    def _report(self, fleet: Fleet, verdict: Verdict, log: Sequence[Logged]) -> dict[str, Any]:
        sink = self._parts.sink
        return {
            "seed": self._run.violence.seed,
            "guarantee": self._run.guarantee,
            "kills": 0,
            **self._done,
            "records": len(log),
            **verdict.as_tree(),
            "unexpected_ends": dict(fleet.deaths),
            "zombies": dict(fleet.zombies),
            "answers": {str(status): count for status, count in sink.answers.items()},
            "refusals": dict(sink.refusals.most_common(3)),
        }
