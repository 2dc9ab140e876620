"""Shell tasks: what they may be told."""

from __future__ import annotations

from projects.ground.fields.field import Field, Kind
from projects.ground.words import gettext_lazy
from workflows.definitions.task_types import TaskType

SHELL = TaskType(
    name="shell",
    label=gettext_lazy("Shell"),
    help=gettext_lazy("A script for /bin/sh or another interpreter."),
    runner="instances.runners.shell.runner:ShellRunner",
    code_language="shell",
    config=(
        Field(
            name="shell",
            label=gettext_lazy("Shell"),
            help=gettext_lazy("The program that reads the script."),
            kind=Kind.CHOICE,
            default="/bin/sh",
            choices=("/bin/sh", "/bin/bash"),
        ),
        Field(
            name="stop_on_error",
            label=gettext_lazy("Stop on error"),
            help=gettext_lazy("Whether the script ends at the first command that fails."),
            kind=Kind.BOOLEAN,
            default=True,
        ),
    ),
)
