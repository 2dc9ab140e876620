"""Dependency graphs over plain ids: cycles, order, levels, reach (T12, B3).

Every walk is iterative, so that a chain of 100,000 tasks is like any other graph, and follows the
order in which nodes and edges were given, so that equal input gives equal answers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

Id = TypeVar("Id", bound=Hashable)


class CycleError(ValueError):
    """The graph has a cycle: `path` goes round it, its first node repeated at the end."""

    def __init__(self, path: list[Any]) -> None:
        self.path = path
        super().__init__("cycle: " + " → ".join(str(node) for node in path))


class Graph(Generic[Id]):
    """Nodes, and edges from upstream to downstream. Make one with `from_edges`."""

    def __init__(
        self, downstream: Mapping[Id, Mapping[Id, None]], upstream: Mapping[Id, Mapping[Id, None]]
    ) -> None:
        # Ordered sets: what stands directly after and before each node.
        self.downstream = downstream
        self.upstream = upstream

    @classmethod
    def from_edges(cls, nodes: Iterable[Id], edges: Iterable[tuple[Id, Id]]) -> Graph[Id]:
        """A graph of the nodes, in their order, and of (upstream, downstream) edges.

        An edge given twice counts once; a node that only an edge names comes after the others.
        """
        downstream: dict[Id, dict[Id, None]] = {node: {} for node in nodes}
        upstream: dict[Id, dict[Id, None]] = {node: {} for node in downstream}
        for source, target in edges:
            for node in (source, target):
                if node not in downstream:
                    downstream[node], upstream[node] = {}, {}
            downstream[source][target] = None
            upstream[target][source] = None
        return cls(downstream, upstream)

    @property
    def nodes(self) -> list[Id]:
        """The nodes, in the order given."""
        return list(self.downstream)

    def roots(self) -> list[Id]:
        """The nodes with nothing upstream."""
        return [node for node, before in self.upstream.items() if not before]

    def leaves(self) -> list[Id]:
        """The nodes with nothing downstream."""
        return [node for node, after in self.downstream.items() if not after]

    def find_cycle(self) -> list[Id] | None:
        """A path that closes a cycle, its first node repeated at the end, or None.

        A node with an edge to itself is such a cycle.
        """
        done: set[Id] = set()
        for start in self.downstream:
            if start in done:
                continue
            # The path from `start`, and for each node on it the downstream nodes still to see.
            path, on_path = [start], {start}
            unseen: list[Iterator[Id]] = [iter(self.downstream[start])]
            while path:
                for following in unseen[-1]:
                    if following in on_path:
                        return [*path[path.index(following) :], following]
                    if following not in done:
                        path.append(following)
                        on_path.add(following)
                        unseen.append(iter(self.downstream[following]))
                        break
                else:
                    unseen.pop()
                    done.add(path[-1])
                    on_path.remove(path.pop())
        return None

    def topological_order(self, key: Callable[[Id], Any] | None = None) -> list[Id]:
        """All nodes, each after everything upstream of it.

        Among the nodes that could come next, the least by `key` does, or the first given where
        there is no key or a tie. Raises CycleError.
        """
        given = {node: place for place, node in enumerate(self.downstream)}
        waiting = {node: len(before) for node, before in self.upstream.items()}
        ready = [
            (key(node) if key else 0, given[node], node) for node, n in waiting.items() if not n
        ]
        heapq.heapify(ready)
        order: list[Id] = []
        while ready:
            node = heapq.heappop(ready)[2]
            order.append(node)
            for following in self.downstream[node]:
                waiting[following] -= 1
                if not waiting[following]:
                    entry = (key(following) if key else 0, given[following], following)
                    heapq.heappush(ready, entry)
        if len(order) < len(given):
            raise CycleError(self.find_cycle() or [])
        return order

    def levels(self) -> dict[Id, int]:
        """For each node the length of the longest path to it from a root, 0 for a root itself.

        Raises CycleError.
        """
        level: dict[Id, int] = {}
        for node in self.topological_order():
            level[node] = max((level[before] + 1 for before in self.upstream[node]), default=0)
        return level

    def descendants(self, ids: Iterable[Id], max_level: int | None = None) -> dict[Id, int]:
        """Everything downstream of the given nodes, with its level: 1 = directly downstream of one
        of them, by the shortest way.

        A given node is in the answer only when it is downstream of another (or of itself). Ids
        that are not in the graph are passed over.
        """
        return _reach(self.downstream, ids, max_level)

    def ancestors(self, ids: Iterable[Id], max_level: int | None = None) -> dict[Id, int]:
        """As `descendants`, upstream."""
        return _reach(self.upstream, ids, max_level)

    def between(self, start: Id, ends: Iterable[Id]) -> set[Id]:
        """The nodes on any path from `start` to any of `ends`, both included; empty where no end
        can be reached. A start that is an end is a path of its own.
        """
        if start not in self.downstream:
            return set()
        after = {start, *self.descendants([start])}
        reached = [end for end in ends if end in after]
        return after & {*reached, *self.ancestors(reached)}


def _reach(
    neighbours: Mapping[Id, Mapping[Id, None]], ids: Iterable[Id], max_level: int | None
) -> dict[Id, int]:
    frontier = [node for node in dict.fromkeys(ids) if node in neighbours]
    expanded = set(frontier)
    found: dict[Id, int] = {}
    level = 0
    while frontier and (max_level is None or level < max_level):
        level += 1
        following = []
        for node in frontier:
            for neighbour in neighbours[node]:
                found.setdefault(neighbour, level)
                if neighbour not in expanded:
                    expanded.add(neighbour)
                    following.append(neighbour)
        frontier = following
    return found
