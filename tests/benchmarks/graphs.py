"""The standard graphs: {task: the tasks that it waits for}, in topological order."""

from __future__ import annotations

Graph = dict[str, list[str]]


def layered(layers: int, width: int, fan_in: int = 3) -> Graph:
    """Task j of a layer waits for tasks j, j+1, … (modulo width) of the layer before."""
    graph: Graph = {}
    for layer in range(layers):
        for place in range(width):
            graph[f"l{layer:02d}_t{place:03d}"] = [
                f"l{layer - 1:02d}_t{(place + step) % width:03d}"
                for step in range(min(fan_in, width) if layer else 0)
            ]
    return graph


def chain(length: int) -> Graph:
    """Each task waits for the one before."""
    return {f"c{place:03d}": [f"c{place - 1:03d}"] if place else [] for place in range(length)}


def roots(graph: Graph) -> list[str]:
    """The tasks that wait for none."""
    return [name for name, upstreams in graph.items() if not upstreams]
