"""The edges of an instance as its page shows them (I11)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from instances.models import Edge, Instance
from instances.reading.neighbours import downstream_edges, neighbours, upstream_edges
from instances.states import State
from projects.console.rights import sight_of
from projects.ground.showing import data_time_text
from projects.ground.words import thing
from workflows.schedules import data_time

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
    scheduled_at: datetime | None
    data_time: str
    hidden: bool
    removed: bool
    why_removed: str  # empty when an operator removed it


def upstream_lines(request: HttpRequest, instance: Instance) -> tuple[list[EdgeLine], bool]:
    """Return what the instance waits for, and whether there is more of it."""
    rows = (
        upstream_edges(instance)
        .select_related("upstream__version", "upstream_task__version")
        .defer(
            "upstream_task__draft",
            "upstream__version__definition",
            "upstream_task__version__definition",
        )
        .order_by("upstream_task_id", "upstream_scheduled_at", "pk")
    )
    return _lines(request, list(rows[: MOST_EDGES + 1]), upstream=True)


def downstream_lines(request: HttpRequest, instance: Instance) -> tuple[list[EdgeLine], bool]:
    """Return what waits for the instance, and whether there is more of it."""
    rows = (
        downstream_edges(instance, request.user)
        .select_related("instance__version")
        .defer("instance__task__draft", "instance__version__definition")
        .order_by("instance__task_id", "instance__scheduled_at", "pk")
    )
    return _lines(request, list(rows[: MOST_EDGES + 1]), upstream=False)


def _lines(
    request: HttpRequest, edges: list[Edge], *, upstream: bool
) -> tuple[list[EdgeLine], bool]:
    listed = edges[:MOST_EDGES]
    found = neighbours(listed, upstream=upstream, sight=sight_of(request))
    lines = [
        _line(edge, shown, _data_time(edge, upstream=upstream))
        for edge, shown in zip(listed, found, strict=True)
    ]
    return lines, len(edges) > MOST_EDGES


def _line(edge: Edge, shown: dict[str, Any], data_time: str) -> EdgeLine:
    state = State(shown["state"]) if shown["state"] else None
    name = f"{shown['workflow']}/{shown['name']}"
    closed = f"{thing('task')} {shown['task']}"
    return EdgeLine(
        edge_id=edge.pk,
        task_id=shown["task"],
        task=name if shown["visible"] else closed,
        instance_id=shown["instance"],
        state=state.value if state else "",
        label=str(state.label) if state else "",
        scheduled_at=shown["scheduled_at"],
        data_time=data_time if shown["visible"] else "",
        hidden=not shown["visible"],
        removed=bool(shown["removed"]),
        why_removed=edge.get_removed_because_display() if shown["removed_because"] else "",
    )


def _data_time(edge: Edge, *, upstream: bool) -> str:
    """Return the data time of a slot; of one that has no instance by the task's present zone."""
    instance = edge.upstream if upstream else edge.instance
    if instance is not None:
        return data_time_text(instance.data_date, instance.local_time)
    version = edge.upstream_task.version
    zone = version.time_zone if version is not None else "UTC"
    local = data_time(edge.upstream_scheduled_at, ZoneInfo(zone))
    return data_time_text(local.date(), local.time())
