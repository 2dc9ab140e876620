"""The edges of an instance as a reader may see them: those of foreign projects by id alone (P2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from instances.models import Edge, Instance
from instances.states import State
from projects.access import projects_lacking
from projects.roles import Right

MOST_EDGES = 100


@dataclass(frozen=True, slots=True)
class EdgeLine:
    """An upstream or downstream instance as its reader may see it."""

    edge_id: int
    task_id: int
    task: str
    instance_id: int | None
    state: str
    label: str
    scheduled_at: datetime
    zone: str
    hidden: bool
    removed: bool


def upstream_lines(request: HttpRequest, instance: Instance) -> tuple[list[EdgeLine], bool]:
    """Return what the instance waits for, and whether there is more of it."""
    rows = list(
        Edge.objects.filter(instance=instance)
        .select_related("upstream", "upstream_task__workflow", "upstream_task__version")
        .defer("upstream_task__draft", "upstream_task__version__definition")
        .order_by("upstream_task", "upstream_scheduled_at")[: MOST_EDGES + 1]
    )
    closed = _closed(request, [edge.upstream_task.project_id for edge in rows])
    return [
        _line(
            edge,
            edge.upstream_task,
            edge.upstream,
            edge.upstream_scheduled_at,
            hidden=edge.upstream_task.project_id in closed,
        )
        for edge in rows[:MOST_EDGES]
    ], len(rows) > MOST_EDGES


def downstream_lines(request: HttpRequest, instance: Instance) -> tuple[list[EdgeLine], bool]:
    """Return what waits for the instance, and whether there is more of it."""
    rows = list(
        Edge.objects.filter(upstream=instance)
        .select_related("instance__task__workflow", "instance__version")
        .defer("instance__task__draft", "instance__version__definition")
        .order_by("instance__task", "instance__scheduled_at")[: MOST_EDGES + 1]
    )
    closed = _closed(request, [edge.instance.project_id for edge in rows])
    return [
        _line(
            edge,
            edge.instance.task,
            edge.instance,
            edge.instance.scheduled_at,
            hidden=edge.instance.project_id in closed,
        )
        for edge in rows[:MOST_EDGES]
    ], len(rows) > MOST_EDGES


def _line(
    edge: Edge, task: Any, instance: Instance | None, scheduled_at: datetime, *, hidden: bool
) -> EdgeLine:
    state = State(instance.state) if instance is not None else None
    if instance is not None:
        zone = instance.version.time_zone if "version" in instance._state.fields_cache else ""
    else:
        zone = ""
    zone = zone or (task.version.time_zone if "version" in task._state.fields_cache else "UTC")
    return EdgeLine(
        edge_id=edge.pk,
        task_id=task.pk,
        task=f"task {task.pk}" if hidden else f"{task.workflow.name}/{task.name}",
        instance_id=instance.pk if instance is not None else None,
        state="" if state is None or hidden else state.value,
        label="" if state is None or hidden else state.label,
        scheduled_at=scheduled_at,
        zone=zone,
        hidden=hidden,
        removed=edge.removed_at is not None,
    )


def _closed(request: HttpRequest, project_ids: Sequence[int]) -> set[int]:
    return projects_lacking(request.user, project_ids, Right.VIEW)
