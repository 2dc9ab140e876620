"""What a task's page shows: state, graph, draft, versions, parameters on a date (T8, T9, T13)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from projects import clock
from projects.admin.extensions import entries_of, panels_of
from projects.admin.rights import may
from projects.roles import Right
from workflows.admin.changing_status import STATUS_VERBS
from workflows.admin.graphs import task_graph
from workflows.choices import TaskStatus
from workflows.definition import DefinitionError, TaskDefinition
from workflows.models import Task, TaskVersion
from workflows.parameter_preview import planned_times, preview_parameters
from workflows.parameters.errors import ExpressionError
from workflows.schedules import describe, next_fire
from workflows.task_status import status_at
from workflows.task_types import get_task_type
from workflows.validation import time_zone_of
from workflows.version_diff import diff
from workflows.version_loading import load_definitions

MOST_VERSIONS = 50
NEXT_FIRES = 8


def page_context(request: HttpRequest, task: Task) -> dict[str, Any]:
    """Return what the page shows; the number of queries does not depend on the task's history."""
    now = clock.now()
    draft, faults = read_draft(task)
    status = status_at(task, now)
    in_force = task.version.definition if task.version else None
    # What is shown of the task is what is in force; only the preview looks at the draft.
    definition = _in_force(task) if task.version else draft
    may_operate = may(request, Right.OPERATE, task.project_id)
    task_type = get_task_type((in_force or task.draft).get("type", ""))
    return {
        "task": task,
        "status": status,
        "definition": definition,
        "faults": faults,
        "type_label": task_type.label if task_type else task.type,
        "zone": zone_of(task),
        "schedule_text": describe(definition.schedule) if definition else "",
        "owners": list(task.owners.all()),
        "written": task.draft if in_force is None else in_force,
        "differences": diff(in_force, task.draft) if draft else [],
        "is_submitted": task.version_id is not None,
        "versions": list(
            TaskVersion.objects.filter(task=task)
            .select_related("submitted_by")
            .defer("definition")
            .order_by("-number")[:MOST_VERSIONS]
        ),
        "graph": task_graph(request, task),
        "panels": panels_of(Task, task.pk),
        "may_develop": may(request, Right.DEVELOP, task.project_id),
        "status_verbs": [
            (verb, status in verb.effects) for verb in STATUS_VERBS.values() if may_operate
        ],
        "entries": [
            (entry, entry.address(request, [task.pk]))
            for entry in entries_of(Task)
            if may(request, entry.right, task.project_id) and task.status != TaskStatus.DRAFT
        ],
        **_preview(task, draft, None),
    }


def _in_force(task: Task) -> TaskDefinition | None:
    assert task.version_id is not None
    try:
        return load_definitions([task.version_id])[task.version_id]
    except DefinitionError:  # a type whose package is gone
        return None


def zone_of(task: Task) -> str:
    """Return the time zone in which the task's times are shown."""
    return task.version.time_zone if task.version else time_zone_of(task)


def read_draft(task: Task) -> tuple[TaskDefinition | None, list[tuple[str, str]]]:
    """Return the draft's definition, or what is wrong with it."""
    try:
        return TaskDefinition.from_mapping(task.draft, time_zone=time_zone_of(task)), []
    except DefinitionError as error:  # a type whose package is gone
        return None, error.errors


def preview_context(request: HttpRequest, task: Task) -> dict[str, Any]:
    """Return the parameters on the request's `date`, a data date."""
    definition, _ = read_draft(task)
    written = request.GET.get("date", "")
    try:
        day = date.fromisoformat(written) if written else None
    except ValueError:
        return {
            "task": task,
            "preview_fault": f"“{written}” is not a date.",
            "preview_date": written,
        }
    return {"task": task, "zone": zone_of(task), **_preview(task, definition, day)}


def _preview(task: Task, definition: TaskDefinition | None, day: date | None) -> dict[str, Any]:
    if definition is None:
        return {"preview_fault": "The draft cannot be read.", "preview_date": ""}
    now = clock.now()
    zone = ZoneInfo(definition.schedule.time_zone)
    day = day or now.astimezone(zone).date() - timedelta(days=1)
    if not 1970 <= day.year <= 2199:
        return {
            "preview_fault": "Choose a date from 1970 to 2199.",
            "preview_date": day.isoformat(),
        }
    fires: list[Any] = []
    after = now
    while len(fires) < NEXT_FIRES and (fire := next_fire(definition.schedule, after)):
        fires.append(fire)
        after = fire
    found: dict[str, Any] = {
        "preview_date": day.isoformat(),
        "preview_zone": definition.schedule.time_zone,
        "next_fires": fires,
        "planned_on_date": planned_times(definition, day)[:48],
    }
    try:
        found["preview"] = preview_parameters(
            definition,
            task_id=task.pk,
            task_name=task.name,
            workflow=task.workflow.name,
            project=task.workflow.project.name,
            data_day=day,
        )
    except ExpressionError as error:
        found["preview_fault"] = str(error)
    return found


def diff_context(task: Task, number: int) -> dict[str, Any] | None:
    """Return what version `number` changed, against the one before; 0 is the draft."""
    if number == 0:
        before = task.version.definition if task.version else None
        return {"task": task, "differences": diff(before, task.draft), "version": None}
    rows = {
        version.number: version
        for version in TaskVersion.objects.filter(task=task, number__in=[number, number - 1])
    }
    if number not in rows:
        return None
    before = rows[number - 1].definition if number - 1 in rows else None
    return {
        "task": task,
        "version": rows[number],
        "differences": diff(before, rows[number].definition),
        "is_first": before is None,
    }
