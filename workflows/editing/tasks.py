"""Changing a task's name, draft and owners together: all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from projects.access import Actor
from projects.ground.bulk import repeat_on_deadlock
from projects.ground.refusals import Invalid
from projects.roles import Right
from projects.verbs.recording import ItemOutcome, record
from workflows.editing.drafts import find_task, rename_task, save_draft
from workflows.editing.owners import check_owners
from workflows.editing.revisions import check_revision
from workflows.models import Task


@repeat_on_deadlock
@transaction.atomic
def update_task(
    *,
    actor: Actor,
    task_id: int,
    name: str | None = None,
    draft: Mapping[str, Any] | None = None,
    owner_ids: Iterable[int] | None = None,
    revision: str | None = None,
) -> Task:
    """Change what is given; what is None stays. Raises NotFound, Forbidden or Invalid.

    revision: the one that the changes are based on; Outdated when it is not the present one.
    The fields of an Invalid are `name`, `owners` and those of the definition.
    """
    task = find_task(actor, task_id, Right.DEVELOP)
    owners = None if owner_ids is None else sorted(owner_ids)
    given = {"name": name, "draft": draft, "owners": owners}
    sent = {key: value for key, value in given.items() if value is not None}
    check_revision(task, revision, sent, actor=actor)
    if name is not None:
        task = rename_task(actor=actor, task_id=task_id, name=name)
    if draft is not None:
        task = save_draft(actor=actor, task_id=task_id, draft=draft)
    if owners is not None:
        _set_owners(actor, task, owners)
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
