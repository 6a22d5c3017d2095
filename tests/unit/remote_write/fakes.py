"""Blocks, a clock turned by hand and a recording observer for the remote-write tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from consumer.remote_write.series import MetricType, SeriesBlock


def block(  # noqa: PLR0913 - every column has a default
    rows: Sequence[Sequence[str]],
    values: Sequence[float] = (),
    *,
    name: str = "calls_total",
    kind: MetricType = MetricType.COUNTER,
    label_names: Sequence[str] = ("service",),
    constant: Sequence[tuple[str, str]] = (),
    newborn: Sequence[int] = (),
    ended: Sequence[int] = (),
    start_ms: int = 0,
) -> SeriesBlock:
    """A block of ``rows`` of label texts; ``newborn`` and ``ended`` are row numbers."""
    strings = sorted({text for row in rows for text in row} | {""})
    codes = [[strings.index(text) for text in row] for row in rows]
    count = len(rows)
    numbers = np.arange(count)
    return SeriesBlock(
        name=name,
        type=kind,
        help="",
        unit="",
        constant_labels=tuple(constant),
        label_names=tuple(label_names),
        labels=np.array(codes, dtype=np.uint32).reshape(count, len(label_names)),
        strings=strings,
        values=np.array(values if len(values) else [1.0] * count, dtype=np.float64),
        newborn=np.isin(numbers, list(newborn)),
        start_ms=np.full(count, start_ms, dtype=np.int64),
        ended=np.isin(numbers, list(ended)),
    )


@dataclass
class Recorder:
    """An observer that adds up, by what happened, endpoint and tenant (and reason)."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    pending: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    shards: dict[str, int] = field(default_factory=dict)
    newest: dict[tuple[str, str], int] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def _add(self, count: int, *key: str) -> None:
        with self.lock:
            self.counts[key] += count

    def samples_sent(self, endpoint: str, tenant: str, samples: int) -> None:
        self._add(samples, "sent", endpoint, tenant)

    def samples_retried(self, endpoint: str, tenant: str, samples: int) -> None:
        self._add(samples, "retried", endpoint, tenant)

    def samples_failed(self, endpoint: str, tenant: str, reason: str, samples: int) -> None:
        self._add(samples, "failed", endpoint, tenant, reason)

    def samples_dropped(self, endpoint: str, tenant: str, reason: str, samples: int) -> None:
        self._add(samples, "dropped", endpoint, tenant, reason)

    def bytes_sent(self, endpoint: str, tenant: str, size_bytes: int) -> None:
        self._add(size_bytes, "bytes", endpoint, tenant)

    def request_finished(self, endpoint: str, tenant: str, seconds: float) -> None:
        assert seconds >= 0
        self._add(1, "requests", endpoint, tenant)

    def pending_changed(self, endpoint: str, tenant: str, samples: int, ticks: int) -> None:
        with self.lock:
            self.pending[endpoint, tenant] = (samples, ticks)

    def trouble_seen(self, endpoint: str, tenant: str, reason: str, text: str) -> None:
        assert text
        self._add(1, "trouble", endpoint, tenant, reason)

    def internal_error(self, endpoint: str, tenant: str) -> None:
        self._add(1, "internal_error", endpoint, tenant)

    def shards_changed(
        self, endpoint: str, shards: int, desired: float, least: int, most: int
    ) -> None:
        assert least <= shards <= most
        assert desired >= 0
        self.shards[endpoint] = shards

    def queued_until(self, endpoint: str, time_ms: int) -> None:
        self.newest["queued", endpoint] = time_ms

    def sent_until(self, endpoint: str, time_ms: int) -> None:
        self.newest["sent", endpoint] = time_ms

    def histograms_sent(self, endpoint: str, tenant: str, histograms: int) -> None:
        self._add(histograms, "histograms", endpoint, tenant)

    def exemplars_sent(self, endpoint: str, tenant: str, exemplars: int) -> None:
        self._add(exemplars, "exemplars", endpoint, tenant)

    def exemplars_failed(self, endpoint: str, tenant: str, reason: str, exemplars: int) -> None:
        self._add(exemplars, "exemplars failed", endpoint, tenant, reason)

    def metadata_sent(self, endpoint: str, tenant: str, families: int) -> None:
        self._add(families, "metadata", endpoint, tenant)

    def metadata_failed(self, endpoint: str, tenant: str, reason: str, families: int) -> None:
        self._add(families, "metadata failed", endpoint, tenant, reason)
