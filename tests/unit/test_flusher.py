from dataclasses import replace
from typing import cast

import pytest

from consumer.config import parse_config
from consumer.config.tenants import settings_by_tenant
from consumer.flusher import Flusher
from consumer.registry import Registry, RegistrySettings
from consumer.remote_write.sender import Sender
from processors.delta import Schema
from tests.support.fakes import START_MS, FakeSender
from tests.unit.registry.frames import Row, frame

INTERVAL_MS = 15_000
ALL_ALIKE = settings_by_tenant(parse_config("", environ={}))


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender([])


@pytest.fixture
def flusher(sender: FakeSender) -> Flusher:
    """Begun 2 s after a boundary."""
    return flusher_since(sender, boundary(0) + 2_000)


def boundary(number: int) -> int:
    return (START_MS // INTERVAL_MS + number) * INTERVAL_MS


def flusher_since(sender: FakeSender, begun_ms: int) -> Flusher:
    registry = Registry(RegistrySettings(interval_ms=INTERVAL_MS), started_ms=begun_ms)
    flusher = Flusher(registry, cast("Sender", sender), ALL_ALIKE)
    flusher.begin(begun_ms)
    return flusher


def test_ticks_never_stand_before_the_last_one_and_leave_room_for_a_zero_sample(
    flusher: Flusher, sender: FakeSender
) -> None:
    now_ms = boundary(1) + 1
    flusher.tick_all(now_ms, {})
    flusher.tick_all(now_ms, {})
    flusher.tick(now_ms, {})
    assert [tick.time_ms - now_ms for tick in sender.ticks] == [0, 2, 4]


def test_a_worker_begun_just_before_a_boundary_has_room_for_zero_samples(
    sender: FakeSender,
) -> None:
    flusher_since(sender, boundary(1) - 1).tick(boundary(1), {})
    assert sender.ticks[0].time_ms == boundary(1) + 1


def test_offsets_are_delivered_in_the_order_of_ticks(flusher: Flusher, sender: FakeSender) -> None:
    sender.is_held = True
    flusher.tick(boundary(1), {0: 1})
    flusher.tick(boundary(2), {0: 2, 1: 7})
    assert flusher.delivered() == {}
    assert not flusher.is_settled
    sender.deliver(1)
    assert flusher.delivered() == {0: 1}
    assert not flusher.is_settled
    sender.deliver()
    assert flusher.delivered() == {0: 2, 1: 7}
    assert flusher.is_settled


def test_all_is_settled_only_when_no_earlier_tick_is_under_way(
    flusher: Flusher, sender: FakeSender
) -> None:
    sender.is_held = True
    flusher.tick(boundary(1), {0: 1})
    flusher.tick(boundary(2), {0: 2})
    sender._held[1].settle_part()
    assert not flusher.is_settled


def test_partitions_that_went_are_covered_by_no_tick_delivered_or_not(
    flusher: Flusher, sender: FakeSender
) -> None:
    flusher.tick(boundary(1), {0: 1, 1: 1})
    assert flusher.delivered() == {0: 1, 1: 1}
    sender.is_held = True
    flusher.tick(boundary(2), {0: 2, 1: 2})
    flusher.forget([0])
    sender.deliver()
    assert flusher.delivered() == {1: 2}


def test_a_tick_covers_what_histograms_with_other_bounds_hold_back(sender: FakeSender) -> None:
    started_ms = boundary(0) + 2_000
    registry = Registry(RegistrySettings(interval_ms=INTERVAL_MS), started_ms=started_ms)
    flusher = Flusher(registry, cast("Sender", sender), ALL_ALIKE)
    flusher.begin(started_ms)
    old = frame([Row("north", "a", observed=(1.0, 0.0, 0.0, 0.1))])
    calls, latency = old.schema.families
    new = replace(
        old,
        schema=Schema(old.schema.label_names, (calls, replace(latency, bounds=(0.2, 2.0)))),
    )
    registry.fold([old, new], started_ms)
    flusher.tick(boundary(1), {0: 7})
    assert [tick.time_ms - boundary(1) for tick in sender.ticks] == [0, 2]
    bounds = [
        {dict(block.constant_labels).get("le") for block in tick.tenants["north"]} - {None, "+Inf"}
        for tick in sender.ticks
    ]
    assert bounds[0] == {"0.1", "1"}
    assert bounds[1] >= {"0.2", "2"}
    assert [staged.covered for staged in flusher._staged] == [{}, {0: 7}]


def test_at_the_end_every_series_that_was_told_gets_a_stale_marker_after_its_last_sample(
    flusher: Flusher, sender: FakeSender
) -> None:
    registry = flusher._registry
    registry.fold([frame([Row("north", "a", calls=2), Row("south", "b")])], boundary(0) + 3_000)
    flusher.tick_all(boundary(1), {})
    flusher.end()
    last, end = sender.ticks
    assert end.time_ms > last.time_ms
    assert {name: list(map(len, blocks)) for name, blocks in end.tenants.items()} == {
        name: list(map(len, blocks)) for name, blocks in last.tenants.items()
    }
    for blocks in end.tenants.values():
        assert all(block.ended.all() and not block.newborn.any() for block in blocks)
