"""Python tasks: the code runs as `__main__` in a fork of a warm interpreter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from instances.runners.base import Launch, Mode, Runner, TaskContext, unknown_settings
from instances.runners.environment import build_environment


class PythonRunner(Runner):
    """Runs the code as a script, with `config.arguments` (texts) as `sys.argv[1:]`.

    The code finds its facts in the environment: TIDEMILL_DATA_DATE, TIDEMILL_SCHEDULED_AT, and
    TIDEMILL_PARAMETERS as JSON; parameters are also filled in as `${name}` before it runs.
    """

    type: ClassVar[str] = "python"
    title: ClassVar[str] = "Python"

    def check(
        self, config: Mapping[str, Any], code: str, *, has_data_source: bool = False
    ) -> list[tuple[str, str]]:
        errors = unknown_settings(config, ("arguments",))
        arguments = config.get("arguments", [])
        if not isinstance(arguments, list) or not all(isinstance(item, str) for item in arguments):
            errors.append(("config.arguments", "must be a list of texts"))
        return errors

    def prepare(self, context: TaskContext) -> Launch:
        self._require(context.config, context.code)
        payload = {
            "name": context.task_name,
            "code": context.code,
            "arguments": context.config.get("arguments", []),
        }
        return Launch(
            mode=Mode.CALL,
            target="instances.runners.python_child:main",
            payload=json.dumps(payload).encode(),
            environment=build_environment(context),
            working_directory=context.scratch,
            limits=context.limits,
        )
