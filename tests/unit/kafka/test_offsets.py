from consumer.kafka.offsets import Offsets


def test_a_partition_stands_at_its_beginning_until_something_was_read() -> None:
    offsets = Offsets()
    assert offsets.position(0, 17) == 17
    offsets.advance(0, 20)
    assert offsets.position(0, 17) == 20


def test_what_a_tick_covers_does_not_move_with_what_is_read_later() -> None:
    offsets = Offsets()
    offsets.advance(0, 5)
    covered = offsets.working()
    offsets.advance(0, 9)
    assert covered == {0: 5}


def test_only_what_is_new_to_the_group_is_to_be_committed() -> None:
    offsets = Offsets()
    offsets.advance(0, 5)
    offsets.advance(1, 3)
    assert offsets.uncommitted({0: 5}) == {0: 5}
    offsets.commit({0: 5})
    assert offsets.committed(0) == 5
    assert offsets.committed(1) is None
    assert offsets.uncommitted({0: 5, 1: 3}) == {1: 3}
    assert offsets.uncommitted({0: 4}) == {}


def test_nothing_is_committed_for_a_partition_that_is_not_ours() -> None:
    offsets = Offsets()
    offsets.advance(0, 5)
    offsets.forget([0])
    assert offsets.uncommitted({0: 5, 1: 1}) == {}
    assert offsets.working() == {}


def test_a_partition_that_returns_may_be_committed_below_where_it_once_was() -> None:
    offsets = Offsets()
    offsets.advance(0, 50)
    offsets.commit({0: 50})
    offsets.forget([0])
    offsets.advance(0, 31)
    assert offsets.uncommitted({0: 31}) == {0: 31}


def test_what_is_committed_again_is_never_before_what_the_group_knows() -> None:
    offsets = Offsets()
    for partition in (0, 1):
        offsets.advance(partition, 9)
    offsets.commit({0: 5, 1: 5})
    assert offsets.uncommitted({0: 5, 1: 4}, again=True) == {0: 5}
    assert offsets.uncommitted({0: 5, 1: 4}) == {}
