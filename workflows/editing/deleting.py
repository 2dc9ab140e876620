"""Deleting workflows of which nothing was ever submitted."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from projects.access import Actor
from projects.ground.bulk import repeat_on_deadlock
from projects.ground.refusals import Conflict
from projects.roles import Right
from projects.verbs.recording import ItemOutcome, record
from workflows.editing.name_lock import lock_names
from workflows.editing.workflows import find_workflow
from workflows.models import Task, TaskVersion


@repeat_on_deadlock
@transaction.atomic
def delete_draft_workflow(*, actor: Actor, workflow_id: int) -> None:
    """Delete a workflow with its draft tasks; raise Conflict when a task was ever submitted."""
    workflow = find_workflow(actor, workflow_id, Right.DEVELOP)
    lock_names(workflow.project_id)
    # Locked against a submission at the same moment: it locks the tasks' rows first.
    tasks = list(Task.objects.filter(workflow=workflow).select_for_update().order_by("pk"))
    if TaskVersion.objects.filter(task__in=[task.pk for task in tasks]).exists():
        message = _("Tasks of {name} have been submitted: take them offline instead.")
        raise Conflict(message.format(name=workflow.name), code="was_submitted")
    record(
        actor=actor,
        verb="workflows.delete_draft",
        object_type="workflow",
        project_id=workflow.project_id,
        options={"tasks": [task.name for task in tasks]},
        outcomes=[ItemOutcome(workflow.pk, label=workflow.name)],
    )
    workflow.delete()
