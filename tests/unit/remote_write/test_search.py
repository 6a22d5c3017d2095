import pytest

from consumer.remote_write.request import EncodedRequest
from consumer.remote_write.search import LEVELS, Search


def part(samples: int) -> EncodedRequest:
    return EncodedRequest(b"", samples, samples)


def halves(of: EncodedRequest) -> list[EncodedRequest]:
    return [part(of.samples // 2), part(of.samples - of.samples // 2)]


def begun(samples: int, levels: int = LEVELS) -> Search:
    search = Search(levels)
    search.cut(halves(part(samples)))
    return search


def test_all_parts_of_a_level_come_before_those_of_the_next() -> None:
    search = begun(800)
    sizes = []
    for _ in range(6):
        refused = search.parts.popleft()
        sizes.append(refused.samples)
        search.cut(halves(refused))
    assert sizes == [400, 400, 200, 200, 200, 200]


def test_once_a_part_was_taken_the_next_that_is_refused_is_cut_at_once() -> None:
    search = begun(800)
    search.parts.popleft()
    search.finish(taken=True)
    search.cut(halves(search.parts.popleft()))
    search.cut(halves(search.parts.popleft()))
    assert [each.samples for each in search.parts] == [100, 100, 200]


@pytest.mark.parametrize(("levels", "most"), [(1, 3), (2, 7), (4, 31)])
def test_it_is_hopeless_when_no_part_of_the_last_level_was_taken(levels: int, most: int) -> None:
    search = begun(800, levels)
    refused = 1
    while not search.is_hopeless:
        search.cut(halves(search.parts.popleft()))
        refused += 1
    assert refused == most


def test_it_is_never_hopeless_after_a_part_was_taken() -> None:
    search = begun(8_000)
    search.parts.popleft()
    search.finish(taken=True)
    while search.parts:
        refused = search.parts.popleft()
        if refused.samples > 1:
            search.cut(halves(refused))
        else:
            search.finish(taken=False)
        assert not search.is_hopeless


def test_what_is_sent_in_place_of_a_part_counts_as_no_refusal() -> None:
    search = begun(8_000)
    for _ in range(40):
        search.replace(halves(search.parts.popleft()))
    assert not search.is_hopeless
