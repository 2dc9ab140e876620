"""Loading the submitted graph around some tasks: two queries, however large it is (T12).

Rows of every project are followed: whoever shows a graph keeps what its reader may not see apart
by `LoadedGraph.outside`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import connection

from projects.ground.sql import column
from workflows.models import Dependency, Task
from workflows.network.graph import Graph
from workflows.network.links import Link
from workflows.schedules.matching import Offset, Scope


class Direction(StrEnum):
    """Which way to walk from the first tasks."""

    UPSTREAM = "upstream"  # what they wait for, and what that waits for
    DOWNSTREAM = "downstream"  # what waits for them, and what waits for that
    BOTH = "both"  # ancestors and descendants; not the descendants' other ancestors


@dataclass(frozen=True, slots=True)
class LoadedGraph:
    """Tasks, the project of each, and the dependencies among them."""

    project_of: Mapping[int, int]
    links: tuple[Link, ...]

    @property
    def graph(self) -> Graph:
        """The graph of task ids, for its algorithms."""
        edges = {(link.upstream, link.downstream) for link in self.links}
        return Graph.from_edges(sorted(self.project_of), sorted(edges))

    def outside(self, project_ids: Collection[int]) -> set[int]:
        """Return the tasks that belong to none of the projects."""
        return {task for task, project in self.project_of.items() if project not in project_ids}


def load_graph(
    task_ids: Iterable[int], direction: Direction, *, max_level: int | None = None
) -> LoadedGraph:
    """Load the tasks reached from `task_ids`, themselves included, and the links among them.

    `max_level` ends the walk after that many steps (1 = direct neighbours). Ids that do not exist
    are left out.
    """
    starts = sorted(set(task_ids))
    reached: set[int] = set(starts)
    if direction in (Direction.UPSTREAM, Direction.BOTH):
        reached |= _walk(starts, "downstream_id", "upstream_id", max_level)
    if direction in (Direction.DOWNSTREAM, Direction.BOTH):
        reached |= _walk(starts, "upstream_id", "downstream_id", max_level)
    project_of = dict(Task.objects.filter(pk__in=reached).values_list("pk", "project_id"))
    return LoadedGraph(project_of, links_among(project_of))


def links_among(task_ids: Iterable[int]) -> tuple[Link, ...]:
    """Return the links with both ends among the tasks; one query."""
    ids = list(task_ids)
    # By the columns: ordering by the relations would join the tasks, and sort by their names.
    rows = Dependency.objects.filter(upstream_id__in=ids, downstream_id__in=ids).order_by(
        "downstream_id", "upstream_id", "offset"
    )
    return tuple(
        Link(upstream, downstream, Offset(offset), Scope(scope))
        for upstream, downstream, offset, scope in rows.values_list(
            "upstream_id", "downstream_id", "offset", "scope"
        )
    )


def _walk(starts: list[int], near: str, far: str, max_level: int | None) -> set[int]:
    # The level is a column only where it limits the walk: without it each task is visited once.
    if max_level is None:
        query = f"""
            WITH RECURSIVE reached (id) AS (
                SELECT unnest(%s::bigint[])
                UNION
                SELECT link.{far} FROM reached
                JOIN workflows_dependency AS link ON link.{near} = reached.id
            )
            SELECT id FROM reached
        """
        values: list[Any] = [starts]
    else:
        query = f"""
            WITH RECURSIVE reached (id, level) AS (
                SELECT unnest(%s::bigint[]), 0
                UNION
                SELECT link.{far}, reached.level + 1 FROM reached
                JOIN workflows_dependency AS link ON link.{near} = reached.id
                WHERE reached.level < %s
            )
            SELECT DISTINCT id FROM reached
        """
        values = [starts, max_level]
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return set(column(cursor))
