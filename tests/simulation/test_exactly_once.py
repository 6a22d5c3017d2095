"""Whatever happens, every span counts once, in its tick, and every tick is told the same."""

from __future__ import annotations

import os
from itertools import accumulate

import pytest

from tests.simulation.world import BASE_MS, KEYS, PODS, START_MS, World

SEEDS = int(os.environ.get("SEEDS", "40"))
STEPS, MOST_CALM_STEPS = 60, 200


def run(seed: int) -> World:
    """A troubled time, then a calm one until all is told."""
    world = World(seed)
    world.start(0)
    world.crash_chance = 0.02
    for _ in range(STEPS):
        world.step()
        world.disturb()
    world.crash_chance, world.sink_is_down = 0.0, False
    end_ms = world.clock.now_ms()
    for number in range(PODS):
        if number not in world.pods:
            world.start(number)
    for _ in range(MOST_CALM_STEPS):
        world.step()
        world._expire()
        if world.is_told(end_ms):
            return world
    raise AssertionError(f"not all is told: {world.done}")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_span_counts_once_and_every_tick_is_told_alike(seed: int) -> None:
    world = run(seed)
    end_ms = world.last_tick_ms()
    for series, values in world.told.items():
        for at, alike in values.items():
            assert len(alike) == 1, f"{series} at {at - START_MS}: {alike}"
    for (name, labels), gains in world.gains.items():
        told = world.shown(name, KEYS[name])[labels]
        ticks = range(min(gains), end_ms + 1, BASE_MS)
        truth = dict(zip(ticks, accumulate(gains.get(at, 0.0) for at in ticks), strict=True))
        found = {at: value for at, value in told.items() if at in truth}
        assert found == truth, (name, labels, world.done)
        before = {at: value for at, value in told.items() if at < min(gains)}
        assert set(before.values()) <= {0.0}
