"""Python tasks: what they may be told."""

from __future__ import annotations

from projects.ground.fields.field import Field, Kind
from projects.ground.words import gettext_lazy
from workflows.definitions.task_types import TaskType

PYTHON = TaskType(
    name="python",
    label=gettext_lazy("Python"),
    help=gettext_lazy("A Python program, run as __main__."),
    runner="instances.runners.python.runner:PythonRunner",
    code_language="python",
    config=(
        Field(
            name="arguments",
            label=gettext_lazy("Arguments"),
            help=gettext_lazy("What the program finds in sys.argv after its name."),
            kind=Kind.LIST,
        ),
    ),
)
