"""What a sink was told, series by series, and what the counters in it add up to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.support.prometheus import Prometheus
from tests.support.remote_write_receiver import Receiver

EVERYTHING = "[1h]"


@dataclass(frozen=True, slots=True)
class History:
    """One series with its samples (ms, value), oldest first; stale markers left out."""

    labels: Mapping[str, str]
    samples: Sequence[tuple[int, float]]

    @property
    def name(self) -> str:
        """The name of the metric."""
        return self.labels["__name__"]

    def gained(self) -> float:
        """What was counted in all, over all lives of the counter.

        Each life begins with its zero sample, else its first count could not be told from
        what came before: this is an error here.
        """
        assert self.samples[0][1] == 0.0, f"no zero sample: {dict(self.labels)}"
        values = [value for _, value in self.samples]
        total = 0.0
        for before, value in pairwise(values):
            if value < before:
                assert value == 0.0, f"no zero sample after a reset: {dict(self.labels)}"
            else:
                total += value - before
        return total

    def lives(self) -> int:
        """How often the counter began."""
        values = [value for _, value in self.samples]
        return 1 + sum(value < before for before, value in pairwise(values))


def of_prometheus(server: Prometheus, selector: str, time_s: float) -> list[History]:
    """Every sample of the series that ``selector`` names."""
    found = server._get("query", {"query": f"{selector}{EVERYTHING}", "time": str(time_s)})
    return [
        History(each["metric"], [(round(float(at) * 1000), float(v)) for at, v in each["values"]])
        for each in found["result"]
    ]


def of_receiver(receiver: Receiver, tenant: str, name: str) -> list[History]:
    """Every sample of the series called ``name`` that ``tenant`` wrote."""
    return [
        History(dict(labels), [(at, value) for at, value in samples if not math.isnan(value)])
        for labels, samples in receiver.samples(tenant).items()
        if dict(labels)["__name__"] == name
    ]


def totals(histories: Sequence[History], *by: str) -> Counter[tuple[str, ...]]:
    """What was gained in all, by the values of the labels ``by``."""
    summed: Counter[tuple[str, ...]] = Counter()
    for each in histories:
        summed[tuple(each.labels.get(label, "") for label in by)] += round(each.gained())
    return summed
