"""The environment of a task's process, built from nothing (feature P5).

Nothing of the worker's own environment gets in: settings, passwords and tokens live there. A task
sees where programs are, a folder of its own, facts about its run, and the variables it names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from instances.runners.base import BadConfig, TaskContext

# The interpreter that runs Tidemill comes first: `python` in a script has the same packages.
PATH: Final = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# The kernel takes no longer string (MAX_ARG_STRLEN, its final zero included).
MAX_VARIABLE_BYTES: Final = 128 * 1024 - 1


def build_environment(context: TaskContext) -> dict[str, str]:
    """All variables of the task's process.

    A task may replace any variable but the facts, whose names begin with TIDEMILL_. Raises
    BadConfig for a name or value that no process can have.
    """
    environment = {
        "PATH": PATH,
        "HOME": str(context.scratch),
        "TMPDIR": str(context.scratch),
        "LANG": "C.UTF-8",
        "TZ": context.time_zone,
        **context.environment,
        **_facts(context),
    }
    for name, value in environment.items():
        _check(name, value)
    return environment


def _facts(context: TaskContext) -> dict[str, str]:
    facts = {
        "TIDEMILL_EXECUTION_ID": str(context.execution_id),
        "TIDEMILL_TASK": context.task_name,
        "TIDEMILL_TASK_TYPE": context.task_type,
        "TIDEMILL_SCHEDULED_AT": context.scheduled_at,
        "TIDEMILL_DATA_DATE": context.data_date,
        "TIDEMILL_PARAMETERS": json.dumps(dict(context.parameters), ensure_ascii=False),
    }
    if context.instance_id is not None:
        facts["TIDEMILL_INSTANCE_ID"] = str(context.instance_id)
    return facts


def _check(name: str, value: str) -> None:
    field = f"environment.{name}"
    if not name or "=" in name or "\0" in name:
        raise BadConfig(field, "is not a name that a variable can have")
    if "\0" in value:
        raise BadConfig(field, "holds a zero byte, which no variable can")
    if len(f"{name}={value}".encode("utf-8", "surrogateescape")) > MAX_VARIABLE_BYTES:
        raise BadConfig(field, f"is longer than {MAX_VARIABLE_BYTES} bytes")
