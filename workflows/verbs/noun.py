"""Tasks, and workflows as all their tasks, as what verbs act on."""

from __future__ import annotations

from django.utils.translation import ngettext

from projects.ground import clock
from projects.ground.words import gettext_lazy, thousands
from projects.verbs.catalogue import add_noun
from projects.verbs.verb import Noun
from workflows.choices import TaskStatus
from workflows.models import Task, Workflow
from workflows.status import effective_status


def _tasks(number: int) -> str:
    return ngettext("{count} task", "{count} tasks", number).format(count=thousands(number))


def _workflows(number: int) -> str:
    return ngettext("{count} workflow", "{count} workflows", number).format(count=thousands(number))


TASKS = Noun(
    key="task",
    plural="tasks",
    model=Task,
    states=TaskStatus,
    missing=gettext_lazy("There is no such task in your projects."),
    filterset="workflows.filters.TaskFilter",
    counted=_tasks,
    label=("workflow__name", "name"),
    state=lambda: effective_status(clock.now()),
)
WORKFLOWS = add_noun(
    Noun(
        key="workflow",
        plural="workflows",
        model=Workflow,
        states=TaskStatus,
        missing=gettext_lazy("There is no such workflow in your projects."),
        filterset="workflows.filters.WorkflowFilter",
        counted=_workflows,
        label=("name",),
        parts=TASKS,
        parts_path="workflow",
        empty=gettext_lazy("The workflow has no tasks."),
    )
)
