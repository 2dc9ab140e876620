"""Changing a task's name, draft and owners together: all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from projects.access import Actor
from projects.bulk import repeat_on_deadlock
from projects.operations import ItemOutcome, record
from projects.refusals import Invalid
from projects.roles import Right
from workflows.drafts import find_task, rename_task, save_draft
from workflows.models import Task
from workflows.owners import check_owners


@repeat_on_deadlock
@transaction.atomic
def update_task(
    *,
    actor: Actor,
    task_id: int,
    name: str | None = None,
    draft: Mapping[str, Any] | None = None,
    owner_ids: Iterable[int] | None = None,
) -> Task:
    """Change what is given; what is None stays. Raises NotFound, Forbidden or Invalid.

    The fields of an Invalid are `name`, `owners` and those of the definition.
    """
    task = find_task(actor, task_id, Right.DEVELOP)
    if name is not None:
        task = rename_task(actor=actor, task_id=task_id, name=name)
    if draft is not None:
        task = save_draft(actor=actor, task_id=task_id, draft=draft)
    if owner_ids is not None:
        _set_owners(actor, task, owner_ids)
    return task


def _set_owners(actor: Actor, task: Task, owner_ids: Iterable[int]) -> None:
    owners, faults = check_owners(task.project_id, owner_ids)
    if faults:
        raise Invalid.from_pairs(faults)
    task.owners.set(owners)
    record(
        actor=actor,
        verb="tasks.set_owners",
        object_type="task",
        project_id=task.project_id,
        options={"owners": sorted(owners)},
        outcomes=[ItemOutcome(task.pk, label=f"{task.workflow.name}/{task.name}")],
    )
