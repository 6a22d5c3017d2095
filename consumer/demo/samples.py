"""The last minutes of one tenant's cumulative series, and their growth over a window.

Bounds: ``MAX_SERIES`` series (more are refused, and counted), ``MAX_SAMPLES`` a series.
Source of time: the samples' own timestamps.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from consumer.demo.write_request import Labels, Sample

MAX_SERIES = 200_000
MAX_SAMPLES = 150
"""Five minutes of a tick every two seconds."""
MAX_TICKS = 600


@dataclass(frozen=True, slots=True)
class Window:
    """From the end of one tick to the end of a later one."""

    from_ms: int
    to_ms: int

    @property
    def seconds(self) -> float:
        """Its length; never zero."""
        return max(self.to_ms - self.from_ms, 1) / 1000


@dataclass(frozen=True, slots=True)
class Growth:
    """How much one series grew over a window."""

    labels: Mapping[str, str]
    amount: float


class SampleStore:
    """Not safe for threads; the receiver holds a lock around it."""

    def __init__(self, since_ms: int) -> None:
        self._since_ms = since_ms
        self._families: dict[str, dict[Labels, deque[Sample]]] = {}
        self._ticks: deque[int] = deque(maxlen=MAX_TICKS)
        self.samples = 0
        """Samples taken, zero samples included."""
        self.series = 0
        self.refused = 0
        """Samples not taken: older than the last of their series, or beyond a bound."""

    @property
    def ticks(self) -> Sequence[int]:
        """Return the timestamps of the latest ticks, oldest first."""
        return self._ticks

    def add(self, request: Iterable[tuple[Labels, Sequence[Sample]]]) -> None:
        """Take the series of a request; its latest timestamp is that of its tick."""
        latest_ms = 0
        for labels, samples in request:
            for sample in samples:
                self._append(labels, sample)
                latest_ms = max(latest_ms, sample[0])
        if latest_ms and (not self._ticks or latest_ms > self._ticks[-1]):
            self._ticks.append(latest_ms)

    def latest_window(self, length_ms: int) -> Window:
        """Return the window of about that length up to the last tick, cut at the beginning."""
        if not self._ticks:
            return Window(self._since_ms, self._since_ms)
        to_ms = self._ticks[-1]
        wanted_ms = to_ms - length_ms
        earlier = [tick_ms for tick_ms in self._ticks if tick_ms <= wanted_ms]
        return Window(earlier[-1] if earlier else min(self._since_ms, to_ms), to_ms)

    def growth(self, family: str, window: Window) -> Iterator[Growth]:
        """Yield what every series called ``family`` grew by within ``window``."""
        for labels, samples in self._families.get(family, {}).items():
            yield Growth(dict(labels), increase(samples, window))

    def latest(self, family: str) -> Iterator[Growth]:
        """Yield the growth since birth of every series called ``family``."""
        for labels, samples in self._families.get(family, {}).items():
            yield Growth(dict(labels), samples[-1][1])

    def _append(self, labels: Labels, sample: Sample) -> None:
        time_ms, value = sample
        if math.isnan(value):
            return  # a stale marker ends a series; its next birth starts from a zero sample
        name = next((text for label, text in labels if label == "__name__"), "")
        family = self._families.setdefault(name, {})
        series = family.get(labels)
        if series is None:
            if self.series >= MAX_SERIES:
                self.refused += 1
                return
            series = family[labels] = deque(maxlen=MAX_SAMPLES)
            self.series += 1
        if series and time_ms <= series[-1][0]:
            self.refused += series[-1] != sample
            return
        series.append(sample)
        self.samples += 1


def increase(samples: Sequence[Sample], window: Window) -> float:
    """Growth of a cumulative series within a window; after a reset it counts from zero.

    The base is the last sample at or before the window's begin; a series born later is
    counted from its first sample, which is the zero sample.
    """
    base: list[Sample] = []
    inside: list[Sample] = []
    for sample in samples:
        if sample[0] <= window.from_ms:
            base = [sample]
        elif sample[0] <= window.to_ms:
            inside.append(sample)
    return sum(
        after - before if after >= before else after
        for (_, before), (_, after) in pairwise([*base, *inside])
    )


def quantile(share: float, buckets: Mapping[float, float]) -> float:
    """Estimate a quantile from cumulative buckets by upper bound, as ``histogram_quantile`` does.

    NaN without observations; the highest finite bound when it lies beyond.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return math.nan
    rank = share * buckets[bounds[-1]]
    lower, below = 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count >= rank and count > below:
            return (
                lower
                if math.isinf(bound)
                else lower + (bound - lower) * (rank - below) / (count - below)
            )
        lower, below = bound, max(count, below)
    return lower
