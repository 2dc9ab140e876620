"""What an instance waits for and what waits for it, as a reader may see it (I11, P2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Q, QuerySet

from instances.models import Edge, Instance
from projects.access import Actor, projects_with
from projects.ground.closed_box import Sight


def upstream_edges(instance: Instance) -> QuerySet[Edge]:
    """Return the edges to what the instance waits for: its own, each of them."""
    rows = Edge.objects.filter(instance=instance)
    return rows.select_related("upstream", "upstream_task__workflow").defer("upstream_task__draft")


def downstream_edges(instance: Instance, actor: Actor) -> QuerySet[Edge]:
    """Return the edges of what waits for the instance.

    Of a task that the actor does not see there is one: how many of its instances wait, and so how
    often it runs, is its own.
    """
    rows = Edge.objects.filter(upstream=instance)
    seen = Q(instance__project__in=projects_with(actor))
    closed = rows.exclude(seen).order_by("instance__task_id", "id").distinct("instance__task_id")
    shown = rows.filter(seen | Q(pk__in=closed.values("pk")))
    return shown.select_related("instance__task__workflow").defer("instance__task__draft")


def neighbours(edges: Iterable[Edge], *, upstream: bool, sight: Sight) -> list[dict[str, Any]]:
    """Return the other end of each edge, with what became of the edge.

    Keys: task (its id), visible, name, workflow, project, scheduled_at, instance, state; id,
    within_batch, removed and removed_because of the edge. An edge is its downstream end's: whether
    a closed box has removed it is not known (None). Why the engine has tells of the other end.
    """
    return [_neighbour(edge, upstream=upstream, sight=sight) for edge in edges]


def _neighbour(edge: Edge, *, upstream: bool, sight: Sight) -> dict[str, Any]:
    if upstream:
        task, instance, at = edge.upstream_task, edge.upstream, edge.upstream_scheduled_at
    else:
        task, instance, at = edge.instance.task, edge.instance, edge.instance.scheduled_at
    shown = sight.facts(
        task.project_id,
        name=task.name,
        workflow=task.workflow.name,
        project=task.project_id,
        scheduled_at=at,
        instance=instance.pk if instance else None,
        state=instance.state if instance else "",
    )
    is_own = upstream or shown["visible"]
    return {
        "id": edge.pk,
        "task": task.pk,
        **shown,
        "within_batch": edge.within_batch,
        "removed": edge.removed_at is not None if is_own else None,
        "removed_because": edge.removed_because if shown["visible"] else "",
    }
