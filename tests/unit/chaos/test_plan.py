from collections import Counter

from tests.chaos.plan import QUIET_S, Deed, Violence, plan


def test_a_seed_gives_the_same_steps_and_another_seed_others() -> None:
    assert plan(Violence(9, 60.0, 1)) == plan(Violence(9, 60.0, 1))
    assert plan(Violence(9, 60.0, 1)) != plan(Violence(9, 60.0, 2))


def test_every_kind_of_violence_is_done_and_kills_as_often_as_asked() -> None:
    done = Counter(step.deed for step in plan(Violence(9, 60.0, 1)))
    assert done[Deed.KILL] == 9
    assert done.keys() == set(Deed) - {Deed.KILL_UNHEARD}, "this one has to be asked for"


def test_many_kills_bring_more_of_the_rest() -> None:
    done = Counter(step.deed for step in plan(Violence(100, 600.0, 1)))
    assert (done[Deed.KILL], done[Deed.BROKER], done[Deed.SINK]) == (100, 6, 12)


def test_steps_are_in_order_and_leave_the_ends_of_the_load_alone() -> None:
    times = [step.at_s for step in plan(Violence(30, 120.0, 3))]
    assert times == sorted(times)
    assert times[0] >= QUIET_S
    assert times[-1] <= 120.0 - QUIET_S


def test_workers_go_from_three_to_four_to_two() -> None:
    steps = plan(Violence(5, 60.0, 1))
    assert [step.number for step in steps if step.deed is Deed.SCALE] == [3, 4, 2]


def test_without_violence_nothing_happens() -> None:
    assert plan(Violence(0, 60.0, 1, others=())) == []
