"""Shell tasks: the code is a script for /bin/sh or /bin/bash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from instances.runners.base import Launch, Mode, Runner, TaskContext, unknown_settings
from instances.runners.environment import build_environment
from instances.runners.spawn_protocol import PAYLOAD_DESCRIPTOR

_SHELLS: Final = ("/bin/sh", "/bin/bash")


class ShellRunner(Runner):
    """Runs the script with the shell `config.shell` (default /bin/sh).

    The script stops at the first command that fails (`-e`) unless `config.stop_on_error` is
    false. It is read from a file descriptor: it is not in the process list, and its standard
    input is empty, not the script.
    """

    type: ClassVar[str] = "shell"
    title: ClassVar[str] = "Shell"

    def check(
        self, config: Mapping[str, Any], code: str, *, has_data_source: bool = False
    ) -> list[tuple[str, str]]:
        errors = unknown_settings(config, ("shell", "stop_on_error"))
        if config.get("shell", _SHELLS[0]) not in _SHELLS:
            errors.append(("config.shell", f"must be one of {', '.join(_SHELLS)}"))
        if not isinstance(config.get("stop_on_error", True), bool):
            errors.append(("config.stop_on_error", "must be true or false"))
        if "\0" in code:
            errors.append(("code", "holds a zero byte, which no shell can read"))
        return errors

    def prepare(self, context: TaskContext) -> Launch:
        self._require(context.config, context.code)
        options = ("-e",) if context.config.get("stop_on_error", True) else ()
        return Launch(
            mode=Mode.EXEC,
            argv=(
                context.config.get("shell", _SHELLS[0]),
                *options,
                f"/dev/fd/{PAYLOAD_DESCRIPTOR}",
            ),
            payload=context.code.encode("utf-8", "surrogateescape"),
            environment=build_environment(context),
            working_directory=context.scratch,
            limits=context.limits,
        )
