"""Labels with too many values: all of them become one (tempo-behaviour.md 3.10).

While a label of a tenant is flagged, every value of it is replaced; its true values are
still counted, so it recovers when they have become few and the window has moved on.
Bound: a sketch (4 KiB) for each label name of each tenant that has a limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumer.registry.hashes import LabelHashes
from consumer.registry.limiter import Numbers
from consumer.registry.sketch import SlidingSketches
from processors.batch import EMPTY, Codes

OVERFLOW_VALUE = "__cardinality_overflow__"
DECIDE_MS = 15_000
"""Between two looks at how many values there are; a label may leak for so long."""

_EXEMPT = frozenset({"__name__", "__type__", "__unit__"})


@dataclass(frozen=True, slots=True)
class Labelled:
    """``g`` label sets: ``tenant`` (uint32[g]), ``labels`` (uint32[g, k]), spans of each."""

    tenant: NDArray[np.uint32]
    label_names: Sequence[str]
    labels: Codes
    spans: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelValues:
    """What became of the values of limited labels.

    By (tenant, label name): ``estimates``, about how many there are, and ``limited``, the
    spans of which one was replaced since the last call. ``maxima``: how many values a label
    of a tenant may have, 0 for any number.
    """

    estimates: Mapping[tuple[str, str], int]
    limited: Mapping[tuple[str, str], int]
    maxima: Mapping[str, int]


class ValueLimiter:
    """Counts the values of labels, and replaces those of labels that have too many."""

    def __init__(self, hashes: LabelHashes, window_ms: int) -> None:
        self._hashes = hashes
        self._sketches = SlidingSketches[tuple[int, str]](window_ms)
        self._tenant = np.zeros(0, np.intp)
        self._flagged = np.zeros(0, np.bool_)
        self._numbers: dict[str, NDArray[np.intp]] = {}
        """Label name -> number of the sketch of each tenant, -1 for none."""
        self._decided_ms: int | None = None
        self._replaced: Counter[tuple[int, str]] = Counter()

    def limit(self, given: Labelled, maxima: Numbers, overflow: int, time_ms: int) -> None:
        """Replace, in ``given.labels``, the values of flagged labels by ``overflow``.

        ``maxima`` (int64[tenants]): how many values a label may have, 0 for any number.
        """
        self._sketches.move_to(time_ms)
        is_limited = maxima[given.tenant] > 0
        counted: list[tuple[int, NDArray[np.intp], NDArray[np.intp]]] = []
        for column, name in enumerate(given.label_names):
            codes = given.labels[:, column]
            rows = np.flatnonzero(is_limited & (codes > EMPTY))
            if len(rows) and name not in _EXEMPT:
                sketches = self._sketches_of(name, given.tenant[rows], len(maxima))
                self._sketches.add(sketches, self._hashes.of_values(codes[rows]))
                counted.append((column, rows, sketches))
        self._decide(maxima, time_ms)
        for column, rows, sketches in counted:
            flagged = rows[self._flagged[sketches]]
            if len(flagged):
                given.labels[flagged, column] = overflow
                self._count(given, flagged, given.label_names[column])

    def forget(self, maxima: Numbers) -> None:
        """Drop what is known of tenants that have no limit (any more)."""
        is_kept = maxima[self._tenant] > 0
        self._sketches.keep(is_kept)
        self._tenant, self._flagged = self._tenant[is_kept], self._flagged[is_kept]
        self._numbers = {}

    def take(self, tenants: Sequence[str], maxima: Numbers) -> LabelValues:
        """What became of values since the last call; ``tenants`` and ``maxima`` are by code."""
        estimates = self._sketches.by_key()
        limited, self._replaced = self._replaced, Counter()
        return LabelValues(
            estimates={(tenants[code], name): n for (code, name), n in estimates.items()},
            limited={(tenants[code], name): n for (code, name), n in limited.items()},
            maxima={name: n for name, n in zip(tenants, maxima.tolist(), strict=True) if name},
        )

    def _decide(self, maxima: Numbers, time_ms: int) -> None:
        if self._decided_ms is None:
            self._decided_ms = time_ms
        if time_ms - self._decided_ms >= DECIDE_MS:
            self._decided_ms = time_ms
            self._flagged = self._sketches.estimates() > maxima[self._tenant]

    def _sketches_of(self, name: str, tenant: NDArray[np.uint32], tenants: int) -> NDArray[np.intp]:
        """The number of each tenant's sketch for the label; new ones are not flagged."""
        numbers = self._numbers.get(name)
        if numbers is None or len(numbers) < tenants:
            known = np.zeros(0, np.intp) if numbers is None else numbers
            numbers = np.append(known, np.full(tenants - len(known), -1))
            self._numbers[name] = numbers
        for code in np.unique(tenant[numbers[tenant] < 0]).tolist():
            numbers[code] = self._sketches.index((code, name))
            if numbers[code] >= len(self._tenant):
                self._tenant = np.append(self._tenant, code)
                self._flagged = np.append(self._flagged, np.False_)
        return numbers[tenant]

    def _count(self, given: Labelled, rows: NDArray[np.intp], name: str) -> None:
        counts = np.bincount(given.tenant[rows], weights=given.spans[rows])
        for code in np.flatnonzero(counts).tolist():
            self._replaced[code, name] += int(counts[code])
