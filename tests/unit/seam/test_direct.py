import pytest

from consumer.remote_write.delivery import Delivery
from consumer.remote_write.series import Tick
from tests.support.fakes import Loop, incoming


def test_a_turn_begins_no_tick_when_earlier_ones_took_long(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop()
    loop.assign(0)
    submit = loop.sender.submit

    def slow(tick: Tick) -> Delivery:
        loop.clock.sleep_s(0.06)
        return submit(tick)

    monkeypatch.setattr(loop.sender, "submit", slow)
    loop.turn(incoming(0))
    loop.turn(after_ms=5_000)
    assert len(loop.sender.ticks) == 2
    loop.turn()
    loop.turn()
    assert len(loop.sender.ticks) >= 5
    times_ms = [tick.time_ms for tick in loop.sender.ticks]
    assert times_ms == sorted(times_ms)


def test_deltas_are_in_the_registry_before_their_tick_closes_and_told_with_it() -> None:
    loop = Loop()
    loop.assign(0)
    loop.turn(incoming(0))
    loop.turn(after_ms=1_000)
    before, active = loop.told(), loop.seam.registry.active_series().total()
    loop.turn(incoming(1), incoming(2, service="other"), after_ms=100)
    loop.turn()
    assert loop.seam.registry.active_series().total() == 2 * active
    assert loop.told() == before
    loop.turn(after_ms=900)
    values = {service: [v for _, v in of] for (_, service), of in loop.told().items()}
    assert values == {"shop": [0.0, 1.0, 2.0], "other": [0.0, 1.0]}


def test_a_zero_sample_is_no_older_than_the_process_within_its_first_tick() -> None:
    began_ms = 400
    loop = Loop(started_ms=began_ms)
    loop.assign(0)
    loop.turn(incoming(0, time_ms=200))
    loop.turn(after_ms=1_000 - began_ms)
    assert loop.told() == {("north", "shop"): [(began_ms, 0.0), (1_000, 1.0)]}


def test_a_tick_of_before_the_process_began_has_its_zero_sample_after_the_tick_before() -> None:
    loop = Loop(started_ms=5_000)
    loop.assign(0)
    loop.turn(incoming(0, time_ms=200))
    loop.turn()
    assert loop.told()["north", "shop"][:2] == [(1, 0.0), (1_000, 1.0)]


def test_the_last_tick_is_noted_and_zero_samples_of_the_next_life_stand_after_it() -> None:
    before = Loop()
    before.assign(0)
    before.turn(incoming(0))
    before.turn(after_ms=1_400)
    before.stop()
    last_ms = before.told()["north", "shop"][-1][0]
    assert 1_000 < last_ms < 2_000

    after = Loop(started_ms=9_000)
    after.assign(0, note=before.source.notes[0])
    after.turn(incoming(1, time_ms=1_500))
    after.turn()
    assert after.told()["north", "shop"][:2] == [(last_ms + 1, 0.0), (2_000, 1.0)]


def test_a_note_that_this_guarantee_did_not_write_says_nothing() -> None:
    loop = Loop()
    loop.assign(0, note='{"v":1,"from":3,"from_ms":4,"clock_ms":5,"steps":[]}')
    loop.turn(incoming(0))
    loop.turn(after_ms=1_000)
    assert loop.told() == {("north", "shop"): [(1, 0.0), (1_000, 1.0)]}


def test_the_last_tick_is_within_the_open_one_though_an_idle_lane_is_ahead() -> None:
    loop = Loop(started_ms=60_000)
    loop.assign(0, 1)
    loop.source.has_more.add(0)
    loop.turn(incoming(0), incoming(1, time_ms=200))
    loop.stop()
    told = loop.told()["north", "shop"]
    assert told[-1] == (999, 2.0)


def test_ticks_of_years_without_spans_cost_a_turn_and_are_counted_as_skipped() -> None:
    years_ms = 3 * 365 * 24 * 3_600_000
    loop = Loop(started_ms=years_ms)
    loop.assign(0)
    loop.turn(incoming(0, time_ms=200))
    loop.turn()
    first_ms, last_ms = (loop.told()["north", "shop"][place][0] for place in (1, -1))
    max_age_ms = 3_600_000
    assert years_ms - max_age_ms - 60_000 < first_ms <= last_ms <= years_ms
    assert loop.own("spanmill_ticks_skipped_total") == first_ms // 1_000 - 1


def test_at_the_end_the_ticks_of_years_that_no_sink_took_are_passed_over_at_once() -> None:
    years_ms = 3 * 365 * 24 * 3_600_000
    loop = Loop(started_ms=years_ms)
    loop.assign(0)
    loop.sender.blocked = "main"
    loop.turn(incoming(0, time_ms=200))
    loop.sender.blocked = None
    loop.stop()
    (_, zero), (last_ms, value) = loop.told()["north", "shop"]
    assert (zero, value) == (0.0, 1.0)
    assert years_ms - 60_000 < last_ms <= years_ms
    assert loop.own("spanmill_ticks_skipped_total") == 0
