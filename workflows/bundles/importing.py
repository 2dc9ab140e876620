"""Importing workflow files: all of them or nothing, and never more writing than there is change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.utils.translation import gettext as _

from projects.access import Actor, require
from projects.ground import clock
from projects.ground.bulk import repeat_on_deadlock
from projects.ground.refusals import Invalid
from projects.models import Project
from projects.roles import Right
from projects.verbs.recording import BatchResult, ItemOutcome, record
from workflows.bundles.problems import BundleError, BundleProblem
from workflows.bundles.schema import WorkflowBundle
from workflows.definitions.closed_references import cover_for, stored_definitions
from workflows.definitions.definition import DefinitionError, TaskDefinition
from workflows.editing.drafts import DraftRow, insert_drafts
from workflows.editing.folders import ensure_folders
from workflows.editing.name_lock import lock_names
from workflows.editing.owners import possible_owners
from workflows.models import Task, TaskVersion, Workflow
from workflows.verbs.submit import SubmissionRefused, lock_graph, submit_tasks


@dataclass(slots=True)
class ImportedWorkflow:
    """What an import did to one workflow; its tasks by name, in the file's order."""

    id: int
    name: str
    created: bool
    changed: bool = False  # its own fields: folder, description, time zone, owners
    tasks_created: list[str] = field(default_factory=list)
    tasks_changed: list[str] = field(default_factory=list)
    tasks_unchanged: list[str] = field(default_factory=list)
    tasks_left: list[str] = field(default_factory=list)  # not in the file, and left alone
    tasks_deleted: list[str] = field(default_factory=list)  # not in the file, never submitted


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did; `submission` is None unless it was asked for."""

    operation_id: int
    workflows: Sequence[ImportedWorkflow]
    submission: BatchResult | None = None


@dataclass(frozen=True, slots=True)
class _Item:
    """A task of a file, and the task of that name when there is one."""

    bundle: WorkflowBundle
    workflow: Workflow
    position: int
    definition: TaskDefinition
    task: Task | None

    @property
    def name(self) -> str:
        return self.bundle.tasks[self.position].name

    @property
    def differs(self) -> bool:
        return self.task is None or (
            self.task.draft != self.definition.to_mapping() or self.task.position != self.position
        )


@repeat_on_deadlock
@transaction.atomic
def import_bundles(
    *,
    actor: Actor,
    project_id: int,
    bundles: Sequence[WorkflowBundle],
    submit: bool = False,
    prune: bool = False,
    comment: str = "",
) -> ImportResult:
    """Make the project's workflows what the files say; create what is missing.

    Tasks that a file leaves out are left alone; with `prune` those never submitted are deleted.
    With `submit` the tasks of all files are submitted as one batch. Raises BundleError with
    every problem at its line, and then nothing has been saved. The number of queries does not
    depend on the number of tasks.
    """
    require(actor, project_id, Right.DEVELOP)
    if not bundles:
        raise Invalid(_("There is no workflow to import."), code="empty")
    # The order of locks is that of submission: the graph, then names, then rows by id.
    if submit:
        lock_graph()
    lock_names(project_id)
    project = Project.objects.get(pk=project_id)
    _refuse(_repeated_names(bundles))
    owners, faults = _find_owners(bundles, project_id)
    _refuse(faults)
    workflows, results = _write_workflows(bundles, project, owners, actor)
    items, strangers = _match_tasks(bundles, workflows, actor)
    saved = _write_tasks(items, results)
    deleted = _deal_with_strangers(strangers, results, prune=prune)
    done = record(
        actor=actor,
        verb="workflows.import",
        object_type="workflow",
        project_id=project_id,
        options={"submit": submit, "prune": prune},
        outcomes=[
            *(ItemOutcome(id=one.id, label=one.name) for one in results.values()),
            *(
                ItemOutcome(id=pk, label=f"{item.workflow.name}/{item.name}", object_type="task")
                for pk, item in saved.items()
                if item.differs
            ),
            *(
                ItemOutcome(id=pk, label=label, code="deleted", object_type="task")
                for pk, label in deleted.items()
            ),
        ],
    )
    submission = None
    if submit and saved:
        submission = _submit(actor, saved, comment)
    return ImportResult(done.operation_id, list(results.values()), submission)


def _refuse(problems: Sequence[BundleProblem]) -> None:
    if problems:
        raise BundleError(sorted(problems, key=lambda problem: (problem.filename, problem.line)))


def _repeated_names(bundles: Sequence[WorkflowBundle]) -> list[BundleProblem]:
    seen: dict[str, WorkflowBundle] = {}
    problems = []
    for bundle in bundles:
        first = seen.setdefault(bundle.name, bundle)
        if first is not bundle:
            message = _("“{name}” is in {file} already.")
            told = message.format(name=bundle.name, file=first.filename)
            problems.append(bundle.problem("workflow", told))
    return problems


def _find_owners(
    bundles: Sequence[WorkflowBundle], project_id: int
) -> tuple[dict[str, int], list[BundleProblem]]:
    """Return the users that the files name, by name."""
    names = {name for bundle in bundles for name in bundle.owners or ()}
    users = possible_owners(project_id).filter(username__in=names) if names else ()
    found = {user.get_username(): user.pk for user in users}
    message = _("“{name}” is not a member of this project.")
    problems = [
        bundle.problem("owners", message.format(name=name))
        for bundle in bundles
        for name in bundle.owners or ()
        if name not in found
    ]
    return found, problems


def _write_workflows(
    bundles: Sequence[WorkflowBundle], project: Project, owners: dict[str, int], actor: Actor
) -> tuple[dict[str, Workflow], dict[str, ImportedWorkflow]]:
    """Create and change the workflows; return them, and the report on them, by name."""
    folders = ensure_folders(project.pk, {one.folder for one in bundles if one.folder})
    present = {
        workflow.name: workflow
        for workflow in Workflow.objects.filter(
            project=project, name__in=[bundle.name for bundle in bundles]
        )
        .select_for_update(no_key=True)
        .order_by("pk")
    }
    created = {
        workflow.name: workflow
        for workflow in Workflow.objects.bulk_create(
            [
                Workflow(project=project, name=bundle.name, created_by=actor)
                for bundle in bundles
                if bundle.name not in present
            ]
        )
    }
    workflows = present | created
    results: dict[str, ImportedWorkflow] = {}
    changed: list[Workflow] = []
    wanted_owners: dict[int, set[int]] = {}
    for bundle in bundles:
        workflow = workflows[bundle.name]
        workflow.project = project
        result = ImportedWorkflow(workflow.pk, bundle.name, created=bundle.name in created)
        results[bundle.name] = result
        new = {
            "folder_id": folders[bundle.folder].pk if bundle.folder else None,
            "description": bundle.description,
            "time_zone": bundle.time_zone,
        }
        if any(getattr(workflow, name) != value for name, value in new.items()):
            for name, value in new.items():
                setattr(workflow, name, value)
            workflow.updated_at = clock.now()
            changed.append(workflow)
            result.changed = True
        if bundle.owners is not None:
            wanted_owners[workflow.pk] = {owners[name] for name in bundle.owners}
        elif result.created and actor is not None:
            wanted_owners[workflow.pk] = {actor.pk}
    Workflow.objects.bulk_update(
        changed, ["folder", "description", "time_zone", "updated_at"], batch_size=1000
    )
    replaced = _replace_owners(wanted_owners)
    for result in results.values():
        result.changed |= result.id in replaced
    return workflows, results


def _replace_owners(wanted: dict[int, set[int]]) -> set[int]:
    """Make the workflows' owners those wanted; return the workflows that had others."""
    through = Workflow.owners.through
    rows = through.objects.filter(workflow__in=wanted)
    present = {(row.workflow_id, row.user_id): row.pk for row in rows}
    new = {(workflow, user) for workflow, users in wanted.items() for user in users}
    gone = present.keys() - new
    if gone:
        through.objects.filter(pk__in=[present[pair] for pair in gone]).delete()
    through.objects.bulk_create(
        [
            through(workflow_id=workflow, user_id=user)
            for workflow, user in sorted(new - present.keys())
        ]
    )
    return {workflow for workflow, _ in gone | (new - present.keys())}


def _match_tasks(
    bundles: Sequence[WorkflowBundle], workflows: dict[str, Workflow], actor: Actor
) -> tuple[list[_Item], list[Task]]:
    """Return the files' tasks with those they are about, and the tasks that no file names."""
    by_id = {workflow.pk: workflow for workflow in workflows.values()}
    present = {
        (task.workflow_id, task.name): task
        for task in Task.objects.filter(workflow__in=by_id)
        .select_related("version")
        .select_for_update(of=("self",), no_key=True)
        .order_by("pk")
    }
    cover = cover_for(actor, [task.pk for task in present.values()])
    items: list[_Item] = []
    problems: list[BundleProblem] = []
    for bundle in bundles:
        workflow = workflows[bundle.name]
        zone = workflow.time_zone or workflow.project.time_zone
        for position, one in enumerate(bundle.tasks):
            task = present.pop((workflow.pk, one.name), None)
            try:
                written = cover.uncovered(
                    one.draft,
                    task_id=task.pk if task else None,
                    stored=stored_definitions(task) if task else (),
                )
                definition = TaskDefinition.from_mapping(written, time_zone=zone)
            except DefinitionError as error:
                problems += [
                    bundle.problem(path, message, task=position) for path, message in error.errors
                ]
            else:
                items.append(_Item(bundle, workflow, position, definition, task))
    _refuse(problems)
    return items, sorted(present.values(), key=lambda task: (task.workflow_id, task.position))


def _write_tasks(items: Sequence[_Item], results: dict[str, ImportedWorkflow]) -> dict[int, _Item]:
    """Write what differs; return all the files' tasks by id."""
    new = [item for item in items if item.task is None]
    owners: dict[int, list[int]] = {}
    if new:
        pairs = Workflow.owners.through.objects.filter(
            workflow__in={item.workflow.pk for item in new}
        ).values_list("workflow_id", "user_id")
        for workflow_id, user_id in pairs:
            owners.setdefault(workflow_id, []).append(user_id)
    created = insert_drafts(
        [DraftRow(item.workflow, item.name, item.definition, item.position) for item in new],
        owners,
    )
    _update_drafts([item for item in items if item.task is not None and item.differs])
    for item in items:
        result = results[item.bundle.name]
        if item.task is None:
            result.tasks_created.append(item.name)
        elif item.differs:
            result.tasks_changed.append(item.name)
        else:
            result.tasks_unchanged.append(item.name)
    saved = {item.task.pk: item for item in items if item.task is not None}
    return saved | {task.pk: item for task, item in zip(created, new, strict=True)}


def _update_drafts(items: Sequence[_Item]) -> None:
    """Write drafts and positions, all in one statement."""
    rows = [
        {
            "id": item.task.pk,
            "draft": item.definition.to_mapping(),
            "position": item.position,
            "type": item.definition.type,
        }
        for item in items
        if item.task is not None
    ]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE workflows_task AS task
            SET draft = row.draft,
                position = row.position,
                type = CASE WHEN task.version_id IS NULL THEN row.type ELSE task.type END,
                updated_at = %(now)s
            FROM jsonb_to_recordset(%(rows)s::jsonb)
                AS row (id bigint, draft jsonb, position integer, type text)
            WHERE task.id = row.id
            """,
            {"rows": json.dumps(rows), "now": clock.now()},
        )


def _deal_with_strangers(
    tasks: Sequence[Task], results: dict[str, ImportedWorkflow], *, prune: bool
) -> dict[int, str]:
    """Report the tasks that no file names; return those that were deleted, with their labels."""
    by_id = {result.id: result for result in results.values()}
    submitted: set[int] = set()
    if prune:
        versions = TaskVersion.objects.filter(task__in=[task.pk for task in tasks])
        submitted = set(versions.values_list("task_id", flat=True))
    deleted: dict[int, str] = {}
    for task in tasks:
        result = by_id[task.workflow_id]
        if prune and task.pk not in submitted:
            result.tasks_deleted.append(task.name)
            deleted[task.pk] = f"{result.name}/{task.name}"
        else:
            result.tasks_left.append(task.name)
    if deleted:
        Task.objects.filter(pk__in=deleted).delete()
    return deleted


def _submit(actor: Actor, saved: dict[int, _Item], comment: str) -> BatchResult:
    try:
        return submit_tasks(actor=actor, ids=saved, comment=comment)
    except SubmissionRefused as refusal:
        raise BundleError(list(_at_lines(refusal, saved))) from refusal


def _at_lines(refusal: SubmissionRefused, saved: dict[int, _Item]) -> Iterator[BundleProblem]:
    for problem in refusal.problems:
        item = saved[problem.task_id]
        yield item.bundle.problem(problem.field, problem.message, task=item.position)
