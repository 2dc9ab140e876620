"""Workflows as files: always the same text for the same drafts."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Prefetch

from projects.access import Actor
from workflows.bundles.schema import TaskBundle, WorkflowBundle
from workflows.bundles.writing import write_yaml
from workflows.definitions.closed_references import Cover, cover_for
from workflows.definitions.definition import TaskDefinition
from workflows.definitions.validation import time_zone_of
from workflows.models import Task, Workflow


def export_workflow(workflow: Workflow, *, actor: Actor) -> str:
    """Return the file of one workflow, drafts as they are now."""
    return export_workflows([workflow.pk], actor=actor)[workflow.pk]


def export_workflows(workflow_ids: Iterable[int], *, actor: Actor) -> dict[int, str]:
    """Return {workflow id: its file}; a fixed number of queries.

    Who may see the workflows is the caller's to check. Names in projects that the actor does not
    see are marks, which an import by the same reader takes back.
    """
    tasks = Task.objects.order_by("position", "name", "pk")
    workflows = list(
        Workflow.objects.filter(pk__in=list(workflow_ids))
        .select_related("project", "folder")
        .prefetch_related("owners", Prefetch("tasks", tasks))
        .order_by("project__name", "name")
    )
    cover = cover_for(actor, [task.pk for workflow in workflows for task in workflow.tasks.all()])
    return {workflow.pk: write_bundle(_bundle(workflow, cover)) for workflow in workflows}


def write_bundle(bundle: WorkflowBundle) -> str:
    """Return the text of a bundle's file."""
    return write_yaml(bundle.to_mapping())


def _bundle(workflow: Workflow, cover: Cover) -> WorkflowBundle:
    tasks = []
    for task in workflow.tasks.all():
        task.workflow = workflow  # spare a query for each
        # JSON in the database keeps no order of keys: the definition's normal form does.
        definition = TaskDefinition.from_stored(task.draft, time_zone=time_zone_of(task))
        tasks.append(TaskBundle(task.name, cover.covered(task.pk, definition.to_mapping())))
    return WorkflowBundle(
        name=workflow.name,
        folder=workflow.folder.path if workflow.folder else "",
        description=workflow.description,
        time_zone=workflow.time_zone,
        owners=tuple(sorted(user.get_username() for user in workflow.owners.all())),
        tasks=tuple(tasks),
    )
