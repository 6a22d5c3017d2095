"""What became of the samples, endpoint by endpoint, for people.

An observer between the sender and the metrics: it passes on everything it hears. Bounds: an
entry for each endpoint, and for each of its tenants that waits; the last trouble of each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from consumer.clock import Clock
from consumer.remote_write.observer import Observer

MAX_TEXT = 300

State = Literal["waiting", "working", "behind", "failing", "blocking"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong last."""

    time_ms: int
    tenant: str
    reason: str
    text: str


@dataclass(slots=True)
class _Sink:
    sent: int = 0
    retried: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    pending: dict[str, tuple[int, int]] = field(default_factory=dict)
    sent_ms: int | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class SinkView:
    """An endpoint. ``failed`` and ``dropped`` are samples by reason; ``sent_ms`` is the last time.

    ``state``: ``waiting`` for a first tick; ``working``; ``behind`` when a tenant has more than
    one tick to deliver; ``failing`` when trouble came after the last success and something
    waits; ``blocking`` when the worker pauses for it.
    """

    name: str
    state: State
    samples_sent: int
    samples_retried: int
    samples_failed: dict[str, int]
    samples_dropped: dict[str, int]
    samples_pending: int
    ticks_pending: int
    sent_ms: int | None
    trouble: Trouble | None


class Sinks:
    """An :class:`Observer` that remembers; ``names`` are the endpoints known from the start.

    ``blocked`` is the endpoint that the worker waits for, if it does.
    """

    def __init__(self, inner: Observer, names: Iterable[str], clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self._lock = Lock()
        self._named = set(names)
        self._sinks = {name: _Sink() for name in names}
        self.blocked: str | None = None

    def follow(self, names: Iterable[str]) -> None:
        """These are the endpoints now; others are forgotten once nothing waits for them."""
        with self._lock:
            self._named = set(names)
            for name in self._named:
                self._sink(name)
            kept = {name: sink for name, sink in self._sinks.items() if self._is_kept(name, sink)}
            self._sinks = kept

    def views(self) -> list[SinkView]:
        """Every endpoint that is named, or that something still waits for."""
        with self._lock:
            return [
                _view(name, sink, self.blocked)
                for name, sink in self._sinks.items()
                if self._is_kept(name, sink)
            ]

    def samples_sent(self, endpoint: str, tenant: str, samples: int) -> None:
        """The endpoint has taken ``samples``."""
        now_ms = self._clock.now_ms()
        with self._lock:
            sink = self._sink(endpoint)
            sink.sent += samples
            sink.sent_ms = now_ms
        self._inner.samples_sent(endpoint, tenant, samples)

    def histograms_sent(self, endpoint: str, tenant: str, histograms: int) -> None:
        """Pass it on."""
        self._inner.histograms_sent(endpoint, tenant, histograms)

    def exemplars_sent(self, endpoint: str, tenant: str, exemplars: int) -> None:
        """Pass it on."""
        self._inner.exemplars_sent(endpoint, tenant, exemplars)

    def exemplars_failed(self, endpoint: str, tenant: str, reason: str, exemplars: int) -> None:
        """Pass it on."""
        self._inner.exemplars_failed(endpoint, tenant, reason, exemplars)

    def metadata_sent(self, endpoint: str, tenant: str, families: int) -> None:
        """Pass it on."""
        self._inner.metadata_sent(endpoint, tenant, families)

    def metadata_failed(self, endpoint: str, tenant: str, reason: str, families: int) -> None:
        """Pass it on."""
        self._inner.metadata_failed(endpoint, tenant, reason, families)

    def samples_retried(self, endpoint: str, tenant: str, samples: int) -> None:
        """``samples`` will be sent again."""
        with self._lock:
            self._sink(endpoint).retried += samples
        self._inner.samples_retried(endpoint, tenant, samples)

    def samples_failed(self, endpoint: str, tenant: str, reason: str, samples: int) -> None:
        """The endpoint rejected ``samples`` for good."""
        with self._lock:
            self._sink(endpoint).failed[reason] += samples
        self._inner.samples_failed(endpoint, tenant, reason, samples)

    def samples_dropped(self, endpoint: str, tenant: str, reason: str, samples: int) -> None:
        """``samples`` were not sent at all."""
        with self._lock:
            self._sink(endpoint).dropped[reason] += samples
        self._inner.samples_dropped(endpoint, tenant, reason, samples)

    def bytes_sent(self, endpoint: str, tenant: str, size_bytes: int) -> None:
        """Pass it on."""
        self._inner.bytes_sent(endpoint, tenant, size_bytes)

    def request_finished(self, endpoint: str, tenant: str, seconds: float) -> None:
        """Pass it on."""
        self._inner.request_finished(endpoint, tenant, seconds)

    def pending_changed(self, endpoint: str, tenant: str, samples: int, ticks: int) -> None:
        """So much waits now."""
        with self._lock:
            pending = self._sink(endpoint).pending
            if samples or ticks:
                pending[tenant] = (samples, ticks)
            else:
                pending.pop(tenant, None)
        self._inner.pending_changed(endpoint, tenant, samples, ticks)

    def trouble_seen(self, endpoint: str, tenant: str, reason: str, text: str) -> None:
        """Remember it."""
        trouble = Trouble(self._clock.now_ms(), tenant, reason, text[:MAX_TEXT])
        with self._lock:
            self._sink(endpoint).trouble = trouble
        self._inner.trouble_seen(endpoint, tenant, reason, text)

    def internal_error(self, endpoint: str, tenant: str) -> None:
        """Pass it on."""
        self._inner.internal_error(endpoint, tenant)

    def shards_changed(
        self, endpoint: str, shards: int, desired: float, least: int, most: int
    ) -> None:
        """Pass it on."""
        self._inner.shards_changed(endpoint, shards, desired, least, most)

    def queued_until(self, endpoint: str, time_ms: int) -> None:
        """Pass it on."""
        self._inner.queued_until(endpoint, time_ms)

    def sent_until(self, endpoint: str, time_ms: int) -> None:
        """Pass it on."""
        self._inner.sent_until(endpoint, time_ms)

    def _is_kept(self, name: str, sink: _Sink) -> bool:
        return name in self._named or bool(sink.pending)

    def _sink(self, endpoint: str) -> _Sink:
        return self._sinks.setdefault(endpoint, _Sink())


def _view(name: str, sink: _Sink, blocked: str | None) -> SinkView:
    ticks = max((ticks for _, ticks in sink.pending.values()), default=0)
    return SinkView(
        name=name,
        state=_state(sink, ticks, is_blocking=blocked == name),
        samples_sent=sink.sent,
        samples_retried=sink.retried,
        samples_failed=dict(sink.failed),
        samples_dropped=dict(sink.dropped),
        samples_pending=sum(samples for samples, _ in sink.pending.values()),
        ticks_pending=ticks,
        sent_ms=sink.sent_ms,
        trouble=sink.trouble,
    )


def _state(sink: _Sink, ticks: int, *, is_blocking: bool) -> State:
    if is_blocking:
        return "blocking"
    trouble_ms = -1 if sink.trouble is None else sink.trouble.time_ms
    if ticks and trouble_ms > (sink.sent_ms or 0):
        return "failing"
    if ticks > 1:
        return "behind"
    return "waiting" if sink.sent_ms is None and sink.trouble is None else "working"
