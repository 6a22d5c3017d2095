from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.page.layers import Layout, layered

Edges = Mapping[tuple[str, str], float]
NAMES = "abcdefgh"


def layout(*edges: str) -> Layout[str]:
    """Edges are written as "ab": a calls b."""
    weights = {(edge[0], edge[1]): 1.0 for edge in edges}
    return layered(weights, sorted({name for edge in edges for name in edge}))


def layers(found: Layout[str]) -> dict[str, int]:
    return {node: layer for node, (layer, _) in found.places.items()}


def test_callers_stand_before_those_they_call() -> None:
    assert layers(layout("ab", "bc", "bd")) == {"a": 0, "b": 1, "c": 2, "d": 2}


def test_the_longest_way_decides() -> None:
    assert layers(layout("ab", "bc", "ac")) == {"a": 0, "b": 1, "c": 2}


def test_a_caller_nobody_calls_stands_just_before_its_first_server() -> None:
    assert layers(layout("ab", "bc", "xc"))["x"] == 1


def test_a_cycle_is_drawn_with_one_edge_going_back() -> None:
    found = layout("ab", "bc", "ca")
    back = [edge for edge, way in found.paths.items() if way[0][0] > way[-1][0]]
    assert len(back) == 1


def test_a_call_to_oneself_has_no_way() -> None:
    assert layout("ab", "bb").paths["b", "b"] == []


def test_a_long_edge_passes_every_layer_between() -> None:
    way = layout("ab", "bc", "cd", "ad").paths["a", "d"]
    assert [layer for layer, _ in way] == [0, 1, 2, 3]


def test_edges_that_need_not_cross_do_not() -> None:
    found = layout("ax", "bx", "ay", "cz", "dz", "cw")
    order = sorted(found.places, key=lambda node: found.places[node])
    firsts = [node for node in order if found.places[node][0] == 0]
    assert {frozenset(firsts[:2]), frozenset(firsts[2:])} == {frozenset("ab"), frozenset("cd")}


def test_nothing_is_a_layout_of_nothing() -> None:
    assert layered({}, []) == Layout({}, {}, (1, 1.0))


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Edges, Sequence[str]]:
    pair = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))
    edges = draw(st.dictionaries(pair, st.floats(0.1, 10.0), max_size=20))
    return edges, sorted({name for edge in edges for name in edge})


@given(graphs())
def test_every_graph_has_room_for_each_node_and_a_way_for_each_edge(
    graph: tuple[Edges, Sequence[str]],
) -> None:
    edges, nodes = graph
    found = layered(edges, nodes)
    assert set(found.places) == set(nodes)
    by_layer: dict[int, list[float]] = {}
    for layer, place in found.places.values():
        by_layer.setdefault(layer, []).append(place)
    for places in by_layer.values():
        assert all(after - before > 0.99 for before, after in pairwise(sorted(places)))
    for (client, server), way in found.paths.items():
        if client != server:
            assert (way[0], way[-1]) == (found.places[client], found.places[server])
            assert all(abs(after[0] - before[0]) == 1 for before, after in pairwise(way))
    depth, rooms = found.size
    assert all(0 <= layer < depth for layer, _ in found.places.values())
    assert all(-1e-9 <= place <= rooms for _, place in found.places.values())


@given(graphs(), st.data())
def test_the_order_in_which_edges_come_does_not_matter(
    graph: tuple[Edges, Sequence[str]], data: st.DataObject
) -> None:
    edges, nodes = graph
    shuffled = data.draw(st.permutations(sorted(edges)))
    assert layered(dict.fromkeys(shuffled, 1.0), nodes) == layered(
        dict.fromkeys(sorted(edges), 1.0), nodes
    )


@pytest.mark.parametrize("size", [150])
def test_a_wide_graph_takes_no_time_worth_telling(size: int) -> None:
    edges = {(f"a{n % 12:02}", f"b{n:03}"): 1.0 for n in range(size)}
    nodes = sorted({name for edge in edges for name in edge})
    assert layered(edges, nodes).size[1] == size
