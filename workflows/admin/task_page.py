"""What a task's page shows: state, graph, draft, versions, parameters on a date (T8, T9, T13)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from projects.console.extensions import entries_of
from projects.console.rights import may
from projects.ground import clock
from projects.roles import Right
from workflows.admin.graphs import task_graph
from workflows.admin.task_form import words_of
from workflows.choices import TaskStatus
from workflows.definitions.closed_references import Cover, cover_for
from workflows.definitions.definition import DefinitionError, TaskDefinition
from workflows.definitions.parameter_preview import planned_times, preview_parameters
from workflows.definitions.task_types import get_task_type
from workflows.definitions.validation import Candidate, Problem, check_names, time_zone_of
from workflows.definitions.version_diff import FieldDifference, diff
from workflows.definitions.version_loading import load_definitions
from workflows.models import Task, TaskVersion
from workflows.parameters.errors import ExpressionError
from workflows.schedules import describe, next_fire
from workflows.status import status_at

MOST_VERSIONS = 50
NEXT_FIRES = 8


def page_context(request: HttpRequest, task: Task) -> dict[str, Any]:
    """Return what the page shows; the number of queries does not depend on the task's history."""
    now = clock.now()
    draft, faults = read_draft(task)
    cover = cover_for(request.user, [task.pk])
    status = status_at(task, now)
    in_force = task.version.definition if task.version else None
    # What is shown of the task is what is in force; only the preview looks at the draft.
    definition = _in_force(task) if task.version else draft
    task_type = get_task_type((in_force or task.draft).get("type", ""))
    return {
        "task": task,
        "status": status,
        "definition": definition,
        "faults": faults,
        "type_label": task_type.label if task_type else task.type,
        "schedule_text": describe(definition.schedule) if definition else "",
        "owners": list(task.owners.all()),
        "written": cover.covered(task.pk, task.draft if in_force is None else in_force),
        "differences": _diff(cover, task.pk, in_force, task.draft) if draft else [],
        "doubts": doubts_of(request, task, draft),
        "is_submitted": task.version_id is not None,
        "versions": list(
            TaskVersion.objects.filter(task=task)
            .select_related("submitted_by")
            .defer("definition")
            .order_by("-number")[:MOST_VERSIONS]
        ),
        "graph": task_graph(request, task),
        "may_develop": may(request, Right.DEVELOP, task.project_id),
        "entries": [
            (entry, entry.address(request, [task.pk]))
            for entry in entries_of(Task)
            if may(request, entry.right, task.project_id) and task.status != TaskStatus.DRAFT
        ],
        **_preview(task, draft, None),
    }


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a field: as the form calls it, where it is, what is wrong."""

    label: str
    address: str
    message: str


def faults_of(task: Task, problems: Iterable[Problem]) -> list[Fault]:
    """Return problems of a task as its form spells them."""
    edit = reverse("admin:workflows_task_edit", args=[task.pk])
    words = [(words_of(one.field, task.draft.get("type", "")), one.message) for one in problems]
    return [Fault(label, f"{edit}#{anchor}", message) for (label, anchor), message in words]


def doubts_of(request: HttpRequest, task: Task, definition: TaskDefinition | None) -> list[Fault]:
    """Return what the draft names that is not there; in a constant number of queries."""
    if definition is None:
        return []
    return faults_of(task, check_names(Candidate(task, definition), actor=request.user))


def _diff(
    cover: Cover, pk: int, before: Mapping[str, Any] | None, after: Mapping[str, Any]
) -> list[FieldDifference]:
    old = None if before is None else cover.covered(pk, before)
    return diff(old, cover.covered(pk, after))


def _in_force(task: Task) -> TaskDefinition | None:
    assert task.version_id is not None
    try:
        return load_definitions([task.version_id])[task.version_id]
    except DefinitionError:  # a type whose package is gone
        return None


def read_draft(task: Task) -> tuple[TaskDefinition | None, list[tuple[str, str]]]:
    """Return the draft's definition, or what is wrong with it."""
    try:
        return TaskDefinition.from_mapping(task.draft, time_zone=time_zone_of(task)), []
    except DefinitionError as error:  # a type whose package is gone
        return None, error.errors


def preview_context(request: HttpRequest, task: Task) -> dict[str, Any]:
    """Return the parameters on the request's `date`, a data date."""
    definition = read_draft(task)[0]
    written = request.GET.get("date", "")
    try:
        day = date.fromisoformat(written) if written else None
    except ValueError:
        return {
            "task": task,
            "preview_fault": _("“{text}” is not a date.").format(text=written),
            "preview_date": written,
        }
    return {"task": task, **_preview(task, definition, day)}


def _preview(task: Task, definition: TaskDefinition | None, day: date | None) -> dict[str, Any]:
    if definition is None:
        return {"preview_fault": _("The draft cannot be read."), "preview_date": ""}
    now = clock.now()
    zone = ZoneInfo(definition.schedule.time_zone)
    day = day or now.astimezone(zone).date() - timedelta(days=1)
    if not 1970 <= day.year <= 2199:
        return {
            "preview_fault": _("Choose a date from 1970 to 2199."),
            "preview_date": day.isoformat(),
        }
    fires: list[Any] = []
    after = now
    while len(fires) < NEXT_FIRES and (fire := next_fire(definition.schedule, after)):
        fires.append(fire)
        after = fire
    found: dict[str, Any] = {
        "preview_date": day.isoformat(),
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


def diff_context(request: HttpRequest, task: Task, number: int) -> dict[str, Any] | None:
    """Return what version `number` changed, against the one before; 0 is the draft."""
    cover = cover_for(request.user, [task.pk])
    if number == 0:
        before = task.version.definition if task.version else None
        found = _diff(cover, task.pk, before, task.draft)
        return {"task": task, "differences": found, "version": None}
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
        "differences": _diff(cover, task.pk, before, rows[number].definition),
        "is_first": before is None,
    }
