"""Graphs: cycles, order, levels, reach."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.network.graph import CycleError, Graph

pytestmark = pytest.mark.feature("T12")

# a → b → d, a → c → d → e; f stands alone.
DIAMOND = Graph.from_edges(
    "abcdef", [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e"), ("a", "b")]
)
LONG = 100_000

edges_of_ten = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30)
acyclic_edges = edges_of_ten.map(
    lambda edges: [(min(edge), max(edge)) for edge in edges if edge[0] != edge[1]]
)


def reached(edges: list[tuple[int, int]], start: int) -> set[int]:
    """What is downstream of a node, the slow and plain way."""
    found: set[int] = set()
    while True:
        more = {target for source, target in edges if source in found | {start}} - found
        if not more:
            return found
        found |= more


def test_an_acyclic_graph_has_no_cycle() -> None:
    assert DIAMOND.find_cycle() is None


def test_a_cycle_is_told_as_the_path_that_closes_it() -> None:
    graph = Graph.from_edges([1, 2, 3, 4], [(1, 2), (2, 3), (3, 4), (4, 2)])
    assert graph.find_cycle() == [2, 3, 4, 2]


def test_a_cycle_that_no_root_reaches_is_found() -> None:
    graph = Graph.from_edges([1, 2, 8, 9], [(1, 2), (8, 9), (9, 8)])
    assert graph.find_cycle() == [8, 9, 8]


def test_a_node_that_waits_for_itself_is_a_cycle() -> None:
    assert Graph.from_edges([1, 2], [(1, 2), (2, 2)]).find_cycle() == [2, 2]


def test_a_chain_of_100_000_is_like_any_other_graph() -> None:
    chain = [(node, node + 1) for node in range(LONG - 1)]
    graph = Graph.from_edges(range(LONG), chain)
    assert graph.find_cycle() is None
    assert graph.topological_order() == list(range(LONG))
    assert graph.levels()[LONG - 1] == LONG - 1
    assert graph.descendants([0])[LONG - 1] == LONG - 1
    assert len(graph.between(1, [LONG - 2])) == LONG - 2
    closed = Graph.from_edges(range(LONG), [*chain, (LONG - 1, 0)])
    assert closed.find_cycle() == [*range(LONG), 0]


@given(edges=edges_of_ten)
def test_a_cycle_is_found_exactly_when_there_is_one(edges: list[tuple[int, int]]) -> None:
    path = Graph.from_edges(range(10), edges).find_cycle()
    if path is None:
        assert not any(node in reached(edges, node) for node in range(10))
    else:
        assert path[0] == path[-1]
        assert len(set(path)) == len(path) - 1
        assert all(step in edges for step in pairwise(path))


def test_the_order_follows_the_order_given_or_a_key() -> None:
    assert DIAMOND.topological_order() == ["a", "b", "c", "d", "e", "f"]
    backwards = DIAMOND.topological_order(key=lambda node: -ord(node))
    assert backwards == ["f", "a", "c", "b", "d", "e"]


def test_an_order_of_a_cyclic_graph_is_refused_with_the_path() -> None:
    graph = Graph.from_edges([1, 2], [(1, 2), (2, 1)])
    with pytest.raises(CycleError) as caught:
        graph.levels()
    assert caught.value.path == [1, 2, 1]
    assert "1 → 2 → 1" in str(caught.value)


@given(edges=acyclic_edges)
def test_an_order_has_every_node_after_its_upstreams(edges: list[tuple[int, int]]) -> None:
    graph = Graph.from_edges(reversed(range(10)), edges)
    order = graph.topological_order()
    assert sorted(order) == list(range(10))
    assert all(order.index(source) < order.index(target) for source, target in edges)
    levels = graph.levels()
    assert all(levels[source] < levels[target] for source, target in edges)
    assert {node for node, level in levels.items() if level == 0} == set(graph.roots())


def test_levels_are_the_longest_way_from_a_root() -> None:
    graph = Graph.from_edges("abcd", [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")])
    assert graph.levels() == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_descendants_have_the_level_of_the_shortest_way() -> None:
    graph = Graph.from_edges("abcd", [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")])
    assert graph.descendants(["a"]) == {"b": 1, "c": 1, "d": 2}
    assert graph.descendants(["a"], max_level=1) == {"b": 1, "c": 1}
    assert graph.descendants(["a"], max_level=0) == {}


def test_a_chosen_node_downstream_of_another_is_among_the_descendants() -> None:
    assert DIAMOND.descendants(["a", "b"]) == {"b": 1, "c": 1, "d": 1, "e": 2}
    assert DIAMOND.descendants(["e", "x"]) == {}


def test_ancestors_look_the_other_way() -> None:
    assert DIAMOND.ancestors(["d"]) == {"b": 1, "c": 1, "a": 2}


@given(edges=edges_of_ten, start=st.integers(0, 9))
def test_descendants_are_all_that_can_be_reached(edges: list[tuple[int, int]], start: int) -> None:
    assert set(Graph.from_edges(range(10), edges).descendants([start])) == reached(edges, start)


def test_between_has_every_path_and_its_ends() -> None:
    assert DIAMOND.between("a", ["d"]) == {"a", "b", "c", "d"}
    assert DIAMOND.between("b", ["d", "f"]) == {"b", "d"}
    assert DIAMOND.between("b", ["c"]) == set()
    assert DIAMOND.between("b", ["b"]) == {"b"}
    assert DIAMOND.between("x", ["b"]) == set()


def test_roots_and_leaves_come_in_the_order_given() -> None:
    assert DIAMOND.roots() == ["a", "f"]
    assert DIAMOND.leaves() == ["e", "f"]


def test_a_node_that_only_an_edge_names_belongs_to_the_graph() -> None:
    assert Graph.from_edges([1], [(1, 7)]).nodes == [1, 7]
