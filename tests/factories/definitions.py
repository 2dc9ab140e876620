"""Folders, workflows and tasks, drafted and submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from projects.models import Project
from tests.factories.naming import fresh
from tests.factories.resources import make_project
from workflows.editing.drafts import NewTask, create_tasks
from workflows.models import Folder, Task, Workflow
from workflows.verbs.submit import submit_tasks

_NEEDS_CODE = {"shell": "true", "python": "pass", "sql": "SELECT 1"}


def make_folder(project: Project, name: str = "", *, parent: Folder | None = None) -> Folder:
    """Make a folder, in the root or in `parent`."""
    name = name or fresh("folder")
    path = f"{parent.path}/{name}" if parent else name
    return Folder.objects.create(project=project, parent=parent, name=name, path=path)


def make_workflow(name: str = "", *, project: Project | None = None, **fields: object) -> Workflow:
    """Make an empty workflow, in a project of its own unless one is given."""
    return Workflow.objects.create(
        project=project or make_project(), name=name or fresh("workflow"), **fields
    )


def mapping(**definition: Any) -> dict[str, Any]:
    """Return the mapping of a definition: a daily shell task unless told otherwise."""
    found: dict[str, Any] = {
        "type": "shell",
        "schedule": {"cycle": "day", "at": "00:00"},
        **definition,
    }
    if found["type"] in _NEEDS_CODE:
        found.setdefault("code", _NEEDS_CODE[found["type"]])
    return found


def make_task(name: str = "", *, workflow: Workflow | None = None, **definition: Any) -> Task:
    """Make a draft task: `make_task("load", type="sql", code="SELECT 2", depends_on=["wait"])`."""
    workflow = workflow or make_workflow()
    new = NewTask(name or fresh("task"), mapping(**definition))
    return create_tasks(actor=None, workflow_id=workflow.pk, tasks=[new])[0]


def make_submitted_task(
    name: str = "", *, workflow: Workflow | None = None, **definition: Any
) -> Task:
    """Make a task and submit it."""
    name = name or fresh("task")
    return make_submitted_tasks({name: definition}, workflow=workflow)[name]


def make_submitted_tasks(
    definitions: Mapping[str, Mapping[str, Any]], *, workflow: Workflow | None = None
) -> dict[str, Task]:
    """Make many tasks and submit them as one batch; return them by name.

    make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    """
    workflow = workflow or make_workflow()
    new = [NewTask(name, mapping(**fields)) for name, fields in definitions.items()]
    created = create_tasks(actor=None, workflow_id=workflow.pk, tasks=new)
    submit_tasks(actor=None, ids=[task.pk for task in created])
    rows = Task.objects.select_related("version", "workflow__project", "resource_group")
    return {task.name: task for task in rows.filter(pk__in=[task.pk for task in created])}
