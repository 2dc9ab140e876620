"""Drafts: making, changing, renaming and deleting tasks before they are submitted.

A draft is always a definition that reads without a fault; whether the tasks, groups and sources it
names exist is asked at submission. The forms for many come first; those for one call them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from projects.access import Actor, require, scope
from projects.ground.bulk import repeat_on_deadlock
from projects.ground.refusals import Coded, Conflict, Invalid, NotFound
from projects.roles import Right
from projects.verbs.recording import ItemOutcome, record
from workflows.definitions.closed_references import cover_for, stored_definitions
from workflows.definitions.definition import DefinitionError, TaskDefinition
from workflows.definitions.validation import time_zone_of
from workflows.editing.name_lock import lock_names
from workflows.editing.names import check_name
from workflows.editing.owners import check_owners
from workflows.editing.renaming import new_task_name, rename_in_drafts
from workflows.editing.workflows import find_workflow
from workflows.models import Task, Workflow


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to be made: its name, its definition's mapping and its place in the workflow."""

    name: str
    draft: Mapping[str, Any]
    position: int | None = None  # None: after the others


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A task as it is written: everything about it has been checked."""

    workflow: Workflow
    name: str
    definition: TaskDefinition
    position: int


def insert_drafts(rows: Iterable[DraftRow], owners: Mapping[int, Collection[int]]) -> list[Task]:
    """Insert tasks, each with the owners given for its workflow; two queries.

    Names, rights and record are the caller's.
    """
    created = Task.objects.bulk_create(
        [
            Task(
                project_id=row.workflow.project_id,
                workflow=row.workflow,
                name=row.name,
                draft=row.definition.to_mapping(),
                type=row.definition.type,
                position=row.position,
            )
            for row in rows
        ]
    )
    Task.owners.through.objects.bulk_create(
        [
            Task.owners.through(task_id=task.pk, user_id=owner)
            for task in created
            for owner in sorted(owners.get(task.workflow_id, ()))
        ]
    )
    return created


def read_draft(draft: object, time_zone: str) -> TaskDefinition:
    """Read a draft; raise Invalid with every fault at its field."""
    try:
        return TaskDefinition.from_mapping(draft, time_zone=time_zone)
    except DefinitionError as error:
        raise Invalid.from_pairs(error.errors, code="invalid_definition") from error


def read_written(draft: object, *, task: Task, actor: Actor) -> TaskDefinition:
    """Read what the actor wrote as a draft of the task, with what its marks stand for."""
    cover = cover_for(actor, [task.pk])
    try:
        found = cover.uncovered(draft, task_id=task.pk, stored=stored_definitions(task))
    except DefinitionError as error:
        raise Invalid.from_pairs(error.errors, code="invalid_definition") from error
    return read_draft(found, time_zone_of(task))


def find_task(actor: Actor, task_id: int, right: Right) -> Task:
    """Return a task, locked, with its workflow and project; raise NotFound or Forbidden."""
    rows = Task.objects.select_related("workflow__project", "version")
    visible = scope(rows, actor)
    task = visible.filter(pk=task_id).select_for_update(of=("self",), no_key=True).first()
    if task is None:
        raise NotFound(_("There is no task {id} in your projects.").format(id=task_id))
    require(actor, task.project_id, right)
    return task


@transaction.atomic
def create_tasks(
    *,
    actor: Actor,
    workflow_id: int,
    tasks: Sequence[NewTask],
    owner_ids: Iterable[int] | None = None,
) -> list[Task]:
    """Make draft tasks in a workflow; whoever makes them owns them unless others are given.

    What the system itself makes is its workflow's owners'.

    Raises Invalid with fields `name` and those of the definition, prefixed with the task's name
    when there are several.
    """
    workflow = find_workflow(actor, workflow_id, Right.DEVELOP)
    lock_names(workflow.project_id)
    definitions, faults = [], []
    good = [task.name for task in tasks if not check_name(task.name)]
    taken = set(workflow.tasks.filter(name__in=good).values_list("name", flat=True))
    zone = workflow.time_zone or workflow.project.time_zone
    cover = cover_for(actor, ())
    for task in tasks:
        prefix = f"{task.name}." if len(tasks) > 1 else ""
        own = check_name(task.name)
        if not own and task.name in taken:
            own = [("name", _name_taken())]
        taken.add(task.name)
        try:
            draft = cover.uncovered(task.draft, task_id=None)
            definitions.append(TaskDefinition.from_mapping(draft, time_zone=zone))
        except DefinitionError as error:
            own += error.errors
        faults += [(f"{prefix}{field}", message) for field, message in own]
    if owner_ids is None and actor is None:
        owners = set(workflow.owners.values_list("pk", flat=True))
    elif owner_ids is None:
        owners = {actor.pk}
    else:
        owners, unknown = check_owners(workflow.project_id, owner_ids)
        faults += unknown
    if faults:
        raise Invalid.from_pairs(faults)
    last = workflow.tasks.aggregate(last=Max("position"))["last"]
    following = 0 if last is None else last + 1
    created = insert_drafts(
        [
            DraftRow(
                workflow,
                task.name,
                definition,
                following + index if task.position is None else task.position,
            )
            for index, (task, definition) in enumerate(zip(tasks, definitions, strict=True))
        ],
        {workflow.pk: owners},
    )
    _record(actor, "tasks.create", workflow, created)
    return created


def create_task(
    *,
    actor: Actor,
    workflow_id: int,
    name: str,
    draft: Mapping[str, Any],
    position: int | None = None,
    owner_ids: Iterable[int] | None = None,
) -> Task:
    """Make one draft task; see `create_tasks`."""
    new = NewTask(name, draft, position)
    return create_tasks(actor=actor, workflow_id=workflow_id, tasks=[new], owner_ids=owner_ids)[0]


@transaction.atomic
def save_draft(*, actor: Actor, task_id: int, draft: Mapping[str, Any]) -> Task:
    """Replace a task's draft; what is in operations stays as it is until the next submission.

    Marks of names that the actor may not see keep what they stand for (closed_references). Raises
    Invalid with the definition's fields.
    """
    task = find_task(actor, task_id, Right.DEVELOP)
    definition = read_written(draft, task=task, actor=actor)
    task.draft = definition.to_mapping()
    changed = ["draft", "updated_at"]
    if task.version_id is None:
        task.type = definition.type
        changed.append("type")
    task.save(update_fields=changed)
    _record(actor, "tasks.save_draft", task.workflow, [task])
    return task


@repeat_on_deadlock
@transaction.atomic
def rename_task(*, actor: Actor, task_id: int, name: str) -> Task:
    """Rename a task; the drafts of its project that name it follow."""
    task = find_task(actor, task_id, Right.DEVELOP)
    lock_names(task.project_id)
    faults = check_name(name)
    if not faults and task.workflow.tasks.filter(name=name).exclude(pk=task.pk).exists():
        faults = [("name", _name_taken())]
    if faults:
        raise Invalid.from_pairs(faults)
    if name == task.name:
        return task
    rename_in_drafts(task.project_id, new_task_name(task, name))
    old, task.name = task.name, name
    task.save(update_fields=["name", "updated_at"])
    _record(actor, "tasks.rename", task.workflow, [task], {"old_name": old})
    return task


@transaction.atomic
def delete_draft_task(*, actor: Actor, task_id: int) -> None:
    """Delete a task that was never submitted; raise Conflict for any other."""
    task = find_task(actor, task_id, Right.DEVELOP)
    if task.versions.exists():
        message = _("{name} has been submitted: it is taken offline and deleted in operations.")
        raise Conflict(message.format(name=task.name), code="was_submitted")
    _record(actor, "tasks.delete_draft", task.workflow, [task])
    task.delete()


def _name_taken() -> Coded:
    return Coded(_("The workflow has a task of this name already."), "name_taken")


def _record(
    actor: Actor,
    verb: str,
    workflow: Workflow,
    tasks: Iterable[Task],
    options: Mapping[str, Any] | None = None,
) -> None:
    record(
        actor=actor,
        verb=verb,
        object_type="task",
        project_id=workflow.project_id,
        options=options,
        outcomes=[ItemOutcome(id=task.pk, label=f"{workflow.name}/{task.name}") for task in tasks],
    )
