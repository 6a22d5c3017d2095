import math
from collections import Counter, defaultdict
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.registry import Registry, RegistrySettings
from consumer.registry.blocks import bound_text
from consumer.remote_write.series import Tick
from processors import strings
from tests.support.fakes import Labels, Sample, samples_of
from tests.unit.registry.frames import Row, frame, gauge

START_MS = 1_000_000
INTERVAL_MS = 15_000
STALE_MS = 60_000


def registry(**changed: object) -> Registry:
    given: dict[str, object] = {"interval_ms": INTERVAL_MS, "stale_ms": STALE_MS, **changed}
    return Registry(RegistrySettings(**given), started_ms=START_MS)  # type: ignore[arg-type]


def samples(tick: Tick) -> dict[tuple[str, str, Labels], list[Sample]]:
    """(tenant, name, labels) -> what the tick says."""
    found: dict[tuple[str, str, Labels], list[Sample]] = {}
    for tenant, blocks in tick.tenants.items():
        for block in blocks:
            for labels, told in samples_of(block, tick.time_ms):
                assert (tenant, block.name, labels) not in found
                found[tenant, block.name, labels] = told
    return found


def calls(tick: Tick, tenant: str = "north") -> dict[str, list[Sample]]:
    """Service -> samples of ``calls_total``."""
    return {
        dict(labels).get("service", ""): told
        for (of_tenant, name, labels), told in samples(tick).items()
        if name == "calls_total" and of_tenant == tenant
    }


def test_a_counter_begins_with_zero_after_the_collection_before_and_adds_up() -> None:
    series = registry()
    first_ms, second_ms = START_MS + 15_000, START_MS + 30_000
    series.fold([frame([Row("north", "a", calls=2)])], START_MS + 1)
    assert calls(series.collect(first_ms)) == {"a": [(START_MS + 1, 0.0), (first_ms, 2.0)]}
    series.fold([frame([Row("north", "a", calls=3), Row("north", "b")])], first_ms + 5)
    assert calls(series.collect(second_ms)) == {
        "a": [(second_ms, 5.0)],
        "b": [(first_ms + 1, 0.0), (second_ms, 1.0)],
    }


@pytest.mark.parametrize("missed_ms", [0, 100_000])
def test_a_newborn_counts_from_at_most_an_interval_ago(missed_ms: int) -> None:
    series = registry()
    now_ms = START_MS + INTERVAL_MS + missed_ms
    series.fold([frame([Row("north", "a")])], START_MS)
    (zero, _) = calls(series.collect(now_ms))["a"]
    assert zero == (max(START_MS + 1, now_ms - INTERVAL_MS), 0.0)


def test_every_sample_knows_since_when_its_series_counts_and_a_new_life_begins_anew() -> None:
    series = registry()
    begins: list[int] = []
    for tick in range(1, 9):
        if tick not in (3, 4, 5, 6, 7):
            series.fold([frame([Row("north", "a")])], START_MS + tick * INTERVAL_MS - 1)
        for block in series.collect(START_MS + tick * INTERVAL_MS).tenants.get("north", []):
            begins += block.start_ms[~block.ended].tolist() if block.name == "calls_total" else []
    # Told until it is stale a minute after the second tick; then another life after the last.
    assert begins == [START_MS + 1] * 5 + [START_MS + 7 * INTERVAL_MS + 1]


def test_a_registry_that_goes_on_from_a_dump_knows_since_when_series_count() -> None:
    series, heir = registry(), registry()
    series.fold([frame([Row("north", "a")])], START_MS)
    series.collect(START_MS + INTERVAL_MS)
    heir.load(*series.dump())
    (calls_block, *_) = heir.collect(START_MS + 2 * INTERVAL_MS).tenants["north"]
    assert (calls_block.start_ms.tolist(), calls_block.newborn.tolist()) == (
        [START_MS + 1],
        [False],
    )


def test_a_histogram_is_told_cumulatively_with_sum_and_count() -> None:
    series = registry()
    series.fold([frame([Row("north", "a", observed=(2, 1, 1, 12.5))])], START_MS)
    told = samples(series.collect(START_MS + 15_000))
    values = {
        (name, dict(labels).get("le")): told_of[-1][1]
        for (_, name, labels), told_of in told.items()
    }
    assert values == {
        ("calls_total", None): 1.0,
        ("latency_count", None): 4.0,
        ("latency_sum", None): 12.5,
        ("latency_bucket", "0.1"): 2.0,
        ("latency_bucket", "1"): 3.0,
        ("latency_bucket", "+Inf"): 4.0,
    }


def test_a_family_that_was_never_observed_has_no_series_until_it_is() -> None:
    series = registry()
    series.fold([frame([Row("north", "a")])], START_MS)
    assert {name for _, name, _ in samples(series.collect(START_MS + 15_000))} == {"calls_total"}
    series.fold([frame([Row("north", "a", observed=(1, 0, 0, 0.05))])], START_MS + 15_001)
    told = samples(series.collect(START_MS + 30_000))
    begun = {name for (_, name, _), told_of in told.items() if len(told_of) == 2}
    assert begun == {"latency_count", "latency_sum", "latency_bucket"}


def test_a_gauge_keeps_its_last_value_and_has_no_zero_sample() -> None:
    series = registry()
    series.fold([gauge("north", "a", 3.0), gauge("north", "a", 2.0)], START_MS)
    block = series.collect(START_MS + 15_000).tenants["north"][0]
    assert block.type.value == "gauge"
    assert block.values.tolist() == [2.0]


def test_a_series_without_deltas_ends_with_a_stale_marker_and_is_gone() -> None:
    series = registry()
    series.fold([frame([Row("north", "a"), Row("north", "b")])], START_MS)
    assert series.collect(START_MS + 15_000).tenants
    series.fold([frame([Row("north", "b")])], START_MS + 20_000)
    series.collect(START_MS + 30_000)
    told = calls(series.collect(START_MS + STALE_MS + 1))
    assert math.isnan(told["a"][-1][1])
    assert told["b"][-1][1] == 2.0
    assert calls(series.collect(START_MS + STALE_MS + 2)).keys() == {"b"}
    assert series.active_series() == {"north": 1}


def test_a_series_that_comes_back_begins_again_after_its_stale_marker() -> None:
    series = registry()
    series.fold([frame([Row("north", "a", calls=7)])], START_MS)
    series.collect(START_MS + 15_000)
    ended_ms = START_MS + STALE_MS + 15_000
    series.collect(ended_ms)
    series.fold([frame([Row("north", "a", calls=2)])], ended_ms + 1)
    told = calls(series.collect(ended_ms + 15_000))
    assert told == {"a": [(ended_ms + 1, 0.0), (ended_ms + 15_000, 2.0)]}


def test_what_was_counted_while_nothing_could_be_collected_is_told_before_a_series_ends() -> None:
    series = registry()
    series.fold([frame([Row("north", "a", calls=3)])], START_MS + 10)
    series.collect(START_MS + 15_000)
    series.fold([frame([Row("north", "a"), Row("north", "b")])], START_MS + 15_010)
    late_ms = START_MS + 10 * STALE_MS
    told = calls(series.collect(late_ms))
    assert {service: told_of[-1] for service, told_of in told.items()} == {
        "a": (late_ms, 4.0),
        "b": (late_ms, 1.0),
    }
    ended = calls(series.collect(late_ms + 15_000))
    assert all(math.isnan(told_of[-1][1]) for told_of in ended.values())


def test_constant_labels_win_over_those_of_a_series() -> None:
    series = registry(constant_labels=(("service", "pod"),), tenant_label="org")
    series.fold([frame([Row("north", "a"), Row("south", "b")])], START_MS)
    told = samples(series.collect(START_MS + 15_000))
    assert {labels for _, _, labels in told} == {
        (("org", "north"), ("service", "pod")),
        (("org", "south"), ("service", "pod")),
    }


def test_tenants_with_odd_names_are_kept_apart() -> None:
    names = ["a", "A", "a/b", 'quo"te', "__", "x" * 256, "-"]
    series = registry()
    series.fold([frame([Row(name, "svc", calls=at) for at, name in enumerate(names)])], START_MS)
    tick = series.collect(START_MS + 15_000)
    told = {name: calls(tick, name)["svc"][-1][1] for name in names}
    assert told == {name: float(at) for at, name in enumerate(names)}
    assert series.active_series() == Counter(names)


def test_long_values_are_cut_between_characters_and_meet_in_one_series() -> None:
    series = registry(max_value_bytes=8)
    rows = [Row("north", "grüßgott-1"), Row("north", "grüßgott-2"), Row("north", "1234567Ω")]
    series.fold([frame(rows)], START_MS)
    told = calls(series.collect(START_MS + 15_000))
    assert {service: told_of[-1][1] for service, told_of in told.items()} == {
        "grüßgo": 2.0,
        "1234567": 1.0,
    }


def test_series_that_came_and_went_are_counted_once_by_tenant() -> None:
    series = registry()
    series.fold([frame([Row("north", "a", observed=(1, 0, 0, 0.1)), Row("south", "a")])], START_MS)
    series.collect(START_MS + 15_000)
    assert series.changes().added == {"north": 1 + 5, "south": 1}
    assert series.changes().added == {}
    series.collect(START_MS + STALE_MS + 1)
    assert series.changes().removed == {"north": 6, "south": 1}


def test_many_strings_that_came_and_went_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strings, "_COMPACT_AT", 50)
    series = registry()
    for turn in range(20):
        at_ms = START_MS + turn * STALE_MS
        rows = [Row("north", "stays"), *(Row("north", f"s{turn}-{at}") for at in range(30))]
        series.fold([frame(rows)], at_ms + 1)
        told = calls(series.collect(at_ms + 15_000))
        alive = {name: each[-1][1] for name, each in told.items() if not math.isnan(each[-1][1])}
        assert alive["stays"] == turn + 1
        assert {f"s{turn}-{at}" for at in range(30)} <= alive.keys()
        assert len(series._strings) <= 50 + 2 * 31
        assert all(len(table.rows) <= 128 for table in series._tables.values())


def test_a_tick_keeps_its_labels_and_values_when_the_registry_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strings, "_COMPACT_AT", 4)
    series = registry()
    series.fold([frame([Row("north", "a", "x"), Row("north", "b", "y")])], START_MS)
    tick = series.collect(START_MS + 15_000)
    before = samples(tick)
    for turn in range(1, 6):
        series.fold([frame([Row("north", f"n{turn}", "z", 9)])], START_MS + turn * STALE_MS)
        series.collect(START_MS + turn * STALE_MS + 15_000)
    assert samples(tick) == before


@pytest.mark.parametrize(
    ("bound", "text"),
    [(0.002, "0.002"), (1.0, "1"), (16.384, "16.384"), (1e-7, "0.0000001"), (math.inf, "+Inf")],
)
def test_bounds_are_written_without_exponent(bound: float, text: str) -> None:
    assert bound_text(bound) == text


_counts = st.integers(0, 2**40).map(float)
_rows = st.builds(
    Row,
    tenant=st.sampled_from(["north", "south", "odd/name"]),
    service=st.sampled_from(["", "a", "b", "c"]),
    path=st.sampled_from(["", "/", "/x"]),
    calls=_counts,
    observed=st.none() | st.tuples(_counts, _counts, _counts, _counts),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.lists(_rows, min_size=1, max_size=8), max_size=3), max_size=5))
def test_folds_add_up_as_in_a_plain_dictionary(ticks: list[list[list[Row]]]) -> None:
    series = registry(stale_ms=3_600_000)
    model: defaultdict[tuple[str, str, Labels], float] = defaultdict(float)
    told: dict[tuple[str, str, Labels], float] = {}
    for number, batches in enumerate(ticks):
        for rows in batches:
            series.fold([frame(rows)], START_MS + number * INTERVAL_MS + 1)
            for row in rows:
                add_to(model, row)
        tick = series.collect(START_MS + (number + 1) * INTERVAL_MS)
        told |= {key: each[-1][1] for key, each in samples(tick).items()}
    assert told == dict(model)


def add_to(model: defaultdict[tuple[str, str, Labels], float], row: Row) -> None:
    """What one delta does to each of its series."""
    named = {"path": row.path, "service": row.service}
    labels = tuple((name, text) for name, text in named.items() if text)
    model[row.tenant, "calls_total", labels] += row.calls
    if row.observed is None:
        return
    *counts, total = row.observed
    for le, count in zip(("0.1", "1", "+Inf"), accumulate(counts), strict=True):
        with_le = tuple(sorted([("le", le), *labels]))
        model[row.tenant, "latency_bucket", with_le] += count
    model[row.tenant, "latency_count", labels] += sum(counts)
    model[row.tenant, "latency_sum", labels] += total
