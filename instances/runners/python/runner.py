"""Python tasks: the code runs as `__main__` in a fork of a warm interpreter."""

from __future__ import annotations

import json

from instances.runners.base import Launch, Mode, Runner, TaskContext
from instances.runners.environment import build_environment


class PythonRunner(Runner):
    """Runs the code as a script, with `config.arguments` (texts) as `sys.argv[1:]`.

    The code finds its facts in the environment: TIDEMILL_DATA_DATE, TIDEMILL_SCHEDULED_AT, and
    TIDEMILL_PARAMETERS as JSON; parameters are also filled in as `${name}` before it runs.
    """

    def prepare(self, context: TaskContext) -> Launch:
        payload = {
            "name": context.task_name,
            "code": context.code,
            "arguments": context.config["arguments"] or [],
        }
        return Launch(
            mode=Mode.CALL,
            target="instances.runners.python.child:main",
            payload=json.dumps(payload).encode(),
            environment=build_environment(context),
            working_directory=context.scratch,
            limits=context.limits,
        )
