"""Shell tasks: what they may be told."""

from __future__ import annotations

from projects.ground.fields.field import Field, Kind
from workflows.definitions.task_types import TaskType

SHELL = TaskType(
    name="shell",
    label="Shell",
    help="A script for /bin/sh or another interpreter.",
    runner="instances.runners.shell.runner:ShellRunner",
    code_language="shell",
    config=(
        Field(
            name="shell",
            help="The program that reads the script.",
            kind=Kind.CHOICE,
            default="/bin/sh",
            choices=("/bin/sh", "/bin/bash"),
        ),
        Field(
            name="stop_on_error",
            help="Whether the script ends at the first command that fails.",
            kind=Kind.BOOLEAN,
            default=True,
        ),
    ),
)
