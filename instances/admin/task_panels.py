"""What instances add to the pages of tasks and workflows: history, curve (T8), their lists."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from instances.admin.choices import plan_shown
from instances.admin.order import PROGRESS_ORDER
from instances.filters import InstanceFilter
from instances.models import Batch, Instance
from projects.access import scope
from projects.console.drawing.curve import Bar, draw_curve
from projects.console.extensions import Fact, Panel, add_fact, add_panel
from projects.console.filtering import filter_rows
from projects.console.zone import use_zone_of
from projects.ground import clock
from projects.ground.counterparts import counterpart_id
from projects.ground.showing import data_time_text, link
from projects.ground.words import gettext_lazy
from workflows.models import Task, Workflow

HISTORY_ROWS = 50
MOST_COUNTED = 20_000
CURVE_LENGTHS = (25, 50, 100)


def history(request: HttpRequest, pk: int) -> HttpResponse:
    """The task's instances, newest planned first, with the numbers per state."""
    task = _task(request, pk)
    rows = filter_rows(InstanceFilter, request, Instance.objects.filter(task=task), request.GET)
    states = list(rows.order_by().values_list("state", flat=True)[: MOST_COUNTED + 1])
    counts = Counter(states)
    listed = (
        rows.select_related("version", "batch", "resource_group", "settled_by")
        .defer("version__definition")
        .annotate(plan_id=counterpart_id(Batch, "batch"))
        .order_by("-scheduled_at", "-id")[:HISTORY_ROWS]
    )
    context = {
        "task": task,
        "rows": [(row, plan_shown(request, row)) for row in listed],
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
        # What somebody settled by hand says nothing about how long the task takes.
        Instance.objects.filter(
            task=task, started_at__isnull=False, ended_at__isnull=False, settled_at__isnull=True
        )
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
        "median": median(lengths) if lengths else None,
        "longest": lengths[-1] if lengths else None,
        "mean": sum(lengths) / len(lengths) if lengths else None,
    }
    return render(request, "instances/curve.html", context)


def _bar(row: Instance) -> Bar:
    assert row.started_at is not None and row.ended_at is not None
    return Bar(
        label=data_time_text(row.data_date, row.local_time),
        scheduled_at=row.scheduled_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        state=row.state,
        spelled=row.get_state_display().lower(),
        href=reverse("admin:instances_instance_change", args=[row.pk]),
        is_periodic=row.batch_id is None,
    )


def _task(request: HttpRequest, pk: int) -> Task:
    task = scope(Task.objects.all(), request.user).filter(pk=pk).first()
    if task is None:
        raise Http404(_("There is no task {id} in your projects.").format(id=pk))
    use_zone_of([task.project_id])
    return task


def urls(wrap: Any) -> list[URLPattern]:
    """Return the addresses of the panels, to stand below those of instances."""
    return [
        path("of-task/<int:pk>/history/", wrap(history), name="instances_task_history"),
        path("of-task/<int:pk>/curve/", wrap(curve), name="instances_task_curve"),
    ]


def _lists(workflow_id: int) -> SafeString:
    url = f"{reverse('admin:instances_instance_changelist')}?workflow={workflow_id}"
    return format_html("{} · {}", link(url, _("all")), link(f"{url}&state=FAILED", _("failed")))


add_fact(Workflow, Fact(gettext_lazy("Instances"), _lists))
add_panel(Task, Panel("history", gettext_lazy("Execution history"), "admin:instances_task_history"))
add_panel(Task, Panel("curve", gettext_lazy("Execution curve"), "admin:instances_task_curve"))
