"""Virtual tasks: roots and placeholders, which have no settings."""

from __future__ import annotations

from projects.ground.words import gettext_lazy
from workflows.definitions.task_types import TaskType

VIRTUAL = TaskType(
    name="virtual",
    label=gettext_lazy("Virtual"),
    help=gettext_lazy("Does nothing: a root or a meeting point for dependencies."),
    runner="instances.runners.virtual.runner:VirtualRunner",
    virtual=True,
)
