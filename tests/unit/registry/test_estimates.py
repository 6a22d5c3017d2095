"""Estimates: how many there would be, and hashes that are the same everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from consumer.registry import Registry, RegistrySettings, TenantLimits
from consumer.registry.hashes import LabelHashes, text_hash, with_name
from consumer.registry.settings import LimiterType
from consumer.registry.sketch import PARTS, SlidingSketches
from processors.strings import KeptStrings
from tests.unit.registry.frames import Row, frame

WINDOW_MS = 90_000
FIVE_SIGMA = 5 * 0.0325


def sketch_of(*numbers: int, seed: int = 0) -> SlidingSketches[str]:
    """One sketch for each of ``numbers``, with so many random hashes."""
    random = np.random.default_rng(seed)
    sketches = SlidingSketches[str](WINDOW_MS)
    for number in numbers:
        index = sketches.index(f"{number}")
        hashes = random.integers(0, 2**64, number, np.uint64)
        for part in np.array_split(np.repeat(hashes, 2), 3):
            sketches.add(np.full(len(part), index), part)
    return sketches


@pytest.mark.parametrize("number", [0, 1, 2, 10, 100, 1_000, 2_500, 5_000, 50_000, 300_000])
def test_an_estimate_is_near(number: int) -> None:
    estimate = sketch_of(7, number).by_key()[f"{number}"]
    assert abs(estimate - number) <= max(1, FIVE_SIGMA * number)


def test_a_sketch_forgets_after_its_window_and_not_before() -> None:
    hashes = np.random.default_rng(1).integers(0, 2**64, 500, np.uint64)
    for begin_ms in (0, 1, 29_999, 30_000, 1_700_000_000_000):
        sketches = SlidingSketches[str](WINDOW_MS)
        sketches.move_to(begin_ms)
        sketches.add(np.full(500, sketches.index("a")), hashes)
        sketches.move_to(begin_ms + WINDOW_MS - 1)
        assert abs(sketches.by_key()["a"] - 500) < 500 * FIVE_SIGMA
        sketches.move_to(begin_ms + WINDOW_MS * PARTS // 3)
        assert sketches.by_key() == {"a": 0}


def test_a_leap_in_time_forgets_everything() -> None:
    sketches = sketch_of(100)
    sketches.move_to(10**12)
    assert sketches.by_key() == {"100": 0}


def test_sketches_that_are_kept_keep_what_they_know() -> None:
    sketches = sketch_of(10, 1_000, 20)
    before = sketches.by_key()
    sketches.keep(np.array([True, False, True]))
    assert sketches.by_key() == {"10": before["10"], "20": before["20"]}
    assert sketches.index("20") == 1
    assert sketches.index("new") == 2


def test_hashes_are_of_texts_and_the_same_in_every_process() -> None:
    assert text_hash("/checkout") == 14170982159612474206
    program = (
        "from consumer.registry.hashes import *; from processors.strings import KeptStrings;"
        "import numpy as np; strings = KeptStrings(); h = LabelHashes(strings);"
        "codes = np.array([[strings.code('a'), strings.code('b')]], np.uint32);"
        "print(h.of_sets(('x', 'y'), codes)[0])"
    )
    root = Path(__file__).parents[3]
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_label_sets_are_equal_whatever_the_order_and_whatever_is_empty() -> None:
    kept = KeptStrings()
    a, b = kept.code("a"), kept.code("b")
    hashes = LabelHashes(kept)

    def of(names: tuple[str, ...], *codes: int) -> int:
        return int(hashes.of_sets(names, np.array([codes], np.uint32))[0])

    plain = of(("x", "y"), a, b)
    assert of(("y", "x"), b, a) == plain
    assert of(("x", "y", "z"), a, b, 0) == of(("z", "y", "x"), 1, b, a) == plain
    different = {plain, of(("x", "y"), b, a), of(("x", "z"), a, b), of(("x", "y"), a, a)}
    assert len(different) == 4
    one = np.array([plain], np.uint64)
    assert with_name(one, "calls") != with_name(one, "latency")


def test_texts_that_are_not_unicode_have_hashes() -> None:
    assert text_hash("\udcff") != text_hash("\ud800") != text_hash("")


@pytest.mark.parametrize("limiter", ["series", "entity"])
def test_the_demand_is_what_there_would_be_without_a_limit(limiter: LimiterType) -> None:
    series = Registry(RegistrySettings(limiter_type=limiter), started_ms=0)
    series.limit({}, TenantLimits(max_active_series=300, max_active_entities=100))
    rows = [Row("north", f"s{at}", observed=(1.0, 0.0, 0.0, 0.1)) for at in range(1_000)]
    for time_ms in (1, 2, 3):
        series.fold([frame(rows)], time_ms)
    series.collect(15_000)
    usage = series.usage()["north"]
    if limiter == "series":
        assert usage.series == 300
        assert abs(usage.series_demand - 6_000) < 6_000 * FIVE_SIGMA
    else:
        assert usage.entities == 100
        assert abs(usage.entities_demand - 1_000) < 1_000 * FIVE_SIGMA


def test_without_a_limit_the_demand_is_exact() -> None:
    series = Registry(RegistrySettings(), started_ms=0)
    series.fold([frame([Row("north", f"s{at}") for at in range(777)])], 1)
    assert series.usage()["north"].series_demand == 777


def test_demand_is_estimated_anew_when_limits_change_and_when_time_has_passed() -> None:
    rows = frame([Row("north", f"s{at}") for at in range(200)])
    for change in (True, False):
        series = Registry(RegistrySettings(stale_ms=60_000), started_ms=0)
        series.limit({}, TenantLimits(max_active_series=10))
        series.fold([rows], 1)
        series.collect(15_000)
        assert series.usage()["north"].series_demand > 150
        if change:
            series.limit({}, TenantLimits(max_active_series=20))
        else:
            series.collect(90_000)
        assert series.usage()["north"].series_demand == (10 if change else 0)


def test_a_tenant_that_has_nothing_any_more_is_told_once_more() -> None:
    series = Registry(RegistrySettings(stale_ms=60_000), started_ms=0)
    series.fold([frame([Row("north", "a")])], 1)
    series.collect(15_000)
    assert series.usage()["north"].series == 1
    series.collect(100_000)
    assert series.usage()["north"].series == 0
    assert series.usage() == {}
