"""A check that cannot fail is none: every fault is put into right histories, and found."""

from dataclasses import replace
from itertools import accumulate

from tests.chaos.truth import EXPIRING, Truth
from tests.chaos.verdict import Verdict, judge, judge_totals
from tests.support.histories import History

CALLS, EDGES = "traces_spanmetrics_calls_total", "traces_service_graph_request_total"
END_MS = 8_000


def truth_of_two() -> Truth:
    truth = Truth(interval_ms=1_000, wait_ms=5_000)
    for tick in (2_000, 4_000, 5_000):
        truth.add(CALLS, {"service": "a"}, tick, 2)
        truth.add(EDGES, {"client": "a", "server": "b"}, tick, 1)
    return truth


def right(truth: Truth) -> list[History]:
    """What Prometheus shall hold: the zero before the first tick, then every tick."""
    histories = []
    for (name, labels), gains in truth.gains.items():
        ticks = range(min(gains), END_MS + 1, 1_000)
        values = accumulate(gains.get(tick, 0.0) for tick in ticks)
        samples = [(ticks[0] - 999, 0.0), *zip(ticks, values, strict=True)]
        named = {"__name__": name, **dict(labels), "stage": "x"}
        histories.append(History(named, samples))
    return histories


def faults(verdict: Verdict) -> dict[str, float]:
    tree = verdict.as_tree()
    return {k: v for k, v in tree.items() if v and k not in ("series", "examples")}


def with_samples(samples: list[tuple[int, float]]) -> dict[str, float]:
    """The faults of a run whose first series has these samples."""
    truth = truth_of_two()
    first, *others = right(truth)
    return faults(judge(truth, [replace(first, samples=samples), *others], END_MS))


def test_right_histories_have_no_fault() -> None:
    truth = truth_of_two()
    verdict = judge(truth, right(truth), END_MS)
    assert faults(verdict) == {}
    assert verdict.is_good()
    assert verdict.series == 2


def test_a_lost_count_is_found() -> None:
    samples = list(right(truth_of_two())[0].samples)
    lost = [(at, value - 2 if at >= 5_000 else value) for at, value in samples]
    assert with_samples(lost) == {"wrong_finals": 1, "lost": 2, "wrong_ticks": 4}


def test_a_doubled_count_is_found() -> None:
    samples = list(right(truth_of_two())[0].samples)
    doubled = [(at, value + 2 if at >= 5_000 else value) for at, value in samples]
    assert with_samples(doubled) == {"wrong_finals": 1, "doubled": 2, "wrong_ticks": 4}


def test_a_count_at_another_tick_is_found() -> None:
    samples = dict(right(truth_of_two())[0].samples)
    assert with_samples(list((samples | {4_000: 2.0}).items())) == {"wrong_ticks": 1}


def test_a_reset_is_found() -> None:
    samples = dict(right(truth_of_two())[0].samples)
    assert with_samples(list((samples | {6_000: 0.0}).items())) == {"wrong_ticks": 1, "resets": 1}


def test_a_missing_sample_is_found() -> None:
    samples = [s for s in right(truth_of_two())[0].samples if s[0] != 3_000]
    assert with_samples(samples) == {"missing_ticks": 1}


def test_a_sample_between_the_ticks_is_found() -> None:
    samples = dict(right(truth_of_two())[0].samples) | {3_500: 2.0}
    assert with_samples(sorted(samples.items())) == {"stray_samples": 1}


def test_an_error_of_a_sum_of_more_than_a_billionth_is_found() -> None:
    samples = list(right(truth_of_two())[0].samples)
    found = with_samples([(at, value * (1 + 1e-8)) for at, value in samples])
    assert (found["wrong_finals"], found["wrong_ticks"]) == (1, 7)
    assert with_samples([(at, value * (1 + 1e-11)) for at, value in samples]) == {}


def test_series_that_are_missing_or_too_many_are_found() -> None:
    truth = truth_of_two()
    first, second = right(truth)
    assert faults(judge(truth, [first], END_MS)) == {
        "missing_series": 1,
        "wrong_finals": 1,
        "lost": 3,
        "lost_edges": 3,
    }
    extra = replace(first, labels={**first.labels, "service": "z"})
    assert faults(judge(truth, [first, second, extra], END_MS)) == {"extra_series": 1}
    again = replace(first, labels={**first.labels, "stage": "y"})
    assert faults(judge(truth, [first, second, again], END_MS)) == {"extra_series": 1}


def test_an_edge_that_expires_may_be_counted_a_few_ticks_later_and_not_earlier() -> None:
    truth = Truth(interval_ms=1_000, wait_ms=5_000)
    truth.add(EDGES, dict([("client", "user"), EXPIRING]), 3_000, 1)
    [edge] = right(truth)
    later = replace(edge, samples=[(4_500, 0.0), *((t, 1.0) for t in range(5_000, 8_001, 1_000))])
    assert faults(judge(truth, [later], END_MS)) == {}
    earlier = replace(edge, samples=[(t, 1.0) for t in range(2_000, 8_001, 1_000)])
    assert faults(judge(truth, [earlier], END_MS)) == {"stray_samples": 1}
    lost = replace(edge, samples=[(t, 0.0) for t in range(3_000, 8_001, 1_000)])
    assert faults(judge(truth, [lost], END_MS))["wrong_ticks"] == 2


def test_totals_of_several_writers_are_added_up() -> None:
    truth = truth_of_two()
    calls, edges = right(truth)
    one = replace(calls, samples=[(1_000, 0.0), (2_000, 4.0)])
    other = replace(calls, samples=[(1_000, 0.0), (2_000, 1.0), (3_000, 0.0), (4_000, 1.0)])
    verdict = judge_totals(truth, [one, other, edges])
    assert faults(verdict) == {"resets": 1}
    assert faults(judge_totals(truth, [one, one, edges]))["doubled"] == 2
    assert faults(judge_totals(truth, [one, edges]))["lost"] == 2
