"""Shell tasks: the code is a script for /bin/sh or /bin/bash."""

from __future__ import annotations

from instances.runners.base import Launch, Mode, Runner, TaskContext
from instances.runners.environment import build_environment
from instances.runners.spawner.protocol import PAYLOAD_DESCRIPTOR


class ShellRunner(Runner):
    """Runs the script with the shell `config.shell`.

    The script stops at the first command that fails (`-e`) unless `config.stop_on_error` is
    false. It is read from a file descriptor: it is not in the process list, and its standard
    input is empty, not the script.
    """

    def prepare(self, context: TaskContext) -> Launch:
        options = ("-e",) if context.config["stop_on_error"] else ()
        return Launch(
            mode=Mode.EXEC,
            argv=(context.config["shell"], *options, f"/dev/fd/{PAYLOAD_DESCRIPTOR}"),
            payload=context.code.encode("utf-8", "surrogateescape"),
            environment=build_environment(context),
            working_directory=context.scratch,
            limits=context.limits,
        )
