"""Compares what is in Prometheus with the truth, sample by sample."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from tests.chaos.truth import EXPIRING, Series, Truth
from tests.support.histories import History
from tests.support.prometheus import Prometheus

NOT_OURS = frozenset({"__name__", "stage", "__metrics_gen_instance", "spanmill_shard"})
"""Labels that say who wrote a series, not what it counts."""

SPANS, EDGES = "traces_spanmetrics_calls_total", "traces_service_graph_request_total"
COUNTED = (SPANS, EDGES)
"""Where ``lost`` and ``doubled`` are counted: spans and edges."""

TOLERANCE = 1e-9
EXAMPLES = 5
LONGEST_MS = 3_600_000


@dataclass(slots=True)
class Verdict:
    """What was found. Of everything but ``series`` there shall be none."""

    series: int = 0
    lost: float = 0
    """Spans and edges that are missing at the end."""
    lost_edges: float = 0
    """The edges among them."""
    doubled: float = 0
    """Spans and edges that are there too often at the end."""
    wrong_finals: int = 0
    """Series whose final value is not the true one, within 1e-9 of it."""
    resets: int = 0
    missing_ticks: int = 0
    """Ticks after the birth of a series without a sample of it."""
    wrong_ticks: int = 0
    """Samples whose value is not the true one of that tick."""
    stray_samples: int = 0
    """Samples that belong to no tick and are not the zero before a birth."""
    extra_series: int = 0
    missing_series: int = 0
    examples: list[str] = field(default_factory=list)

    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not any(v for k, v in asdict(self).items() if k not in ("series", "examples"))

    def as_tree(self) -> dict[str, Any]:
        """For the report."""
        return asdict(self)

    def note(self, text: str) -> None:
        """Keep the first few for people."""
        if len(self.examples) < EXAMPLES:
            self.examples.append(text)


def histories_of(server: Prometheus, stage: str, end_ms: int) -> list[History]:
    """Every sample up to ``end_ms`` of the series of ``stage``."""
    names = {each["__name__"] for each in server.series(f'{{stage="{stage}"}}')}
    found: list[History] = []
    for name in sorted(names):
        query = f'{name}{{stage="{stage}"}}[{LONGEST_MS}ms]'
        answer = server._get("query", {"query": query, "time": str(end_ms / 1000)})
        for each in answer["result"]:
            samples = [(round(float(at) * 1000), float(value)) for at, value in each["values"]]
            found.append(History(each["metric"], samples))
    return found


def judge(truth: Truth, found: Iterable[History], end_ms: int) -> Verdict:
    """The verdict about ``found``, whose series have one writer each, up to ``end_ms``."""
    verdict = Verdict()
    named: dict[Series, History] = {}
    for history in found:
        verdict.series += 1
        series = series_of(history)
        if series in named or series not in truth.gains:
            verdict.extra_series += 1
            verdict.note(f"extra: {dict(history.labels)}")
        named[series] = history
    for series, gains in truth.gains.items():
        history_or_none = named.get(series)
        if history_or_none is None:
            verdict.missing_series += 1
            verdict.note(f"missing: {series}")
        final = history_or_none.samples[-1][1] if history_or_none else 0.0
        _judge_final(verdict, series, final, sum(gains.values()))
        if history_or_none is not None:
            _judge_samples(verdict, truth, series, history_or_none, end_ms)
    return verdict


def judge_totals(truth: Truth, found: Iterable[History]) -> Verdict:
    """The verdict about the totals only, of series that several writers have and begin again."""
    verdict = Verdict()
    totals: defaultdict[Series, float] = defaultdict(float)
    for history in found:
        verdict.series += 1
        verdict.resets += history.lives() - 1
        totals[series_of(history)] += _gained(history)
    for series in totals.keys() - truth.gains.keys():
        verdict.extra_series += 1
        verdict.note(f"extra: {series}")
    for series, true in truth.final().items():
        verdict.missing_series += series not in totals
        _judge_final(verdict, series, totals.get(series, 0.0), true)
    return verdict


def _gained(history: History) -> float:
    """What was counted over all lives of the counter, whether their zero samples are there or not.

    The zero of a life that begins before the last one's newest sample is refused.
    """
    values = [0.0, *(value for _, value in history.samples)]
    return sum(after - before if after >= before else after for before, after in pairwise(values))


def judge_likeness(undisturbed: Sequence[History], found: Sequence[History]) -> Counter[str]:
    """How ``found`` differs from what one worker made that nobody disturbed."""
    one, other = ({series_of(each) for each in side} for side in (undisturbed, found))
    return Counter(series_only_undisturbed=len(one - other), series_only_disturbed=len(other - one))


def series_of(history: History) -> Series:
    """What a series counts, whoever wrote it."""
    labels = history.labels.items()
    return history.name, frozenset(pair for pair in labels if pair[0] not in NOT_OURS)


def _judge_final(verdict: Verdict, series: Series, value: float, true: float) -> None:
    if math.isclose(value, true, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        return
    verdict.wrong_finals += 1
    verdict.note(f"final {value}, not {true}: {series}")
    if series[0] in COUNTED:
        lost = max(0.0, true - value)
        verdict.lost += lost
        verdict.lost_edges += lost if series[0] == EDGES else 0.0
        verdict.doubled += max(0.0, value - true)


def _judge_samples(
    verdict: Verdict, truth: Truth, series: Series, history: History, end_ms: int
) -> None:
    interval_ms, gains = truth.interval_ms, truth.gains[series]
    samples = dict(history.samples)
    resets = sum(after < before for (_, before), (_, after) in pairwise(history.samples))
    verdict.resets += resets
    if resets:
        verdict.note(f"{resets} resets: {series}")
    born_ms = min(gains)
    slack = 4 * interval_ms if EXPIRING in series[1] else 0
    for at, value in history.samples:
        is_zero_before = value == 0 and at < born_ms + slack
        if not is_zero_before and (at % interval_ms or at < born_ms):
            verdict.stray_samples += 1
            verdict.note(f"{value} at {at}, which is no tick of it: {series}")
    ticks = range(born_ms, end_ms + 1, interval_ms)
    values = dict(zip(ticks, accumulate(gains.get(tick, 0.0) for tick in ticks), strict=True))
    for tick in ticks:
        written = samples.get(tick)
        least, most = values.get(tick - slack, 0.0), values[tick]
        if written is None:
            if tick >= born_ms + slack:
                verdict.missing_ticks += 1
                verdict.note(f"no sample at {tick}: {series}")
        elif not least - _room(least) <= written <= most + _room(most):
            verdict.wrong_ticks += 1
            verdict.note(f"{written} at {tick}, not {most}: {series}")


def _room(value: float) -> float:
    return TOLERANCE * max(1.0, abs(value))
