"""The workers: started, killed, stopped, frozen and counted; every one ends with the fleet."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.support.processes import ChildProcess, SpanmillWorker, answers_ok, free_port
from tests.support.workers import CLIENT, START_TIMEOUT_S

STOP_TIMEOUT_S = 20.0
REVIVAL_S = (0.2, 2.0)
"""How long a worker that ended is away: as chance has it, between these."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What all workers of a fleet have in common. ``name`` is among those of one topic."""

    folder: Path
    name: str
    bootstrap: str
    topic: str
    sink_url: str
    guarantee: str
    interval_ms: int
    wait_ms: int
    idle_grace_ms: int
    exactly_once: Mapping[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The consumer group of the workers."""
        return f"{self.topic}-{self.name}"

    @property
    def stage(self) -> str:
        """The label ``stage`` of all their series."""
        return self.group

    def internal_topics(self) -> tuple[str, ...]:
        """Those of ``exactly_once``."""
        names = ("deltas", "snapshots") if self.guarantee == "exactly_once" else ()
        return tuple(f"{self.topic}-{self.name}-{name}" for name in names)

    def config(self, member: str, port: int) -> dict[str, Any]:
        """The configuration of one worker."""
        config: dict[str, Any] = {
            "kafka": {
                "bootstrap_servers": self.bootstrap,
                "topic": self.topic,
                "group_id": self.group,
                "group_instance_id": member,
                "poll_timeout": "50ms",
                "create_topics": True,
                "client": CLIENT,
            },
            "server": {"host": "127.0.0.1", "port": port, "shutdown_timeout": "10s"},
            "processing_guarantee": self.guarantee,
            "record_time": {"idle_grace": f"{self.idle_grace_ms}ms"},
            "metrics_generator": {
                "processor": {"service_graphs": {"wait": f"{self.wait_ms}ms"}},
                "registry": {
                    "collection_interval": f"{self.interval_ms}ms",
                    "external_labels": {"stage": self.stage},
                    "inject_tenant_id_as": "tenant",
                },
                "storage": {
                    "remote_write": [
                        {
                            "url": self.sink_url,
                            "name": "sink",
                            "queue_config": {"max_backoff": "500ms"},
                        }
                    ]
                },
            },
        }
        if self.guarantee == "exactly_once":
            topics = zip(
                ("repartition_topic", "snapshot_topic"), self.internal_topics(), strict=True
            )
            config["exactly_once"] = {**dict(topics), **self.exactly_once}
        return config


class Fleet:
    """Workers ``pod-0`` …, of which the first :attr:`size` shall be running.

    A worker that ended, for whatever reason, is started again by :meth:`tend`, as a
    Deployment does. :attr:`deaths` counts those that ended by themselves.
    """

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        self.size = 0
        self.deaths: Counter[str] = Counter()
        self.zombies: Counter[str] = Counter()
        """How those that were usurped ended."""
        self._random = random.Random(seed)  # noqa: S311  repeatable
        self._pods: list[SpanmillWorker] = []
        self._due_s: dict[int, float] = {}
        """When those that ended start again."""
        self._frozen: dict[int, float] = {}
        """Until when those that stand still do."""
        self._usurped: list[tuple[SpanmillWorker, float]] = []

    def scale(self, size: int) -> None:
        """Have so many workers; those above are told to stop, as a Deployment does."""
        for number in range(size, self.size):
            self._wake(number)
            self._due_s.pop(number, None)
            self._pods[number].stop(STOP_TIMEOUT_S)
        while len(self._pods) < size:
            self._pods.append(self._make(len(self._pods)))
        self._due_s.update(dict.fromkeys(range(self.size, size), 0.0))
        self.size = size
        self.tend()

    def tend(self) -> None:
        """Wake what has slept long enough and start what has to run and does not."""
        now_s = time.monotonic()
        for number, until_s in list(self._frozen.items()):
            if now_s >= until_s:
                self._wake(number)
        self._bury_zombies(now_s)
        for number in range(self.size):
            pod = self._pods[number]
            if pod.running:
                continue
            if number not in self._due_s:
                self._notice_death(pod)
                self._due_s[number] = now_s
            if now_s >= self._due_s[number]:
                del self._due_s[number]
                pod.start()

    def kill(self) -> bool:
        """``kill -9`` of one that runs; it starts again soon. False if none runs."""
        number = self._choose()
        if number is None:
            return False
        self._pods[number].kill()
        self._revive_later(number)
        return True

    def restart(self) -> bool:
        """SIGTERM to one that runs; it starts again soon."""
        number = self._choose()
        if number is None:
            return False
        self._pods[number].stop(STOP_TIMEOUT_S)
        self._revive_later(number)
        return True

    def freeze(self, seconds: float) -> bool:
        """SIGSTOP to one that runs, SIGCONT after so long."""
        number = self._choose()
        if number is None:
            return False
        self._pods[number].signal(signal.SIGSTOP)
        self._frozen[number] = time.monotonic() + seconds
        return True

    def usurp(self, seconds: float) -> bool:
        """Freeze one that runs and start another of its name; the old one wakes after so long."""
        number = self._choose()
        if number is None:
            return False
        old = self._pods[number]
        old.signal(signal.SIGSTOP)
        self._usurped.append((old, time.monotonic() + seconds))
        self._pods[number] = self._make(number)
        self._pods[number].start()
        return True

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until every worker that shall run says that it is ready."""
        for pod in self._pods[: self.size]:
            pod.wait_ready(partial(answers_ok, f"{pod.url}/ready"), timeout_s)

    def settle(self, timeout_s: float = 30.0) -> None:
        """Wait until nobody stands still and everybody who shall run does."""
        deadline_s = time.monotonic() + timeout_s
        while self._frozen or self._due_s or self._usurped:
            self.tend()
            assert time.monotonic() < deadline_s, "the fleet does not settle"
            time.sleep(0.1)

    def end(self) -> None:
        """End every worker there is or was, frozen ones too."""
        zombies = [pod for pod, _ in self._usurped]
        for pod in (*self._pods, *zombies):
            if pod.running:
                pod.signal(signal.SIGCONT)
                pod.stop(STOP_TIMEOUT_S)

    def logs(self) -> Mapping[str, str]:
        """What each worker has printed, by the name of its file."""
        return {path.name: path.read_text() for path in sorted(self.scene.folder.glob("*.log"))}

    def running(self) -> list[SpanmillWorker]:
        """Those that run."""
        return [pod for pod in self._pods[: self.size] if pod.running]

    def _make(self, number: int) -> SpanmillWorker:
        member, port = f"pod-{number}", free_port()
        path = self.scene.folder / f"{self.scene.name}-{member}-{port}.yaml"
        path.write_text(yaml.safe_dump(self.scene.config(member, port), sort_keys=False))
        return SpanmillWorker(path, port)

    def _choose(self) -> int | None:
        awake = [
            number
            for number in range(self.size)
            if self._pods[number].running and number not in self._frozen
        ]
        return self._random.choice(awake) if awake else None

    def _revive_later(self, number: int) -> None:
        self._due_s[number] = time.monotonic() + self._random.uniform(*REVIVAL_S)

    def _wake(self, number: int) -> None:
        if self._frozen.pop(number, None) is not None and self._pods[number].running:
            self._pods[number].signal(signal.SIGCONT)

    def _bury_zombies(self, now_s: float) -> None:
        """Wake those that were usurped; let them end by themselves, or tell them to."""
        left = []
        for pod, until_s in self._usurped:
            if now_s < until_s:
                left.append((pod, until_s))
            elif now_s < until_s + STOP_TIMEOUT_S and pod.running:
                pod.signal(signal.SIGCONT)
                left.append((pod, until_s))
            else:
                ended_itself = not pod.running
                pod.stop(STOP_TIMEOUT_S)
                self.zombies["ended by itself" if ended_itself else "told to stop"] += 1
        self._usurped = left

    def _notice_death(self, pod: ChildProcess) -> None:
        lines = [line for line in pod.log_text().splitlines() if line.strip()]
        self.deaths[lines[-1][-200:] if lines else "(said nothing)"] += 1
