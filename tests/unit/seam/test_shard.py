"""A shard is a function of its log: whoever reads it says the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.config import parse_config
from consumer.config.tenants import settings_by_tenant
from consumer.registry import Registry, RegistrySettings, TenantLimits
from consumer.registry.settings import NO_LIMITS
from consumer.seam.columns import FormatError
from consumer.seam.frames import encode_frame
from consumer.seam.notes import Progress, write_progress
from consumer.seam.shard import DELTAS, PROGRESS, Shard, Told
from consumer.seam.snapshots import entries_of, kept_of, written_entry
from processors.delta import DeltaFrame
from tests.support.fakes import samples_of
from tests.unit.registry.frames import Row, frame, gauge
from tests.unit.seam.test_frames import native

BASE_MS = 1_000
TENANTS = settings_by_tenant(
    parse_config("metrics_generator: {registry: {collection_interval: 1s}}", environ={})
)
SETTINGS = RegistrySettings(interval_ms=BASE_MS, stale_ms=3_000)
LIMIT = TenantLimits(max_active_series=9)


@dataclass(frozen=True, slots=True)
class Written:
    """A record of the log."""

    key: bytes
    value: bytes


def deltas(tick_ms: int, each: DeltaFrame) -> Written:
    return Written(DELTAS, encode_frame(tick_ms, each))


def progress(clock_ms: int, *lanes: int, of: int = 2) -> Written:
    told = Progress(of, dict.fromkeys(lanes or range(of), clock_ms))
    return Written(PROGRESS, write_progress(told))


def shard(limits: TenantLimits = NO_LIMITS) -> Shard:
    registry = Registry(SETTINGS, started_ms=0)
    registry.limit({}, limits)
    return Shard(registry, TENANTS, BASE_MS)


def read(
    owner: Shard, log: list[Written], first: int = 0, *, early: bool = False
) -> Iterator[Told]:
    """What the shard tells of the log from its record ``first`` on; ``early`` folds as it reads."""
    for offset, record in enumerate(log[first:], first):
        owner.take(record.key, record.value, offset)
        if early:
            owner.fold_early()
        while (told := owner.tell(0)) is not None:
            yield told


def samples(told: list[Told]) -> list[tuple[Any, ...]]:
    """Everything that is told, comparable."""
    found: list[tuple[Any, ...]] = []
    for each in told:
        for tick in each.ticks:
            for tenant, blocks in tick.tenants.items():
                for block in blocks:
                    for labels, values in samples_of(block, tick.time_ms):
                        shown = [(at, "stale" if math.isnan(v) else v) for at, v in values]
                        found.append((tick.time_ms, tenant, block.name, labels, tuple(shown)))
    return sorted(found, key=repr)


LOGS = st.lists(
    st.one_of(
        st.builds(
            lambda step, rows: ("deltas", step, rows),
            st.integers(0, 2),
            st.lists(
                st.builds(
                    Row,
                    tenant=st.sampled_from(["north", "south"]),
                    service=st.sampled_from("abcdef"),
                    calls=st.floats(0.1, 5.0),
                    observed=st.none() | st.tuples(*[st.floats(0.0, 3.0)] * 4),
                ),
                min_size=1,
                max_size=4,
            ),
        ),
        st.builds(
            lambda step, lane: ("progress", step, lane), st.integers(0, 5), st.integers(0, 1)
        ),
        st.builds(lambda step, n: ("native", step, n), st.integers(0, 2), st.integers(-9, 9)),
    ),
    min_size=1,
    max_size=40,
)


def log_of(steps: list[tuple[str, int, object]]) -> list[Written]:
    """A log as lanes would write it: no delta of a tick that was told to be complete."""
    clocks = {0: 0, 1: 0}
    log: list[Written] = []
    for what, step, value in steps:
        if what == "progress":
            assert isinstance(value, int)
            clocks[value] += step * 500
            log.append(progress(clocks[value], value))
        else:
            tick_ms = (max(clocks.values()) // BASE_MS + 1 + step) * BASE_MS
            if isinstance(value, list):
                log.append(deltas(tick_ms, frame(value)))
            else:
                assert isinstance(value, int)
                log.append(deltas(tick_ms, native([("a", value, 1.5, 0.25)])))
    log.append(progress(max(clocks.values()) + 9_000))
    return log


@given(LOGS, st.integers(0, 40), st.booleans(), st.booleans())
def test_a_successor_goes_on_from_a_snapshot_bit_by_bit(
    steps: list[tuple[str, int, object]], cut: int, is_limited: bool, early: bool
) -> None:
    log = log_of(steps)
    limits = LIMIT if is_limited else NO_LIMITS
    undisturbed = list(read(shard(limits), log))
    first = shard(limits)
    told = list(read(first, log[:cut], early=early))
    if first.next_offset is None:
        return
    second = shard(limits)
    second.load(first.dump())
    assert second.dump() == first.dump()
    told += read(second, log, second.next_offset or 0)
    assert samples(told) == samples(undisturbed)


@given(LOGS, st.booleans())
def test_whoever_reads_the_log_from_the_beginning_says_the_same(
    steps: list[tuple[str, int, object]], is_limited: bool
) -> None:
    log = log_of(steps)
    limits = LIMIT if is_limited else NO_LIMITS
    at_once, early = (list(read(shard(limits), log, early=each)) for each in (False, True))
    assert samples(early) == samples(at_once)


def test_ticks_that_were_delivered_are_folded_and_not_told_again() -> None:
    log = [deltas(1_000, frame([Row("north", "a")])), progress(0), progress(3_000)]
    owner = shard()
    owner.written_ms = 2_000
    told = list(read(owner, log))
    assert [(each.tick_ms, bool(each.ticks)) for each in told] == [
        (1_000, False),
        (2_000, False),
        (3_000, True),
    ]
    assert {values[-1] for *_, values in samples(told)} == {(3_000, 1.0)}


def test_ticks_that_are_too_old_are_folded_into_the_first_that_is_not() -> None:
    owner = shard()
    for offset, record in enumerate(
        [deltas(1_000, frame([Row("north", "a")])), progress(0), progress(3_000)]
    ):
        owner.take(record.key, record.value, offset)
    told = [owner.tell(2_500) for _ in range(3)]
    assert [bool(each.ticks) for each in told if each] == [False, False, True]
    assert {row[-1] for row in samples([each for each in told if each])} == {
        ((2_000, 0.0), (3_000, 1.0))
    }


def test_to_leave_out_old_ticks_without_deltas_changes_nothing_of_what_is_told() -> None:
    log = [
        deltas(1_000, frame([Row("north", "a")])),
        progress(0),
        deltas(90_000, frame([Row("north", "b")])),
        progress(100_500),
    ]
    told, waited = [], []
    for skips in (False, True):
        owner = shard()
        for offset, record in enumerate(log):
            owner.take(record.key, record.value, offset)
        waited.append(owner.waiting)
        found = []
        while not owner.is_complete:
            if skips:
                owner.skip_empty(95_000)
            found.append(owner.tell(95_000))
        told.append([each for each in found if each])
    assert waited == [100, 100]
    assert list(map(len, told)) == [100, 2 + len(range(95, 101))]
    assert samples(told[0]) == samples(told[1])
    assert samples(told[0])


def test_lanes_that_come_later_are_waited_for() -> None:
    owner = shard()
    list(read(owner, [progress(0, of=1), progress(500, of=1)]))
    assert list(read(owner, [progress(2_000, 0, of=2)], 0)) == []
    assert [told.tick_ms for told in read(owner, [progress(1_000, 1, of=2)], 0)] == [1_000]


def test_a_record_that_is_not_ours_is_told_from_ours() -> None:
    with pytest.raises(FormatError, match="key"):
        shard().take(b"else", b"", 0)
    with pytest.raises(FormatError):
        shard().take(PROGRESS, b"[1]", 0)


def test_a_gauge_goes_on_with_its_last_value() -> None:
    first = shard()
    list(read(first, [deltas(1_000, gauge("north", "a", 7.0)), progress(1_000)]))
    second = shard()
    second.load(first.dump())
    told = list(read(second, [progress(2_000)], 0))
    assert [values for *_, values in samples(told)] == [((2_000, 7.0),)]


def test_a_snapshot_comes_back_from_its_records() -> None:
    dumped = bytes(range(256)) * 8_000
    found = {each.key: each.value for each in entries_of(dumped, 0) if each.value is not None}
    assert len(found) == 4
    found[b"written"] = written_entry(5_000).value or b""
    kept = kept_of(found)
    assert (kept.snapshot, kept.written_ms, kept.chunks) == (dumped, 5_000, 3)


def test_a_smaller_snapshot_takes_the_chunks_away_that_it_does_not_need() -> None:
    gone = [each.key for each in entries_of(b"small", 3) if each.value is None]
    assert gone == [b"chunk/1", b"chunk/2"]


def test_without_records_nothing_is_kept() -> None:
    assert kept_of({}) == kept_of({b"other": b"1"})
    assert kept_of({}).snapshot is None


@pytest.mark.parametrize("key", [b"chunk/0", b"chunk/1", b"head"])
def test_a_snapshot_that_is_not_whole_is_told_from_one_that_is(key: bytes) -> None:
    found = {e.key: e.value for e in entries_of(b"x" * 1_000_000, 0) if e.value is not None}
    found[key] = b"other"
    with pytest.raises(FormatError):
        kept_of(found)
    del found[key]
    if key != b"head":
        with pytest.raises(FormatError):
            kept_of(found)
