"""What a plan's page shows: progress, tasks, a matrix of tasks and dates, configuration (B22)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from backfill.admin.lanes_picture import picture
from backfill.admin.operating import offered
from backfill.admin.wizard import CHOICES
from backfill.day_progress import DayState, days_progress
from backfill.models import Plan, PlanTask, Skip
from backfill.progress import Progress, progress_of, tasks_progress
from backfill.spec import EntryKind, RunMode
from backfill.states import ALLOWING, PlanState, SkipReason
from instances.admin.order import PROGRESS_ORDER
from instances.models import Instance
from instances.states import State
from projects.access import projects_lacking
from projects.admin.operations import spell_verb
from projects.models import OperationObject
from projects.roles import Right
from projects.showing import state_bar, tone_of
from workflows.models import Folder, Task, Workflow

MOST_MATRIX_TASKS = 60
MOST_MATRIX_DAYS = 62
MOST_TASKS = 500
MOST_OPERATIONS = 20

_ENTRY_NOUNS = {
    EntryKind.TASKS: "tasks",
    EntryKind.WORKFLOWS: "workflows",
    EntryKind.FOLDERS: "folders",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """The instances of a task on a data date: parts of (tone, percent)."""

    parts: list[tuple[str, str]]
    title: str
    href: str


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
    skips = Skip.objects.filter(plan=plan).order_by().values("reason").annotate(number=Count("id"))
    list_url = reverse("admin:instances_instance_changelist")
    return {
        "plan": plan,
        "zone": plan.project.time_zone,
        "progress": progress,
        "state": progress.state,
        "is_draft": plan.state == PlanState.DRAFT,
        "offered": offered(progress.state),
        "is_live": progress.state in ALLOWING["terminate"],
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
        "matrix": _matrix(plan, lines),
    }


def _counts(progress: Progress) -> list[tuple[State, int]]:
    numbers = ((state, progress.by_state.get(state, 0)) for state in PROGRESS_ORDER)
    return [(state, number) for state, number in numbers if number]


def _task_lines(request: HttpRequest, plan: Plan) -> list[dict[str, Any]]:
    if plan.batch_id is None:
        return []
    progress = tasks_progress(plan.pk)
    rows = list(
        PlanTask.objects.filter(plan=plan)
        .select_related("task__workflow", "version")
        .prefetch_related("task__owners")
        .defer("task__draft", "version__definition")
        .order_by("position")
    )
    closed = projects_lacking(request.user, {row.task.project_id for row in rows}, Right.VIEW)
    list_url = reverse("admin:instances_instance_changelist")
    return [_task_line(plan, row, progress[row.task_id], closed, list_url) for row in rows]


def _task_line(
    plan: Plan, row: PlanTask, progress: Progress, closed: set[int], list_url: str
) -> dict[str, Any]:
    task = row.task
    hidden = task.project_id in closed
    return {
        "task_id": task.pk,
        "hidden": hidden,
        "name": f"task {task.pk}" if hidden else f"{task.workflow.name}/{task.name}",
        "owners": "" if hidden else ", ".join(str(user) for user in task.owners.all()),
        "cycle": row.version.cycle.replace("_", " "),
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


def _matrix(plan: Plan, lines: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The tasks over the data dates, each cell in the colours of its instances' states."""
    if plan.batch_id is None or not lines or len(lines) > MOST_MATRIX_TASKS:
        return None
    rows = (
        Instance.objects.filter(batch=plan.batch_id)
        .order_by()
        .values_list("task_id", "data_date", "state")
        .annotate(number=Count("id"))
    )
    first, last = plan.first_data_date, plan.last_data_date
    if first is None or last is None or (last - first).days > 3 * MOST_MATRIX_DAYS:
        return None
    counts: dict[tuple[int, date], dict[State, int]] = defaultdict(dict)
    for task_id, day, state, number in rows:
        counts[task_id, day][State(state)] = number
    days = sorted({day for _, day in counts})
    if not days or len(days) > MOST_MATRIX_DAYS:
        return None
    return {
        "days": days,
        "rows": [
            (line, [_cell(line, day, counts.get((line["task_id"], day))) for day in days])
            for line in lines
        ],
    }


def _cell(line: Mapping[str, Any], day: date, counts: Mapping[State, int] | None) -> Cell | None:
    if not counts:
        return None
    total = sum(counts.values())
    spelled = ", ".join(
        f"{counts[state]:,} {state.label.lower()}" for state in PROGRESS_ORDER if state in counts
    )
    return Cell(
        parts=[
            (tone_of(state.value), f"{100 * counts[state] / total:.1f}")
            for state in PROGRESS_ORDER
            if state in counts
        ],
        title=f"{line['name']} · {day}: {spelled}",
        href=f"{line['url']}&data_time_from={day}&data_time_until={day}",
    )


def _configuration(request: HttpRequest, plan: Plan) -> list[tuple[str, str]]:
    """The plan's spec in words."""
    spec = plan.spec
    if not spec:
        return []
    words = {
        name: next((label for value, label, _ in CHOICES[name] if value == spec.get(name)), "")
        for name in CHOICES
    }
    periods = ", ".join(
        one["first"] if one["first"] == one["last"] else f"{one['first']} – {one['last']}"
        for one in spec["periods"]
    )
    return [
        ("Beginning with", _entry_words(request, spec["entry"], plan)),
        ("Scope", words["scope"]),
        (
            "Downstream tasks",
            f"{len(spec['downstream_task_ids'])} chosen"
            if spec.get("downstream_task_ids")
            else "all of them",
        ),
        ("Dates are", words["range_by"].lower()),
        ("Periods", periods),
        ("Time of day", f"{spec['time_from']} – {spec['time_until']}"),
        ("Dependency check", words["dependency_check"]),
        ("Run mode", _run_mode_words(spec, words["run_mode"])),
        ("Order", words["order"]),
        ("Future instances run", words["future_runs"].lower()),
    ]


def _run_mode_words(spec: Mapping[str, Any], label: str) -> str:
    if spec["run_mode"] == RunMode.DAY_BY_DAY and spec["groups"]:
        return f"{label}, {spec['groups']} groups side by side"
    return label


def _entry_words(request: HttpRequest, entry: Mapping[str, Any], plan: Plan) -> str:
    kind = EntryKind(entry["kind"])
    if kind is EntryKind.PROJECT:
        return f"the whole project {plan.project.name}"
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
    text = ", ".join(found)
    more = f" and {rest:,} more" if rest and found else f"{rest:,}" if rest else ""
    return f"{_ENTRY_NOUNS[kind]} {text}{more}"
