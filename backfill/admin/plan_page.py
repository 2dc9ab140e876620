"""What a plan's page shows: progress, tasks, a picture of tasks and dates, configuration (B22)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from backfill.admin.heat_map import heat_map
from backfill.admin.lanes_picture import picture
from backfill.models import Plan, PlanTask, Skip
from backfill.options.entry import EntryKind
from backfill.reading.day_progress import DayState, days_progress
from backfill.reading.progress import Progress, progress_of, tasks_progress
from backfill.spec import options
from backfill.states import ACTIVE, PlanState, SkipReason
from instances.admin.order import PROGRESS_ORDER
from projects.admin.operations import spell_verb
from projects.console.rights import sight_of
from projects.ground.closed_box import Sight
from projects.ground.showing import state_bar, tone_of
from projects.ground.words import gettext_lazy, listed, thousands
from projects.models import OperationObject
from workflows.choices import cycle_label
from workflows.models import Folder, Task, Workflow

MOST_TASKS = 500
MOST_OPERATIONS = 20
QUICKLY_COUNTED = 10_000  # instances

_ENTRIES = {
    EntryKind.TASKS: gettext_lazy("tasks {names}"),
    EntryKind.WORKFLOWS: gettext_lazy("workflows {names}"),
    EntryKind.FOLDERS: gettext_lazy("folders {names}"),
}


def page_context(request: HttpRequest, plan: Plan) -> dict[str, Any]:
    """Return what the page shows."""
    record = (
        OperationObject.objects.filter(object_type="plan", object_id=plan.pk)
        .select_related("operation__actor")
        .order_by("-id")[:MOST_OPERATIONS]
    )
    return {
        **live_context(request, plan),
        "configuration": _configuration(request, plan),
        "operations": [(row, spell_verb(row.operation.verb)) for row in record],
    }


def live_context(request: HttpRequest, plan: Plan) -> dict[str, Any]:
    """Return what changes while the plan runs, in a number of queries that does not grow."""
    progress = progress_of([plan.pk])[plan.pk]
    lines = _task_lines(request, plan)
    seen = [line for line in lines if not line["hidden"]]
    skips = Skip.objects.filter(plan=plan).values("reason").annotate(number=Count("id"))
    skips = skips.order_by("reason")
    list_url = reverse("admin:instances_instance_changelist")
    return {
        "plan": plan,
        "progress": progress,
        "state": progress.state,
        "is_draft": plan.state == PlanState.DRAFT,
        # Counting a large one takes its time.
        "refresh_seconds": 2 if progress.total <= QUICKLY_COUNTED else 10,
        "is_live": progress.state in ACTIVE | {PlanState.PAUSED},
        "bar": state_bar(progress.by_state, progress.total, PROGRESS_ORDER),
        "list_url": f"{list_url}?plan={plan.pk}",
        "counts": [
            (state, progress.by_state[state])
            for state in PROGRESS_ORDER
            if progress.by_state.get(state)
        ],
        "lines": lines[:MOST_TASKS],
        "more_lines": max(0, len(lines) - MOST_TASKS),
        "skips": [(SkipReason(row["reason"]).label, row["number"]) for row in skips],
        "lanes": picture(days_progress(plan), f"{list_url}?plan={plan.pk}"),
        "day_states": [(one.label, tone_of(f"day:{one.value}")) for one in DayState],
        "heat_map": heat_map(plan, seen, f"{list_url}?plan={plan.pk}"),
    }


def _task_lines(request: HttpRequest, plan: Plan) -> list[dict[str, Any]]:
    if plan.batch_id is None:
        return []
    progress = tasks_progress(plan.pk)
    rows = list(
        PlanTask.objects.filter(plan=plan)
        .select_related("task__workflow", "version")
        .prefetch_related("task__owners")
        .defer("task__draft", "version__definition")
        .order_by("position", "pk")
    )
    eyes = sight_of(request)
    list_url = reverse("admin:instances_instance_changelist")
    return [_task_line(plan, row, progress[row.task_id], eyes, list_url) for row in rows]


def _task_line(
    plan: Plan, row: PlanTask, progress: Progress, eyes: Sight, list_url: str
) -> dict[str, Any]:
    task = row.task
    name = eyes.name("task", task.pk, task.project_id, f"{task.workflow.name}/{task.name}")
    if not eyes.sees(task.project_id):
        return {"task_id": task.pk, "hidden": True, "name": name}
    return {
        "task_id": task.pk,
        "hidden": False,
        "name": name,
        "owners": listed(sorted(str(user) for user in task.owners.all())),
        "cycle": cycle_label(row.version.cycle),
        "version": row.version.number,
        "number": progress.total,
        "cells": row.cell_count,
        "progress": progress,
        "bar": state_bar(progress.by_state, progress.total, PROGRESS_ORDER, small=True),
        "counts": [
            (state, progress.by_state[state])
            for state in PROGRESS_ORDER
            if progress.by_state.get(state)
        ],
        "url": f"{list_url}?{urlencode({'plan': plan.pk, 'task': task.pk})}",
    }


def _configuration(request: HttpRequest, plan: Plan) -> list[tuple[str, str]]:
    """The plan's spec in words."""
    spec = plan.spec
    if not spec:
        return []
    return [
        (
            field.title,
            _entry_words(request, spec["entry"], plan)
            if field.name == "entry"
            else field.words(spec.get(field.name)),
        )
        for field in options()
        if field.applies(spec)
    ]


def _entry_words(request: HttpRequest, entry: Mapping[str, Any], plan: Plan) -> str:
    kind = EntryKind(entry["kind"])
    if kind is EntryKind.PROJECT:
        return _("the whole project {name}").format(name=plan.project.name)
    ids = entry["ids"]
    models: dict[EntryKind, tuple[Any, str]] = {
        EntryKind.TASKS: (Task, "name"),
        EntryKind.WORKFLOWS: (Workflow, "name"),
        EntryKind.FOLDERS: (Folder, "path"),
    }
    model, column = models[kind]
    rows = model.objects.filter(pk__in=ids[:10], project=plan.project_id)
    found = list(rows.order_by("pk").values_list(column, flat=True))
    rest = len(ids) - len(found)
    names = listed(found)
    if rest and found:
        names = _("{names} and {count} more").format(names=names, count=thousands(rest))
    elif rest:
        names = thousands(rest)
    return _ENTRIES[kind].format(names=names)
