"""What instances add to a task's page: execution history and execution curve (T8)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse

from instances.admin.curve import Bar, draw_curve
from instances.admin.order import PROGRESS_ORDER
from instances.filters import InstanceFilter
from instances.models import Instance
from projects import clock
from projects.access import scope
from projects.admin.extensions import Panel, add_panel
from projects.admin.filtering import filter_rows
from workflows.models import Task

HISTORY_ROWS = 50
MOST_COUNTED = 20_000
CURVE_LENGTHS = (25, 50, 100)


def history(request: HttpRequest, pk: int) -> HttpResponse:
    """The task's instances, newest planned first, with the numbers per state."""
    task = _task(request, pk)
    rows = filter_rows(InstanceFilter, request, Instance.objects.filter(task=task), request.GET)
    states = list(rows.order_by().values_list("state", flat=True)[: MOST_COUNTED + 1])
    counts = Counter(states)
    listed = rows.select_related("version", "batch__plan", "resource_group").defer(
        "version__definition", "batch__plan__spec"
    )
    context = {
        "task": task,
        "rows": listed.order_by("-scheduled_at", "-id")[:HISTORY_ROWS],
        "now": clock.now(),
        "total": len(states),
        "is_partial": len(states) > MOST_COUNTED,
        "counts": [(state, counts[state]) for state in PROGRESS_ORDER if counts[state]],
        "values": request.GET,
        "list_url": f"{reverse('admin:instances_instance_changelist')}?task={task.pk}",
        "url": reverse("admin:instances_task_history", args=[task.pk]),
    }
    return render(request, "instances/history.html", context)


def curve(request: HttpRequest, pk: int) -> HttpResponse:
    """Duration, start and end of the task's last finished runs."""
    task = _task(request, pk)
    written = request.GET.get("last", "")
    last = int(written) if written in {str(length) for length in CURVE_LENGTHS} else 50
    rows = list(
        Instance.objects.filter(task=task, started_at__isnull=False, ended_at__isnull=False)
        .select_related("version")
        .defer("version__definition")
        .order_by("-scheduled_at", "-id")[:last]
    )
    bars = [_bar(row) for row in reversed(rows)]
    lengths = sorted(bar.seconds for bar in bars)
    context = {
        "task": task,
        "drawing": draw_curve(bars) if bars else "",
        "number": len(bars),
        "has_delays": any(bar.is_periodic for bar in bars),
        "last": last,
        "lengths": CURVE_LENGTHS,
        "url": reverse("admin:instances_task_curve", args=[task.pk]),
        "median": lengths[len(lengths) // 2] if lengths else None,
        "longest": lengths[-1] if lengths else None,
        "mean": sum(lengths) / len(lengths) if lengths else None,
    }
    return render(request, "instances/curve.html", context)


def _bar(row: Instance) -> Bar:
    assert row.started_at is not None and row.ended_at is not None
    return Bar(
        label=f"{row.data_date:%Y-%m-%d} {row.local_time:%H:%M}",
        scheduled_at=row.scheduled_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        state=row.state,
        href=reverse("admin:instances_instance_change", args=[row.pk]),
        is_periodic=row.batch_id is None,
    )


def _task(request: HttpRequest, pk: int) -> Task:
    task = scope(Task.objects.all(), request.user).filter(pk=pk).first()
    if task is None:
        raise Http404(f"There is no task {pk} in your projects.")
    return task


def urls(wrap: Any) -> list[URLPattern]:
    """Return the addresses of the panels, to stand below those of instances."""
    return [
        path("of-task/<int:pk>/history/", wrap(history), name="instances_task_history"),
        path("of-task/<int:pk>/curve/", wrap(curve), name="instances_task_curve"),
    ]


add_panel(Task, Panel("history", "Execution history", "admin:instances_task_history"))
add_panel(Task, Panel("curve", "Execution curve", "admin:instances_task_curve"))
