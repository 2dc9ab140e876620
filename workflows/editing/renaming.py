"""What a rename does to the drafts that use the name.

Only drafts of the same project are changed: those of others name the task as before, and say so
at their next submission. Versions never change, and the graph in force goes by ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.db import connection

from workflows.models import Task

# From a reference and the workflow id of the draft that it stands in to the new reference.
NewName = Callable[[str, int], str]


def new_task_name(task: Task, name: str) -> NewName:
    """Return how references change when a task (with workflow and project loaded) is renamed."""
    workflow, project = task.workflow.name, task.workflow.project.name
    full = {
        f"{prefix}{task.name}": f"{prefix}{name}"
        for prefix in (f"{workflow}/", f"{project}/{workflow}/")
    }

    def renamed(reference: str, workflow_id: int) -> str:
        if reference == task.name and workflow_id == task.workflow_id:
            return name
        return full.get(reference, reference)

    return renamed


def new_workflow_name(project: str, old: str, new: str) -> NewName:
    """Return how references change when a workflow is renamed."""

    def renamed(reference: str, workflow_id: int) -> str:
        parts = reference.split("/")
        if len(parts) == 2 and parts[0] == old:
            return f"{new}/{parts[1]}"
        if len(parts) == 3 and parts[:2] == [project, old]:
            return f"{project}/{new}/{parts[2]}"
        return reference

    return renamed


def rename_in_drafts(project_id: int, renamed: NewName) -> list[int]:
    """Change the references in the drafts of a project; return the tasks changed. Three queries.

    Call inside a transaction.
    """
    drafts = Task.objects.filter(project_id=project_id, draft__has_key="depends_on")
    columns = ("pk", "workflow_id", "draft__depends_on")
    touched = _changed(drafts.values_list(*columns), renamed)
    if not touched:
        return []
    # Somebody may have saved a draft in between: lock, and look again.
    locked = drafts.filter(pk__in=touched).select_for_update(no_key=True).order_by("pk")
    changed = _changed(locked.values_list(*columns), renamed)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE workflows_task AS task
            SET draft = jsonb_set(task.draft, '{depends_on}', row.depends_on)
            FROM jsonb_to_recordset(%s::jsonb) AS row (id bigint, depends_on jsonb)
            WHERE task.id = row.id
            """,
            [json.dumps([{"id": pk, "depends_on": items} for pk, items in changed.items()])],
        )
    return sorted(changed)


def _changed(rows: Any, renamed: NewName) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for pk, workflow_id, items in rows:
        new = [
            {**item, "task": renamed(item["task"], workflow_id)}
            if isinstance(item, dict)
            else renamed(item, workflow_id)
            for item in items
        ]
        if new != items:
            found[pk] = new
    return found
