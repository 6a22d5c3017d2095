import numpy as np

from consumer.registry import Registry, RegistrySettings
from consumer.remote_write.series import Tick
from consumer.seam.joining import Joiner
from tests.support.fakes import samples_of
from tests.unit.registry.frames import Row, frame


def tick_of(registry: Registry, time_ms: int, *rows: Row) -> Tick:
    registry.fold([frame(list(rows))], time_ms - 1)
    return registry.collect(time_ms)


def shown(tick: Tick) -> dict[tuple[str, str, object], float]:
    return {
        (tenant, block.name, labels): samples[-1][1]
        for tenant, blocks in tick.tenants.items()
        for block in blocks
        for labels, samples in samples_of(block, tick.time_ms)
    }


def registries() -> tuple[Registry, Registry]:
    return Registry(RegistrySettings(), started_ms=0), Registry(RegistrySettings(), started_ms=0)


def test_ticks_of_one_time_become_one_with_the_series_of_all() -> None:
    one, two = registries()
    ticks = tick_of(one, 10, Row("north", "a")), tick_of(two, 10, Row("north", "b"))
    (joined,) = Joiner().join({0: [ticks[0]], 1: [ticks[1]]})
    assert joined.time_ms == 10
    assert shown(joined) == shown(ticks[0]) | shown(ticks[1])


def test_ticks_of_different_times_stay_apart_and_in_order() -> None:
    one, two = registries()
    late, early = tick_of(one, 20, Row("north", "a")), tick_of(two, 10, Row("north", "b"))
    assert [tick.time_ms for tick in Joiner().join({0: [late], 1: [early]})] == [10, 20]


def test_all_blocks_share_one_dictionary_that_only_grows() -> None:
    joiner, (one, two) = Joiner(), registries()
    strings = []
    for time_ms in (10, 20):
        ticks = {
            number: [tick_of(each, time_ms, Row("north", f"{number}/{time_ms}"), Row("n", "x"))]
            for number, each in enumerate((one, two))
        }
        (joined,) = joiner.join(ticks)
        strings += [block.strings for blocks in joined.tenants.values() for block in blocks]
        both = shown(ticks[0][0]) | shown(ticks[1][0])
        assert {key: value for key, value in shown(joined).items() if key[0] == "north"} == {
            key: value for key, value in both.items() if key[0] == "north"
        }
    assert all(each is strings[0] for each in strings)


def test_a_shard_that_comes_back_brings_its_own_strings() -> None:
    joiner = Joiner()
    for service in ("a", "b"):
        registry = Registry(RegistrySettings(), started_ms=0)
        tick = tick_of(registry, 10, Row("north", service))
        (joined,) = joiner.join({0: [tick]})
        assert shown(joined) == shown(tick)
        joiner.forget(0)


def test_the_labels_of_a_shard_are_not_changed() -> None:
    registry, _ = registries()
    tick = tick_of(registry, 10, Row("north", "a"))
    before = [block.labels.copy() for block in tick.tenants["north"]]
    list(Joiner().join({3: [tick]}))
    after = [block.labels for block in tick.tenants["north"]]
    assert all(np.array_equal(one, two) for one, two in zip(before, after, strict=True))
