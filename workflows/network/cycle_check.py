"""Which cycles of dependencies block instances for good, and which only reach back in time (T12).

Pure. A cycle of same-cycle dependencies blocks: each instance waits for another of the same day.
A cycle that goes through the past, such as "today's load waits for yesterday's report, today's
report for today's load", does not, as long as every round of it ends on an earlier day. That is
certain when

- every task of the cycle has one time zone, so that they share their days,
- no dependency of it looks ahead, as `whole_period` of a week, month or year does, and
- at least one of them looks back: `previous_day`, or the previous cycle of a task that fires at
  most once a day. Tasks of one and the same schedule go step by step, so that among them every
  previous cycle looks back, unless one of them waits for a `whole_period`.

Whatever is not certain is refused. `docs/decisions/dependency-cycles.md` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import rustworkx

from workflows.network.graph import Graph
from workflows.network.links import Link
from workflows.schedules import Cycle, Schedule
from workflows.schedules.matching import Offset, Scope

_LONG_PERIODS = frozenset({Cycle.WEEK, Cycle.MONTH, Cycle.YEAR})


def blocking_cycle(
    links: Iterable[Link], load_schedules: Callable[[set[int]], Mapping[int, Schedule]]
) -> list[int] | None:
    """Return a cycle that blocks, as task ids from upstream to downstream with the first one
    repeated at the end, or None.

    `load_schedules` is asked once, and only when there is a cycle at all, for the tasks on one.
    """
    links = list(links)
    rounds = _rounds(links)
    if not rounds:
        return None
    round_of = {task: number for number, tasks in enumerate(rounds) for task in tasks}
    inside: list[list[Link]] = [[] for _ in rounds]
    for link in links:
        number = round_of.get(link.upstream)
        if number is not None and number == round_of.get(link.downstream):
            inside[number].append(link)
    schedules = load_schedules(set(round_of))
    for tasks, own in zip(rounds, inside, strict=True):
        counted = _links_that_count(tasks, own, schedules)
        edges = [(link.upstream, link.downstream) for link in counted]
        cycle = Graph.from_edges(tasks, edges).find_cycle()
        if cycle is not None:
            return cycle
    return None


def _rounds(links: Collection[Link]) -> list[list[int]]:
    """The sets of tasks in which each reaches each other (of two tasks or more), in order."""
    graph: rustworkx.PyDiGraph[int, None] = rustworkx.PyDiGraph()
    ids = sorted({task for link in links for task in (link.upstream, link.downstream)})
    index_of = dict(zip(ids, graph.add_nodes_from(ids), strict=True))
    graph.add_edges_from_no_data(
        [(index_of[link.upstream], index_of[link.downstream]) for link in links]
    )
    components = rustworkx.strongly_connected_components(graph)
    return sorted(sorted(ids[index] for index in one) for one in components if len(one) > 1)


def _links_that_count(
    tasks: Collection[int], links: list[Link], schedules: Mapping[int, Schedule]
) -> list[Link]:
    """The links of a round that may not close a cycle among themselves."""
    if not schedules.keys() >= set(tasks):
        return links
    found = {schedules[task] for task in tasks}
    if len({schedule.time_zone for schedule in found}) > 1:
        return links
    if any(_looks_ahead(link, schedules[link.downstream]) for link in links):
        return links
    in_step = len(found) == 1 and not any(link.scope is Scope.WHOLE_PERIOD for link in links)
    return [
        link for link in links if not _looks_back(link, schedules[link.downstream], in_step=in_step)
    ]


def _looks_ahead(link: Link, downstream: Schedule) -> bool:
    return link.scope is Scope.WHOLE_PERIOD and downstream.effective_cycle in _LONG_PERIODS


def _looks_back(link: Link, downstream: Schedule, *, in_step: bool) -> bool:
    if link.scope is Scope.PREVIOUS_DAY:
        return True
    return link.offset is Offset.PREVIOUS and (in_step or not downstream.is_sub_day)
