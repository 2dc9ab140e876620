"""The graphs that pages of workflows and tasks show, as their reader may see them (W7, P2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from projects.console.drawing.graph import MOST_NODES, Line, Node, draw_graph
from projects.console.rights import sight_of
from projects.ground import clock
from projects.ground.showing import tone_of
from projects.ground.words import listed
from workflows.choices import TaskStatus, cycle_label, scope_label
from workflows.models import Dependency, Task
from workflows.network.graph_loading import Direction, load_graph
from workflows.schedules.matching import Offset, Scope
from workflows.status import status_at


def workflow_graph(request: HttpRequest, tasks: Collection[Task]) -> SafeString:
    """Draw a workflow's tasks with their direct neighbours in other workflows.

    Dependencies of drafts that were never submitted are dashed.
    """
    own = {task.pk: task for task in tasks}
    if len(own) > MOST_NODES:
        return SafeString("")
    links = list(
        Dependency.objects.filter(Q(upstream__in=own) | Q(downstream__in=own)).order_by("pk")
    )
    ids = {end for link in links for end in (link.upstream_id, link.downstream_id)}
    others = _load(ids - own.keys())
    lines = [_line(link) for link in links]
    lines += _drafted(tasks, {(line.source, line.target) for line in lines})
    return draw_graph(_nodes(request, [*own.values(), *others], own.keys()), lines)


def task_graph(request: HttpRequest, task: Task, *, levels: int = 2) -> SafeString:
    """Draw a task with what it waits for and what waits for it, `levels` steps far."""
    loaded = load_graph([task.pk], Direction.BOTH, max_level=levels)
    if len(loaded.project_of) > MOST_NODES:
        loaded = load_graph([task.pk], Direction.BOTH, max_level=1)
    if len(loaded.project_of) > MOST_NODES:
        return SafeString("")
    # What closed boxes have among each other is not shown, nor what is reached through them alone.
    eyes = sight_of(request)
    links = [
        link
        for link in loaded.links
        if any(eyes.sees(loaded.project_of[end]) for end in (link.upstream, link.downstream))
    ]
    lines = [
        Line(
            link.upstream,
            link.downstream,
            link.offset is not Offset.SAME,
            _hint(link.offset, link.scope),
        )
        for link in links
    ]
    shown = {task.pk, *(end for link in links for end in (link.upstream, link.downstream))}
    rows = _load(shown)
    return draw_graph(_nodes(request, rows, loaded.project_of, focus=task.pk), lines)


def _load(ids: Iterable[int]) -> list[Task]:
    rows = Task.objects.filter(pk__in=list(ids)).select_related("workflow")
    return list(rows.defer("draft").order_by("pk"))


def _nodes(
    request: HttpRequest, tasks: Collection[Task], own: Collection[int], *, focus: int | None = None
) -> list[Node]:
    now = clock.now()
    eyes = sight_of(request)
    nodes = []
    for task in tasks:
        title = eyes.name("task", task.pk, task.project_id, task.name)
        if not eyes.sees(task.project_id):
            nodes.append(Node(task.pk, title, _("another project")))
            continue
        status = status_at(task, now)
        kind = f"{task.type} · {cycle_label(task.cycle)}" if task.cycle else task.type
        nodes.append(
            Node(
                id=task.pk,
                title=title,
                subtitle=kind if task.pk in own else task.workflow.name,
                tone=tone_of(status.value),
                href=reverse("admin:workflows_task_change", args=[task.pk]),
                hint=f"{task.workflow.name}/{task.name} · {kind} · {status.label}",
                is_focus=task.pk == focus,
            )
        )
    return nodes


def _line(link: Dependency) -> Line:
    offset, scope = Offset(link.offset), Scope(link.scope)
    return Line(
        link.upstream_id, link.downstream_id, offset is not Offset.SAME, _hint(offset, scope)
    )


def _hint(offset: Offset, scope: Scope) -> str:
    words = []
    if offset is not Offset.SAME:
        words.append(_("previous cycle"))
    if scope is not Scope.DEFAULT:
        words.append(scope_label(scope))
    return listed(words)


def _drafted(tasks: Collection[Task], known: set[tuple[int, int]]) -> list[Line]:
    """The dependencies within the workflow that only drafts name."""
    by_name = {task.name: task.pk for task in tasks}
    unsubmitted = {task.pk: task for task in tasks if task.status == TaskStatus.DRAFT}
    named = Task.objects.filter(pk__in=unsubmitted).values_list("pk", "draft__depends_on")
    lines = []
    for pk, depends_on in named.order_by("pk"):
        task = unsubmitted[pk]
        for item in depends_on or ():
            name = item["task"] if isinstance(item, dict) else item
            upstream = by_name.get(name.removeprefix(f"{task.workflow.name}/"))
            if upstream is not None and (upstream, task.pk) not in known:
                lines.append(Line(upstream, task.pk, True, _("in the draft")))
    return lines
