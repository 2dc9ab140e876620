"""The runners that this worker has: its own, and those of plugins (feature T10)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Final

from instances.runners.base import Runner
from instances.runners.http import HttpRunner
from instances.runners.python import PythonRunner
from instances.runners.shell import ShellRunner
from instances.runners.sql import SqlRunner
from instances.runners.virtual import VirtualRunner

ENTRY_POINT_GROUP: Final = "tidemill.runners"
BUILT_IN: Final[tuple[type[Runner], ...]] = (
    ShellRunner,
    PythonRunner,
    SqlRunner,
    HttpRunner,
    VirtualRunner,
)


class UnknownTaskType(LookupError):
    """No runner on this worker for the task's type."""


class Registry:
    """Runners by type. A plugin that is broken, or wants a type that is taken, is left out and
    named in `broken` with the reason: the others go on working."""

    def __init__(self, plugins: Iterable[EntryPoint]) -> None:
        runners: dict[str, Runner] = {runner.type: runner() for runner in BUILT_IN}
        broken: dict[str, str] = {}
        for plugin in plugins:
            try:
                runner = _load(plugin)
                if runner.type in runners:
                    raise ValueError(f"the type {runner.type!r} is taken")
            except Exception as error:  # noqa: BLE001 - a plugin may fail in any way
                broken[plugin.name] = f"{plugin.value}: {type(error).__name__}: {error}"
            else:
                runners[runner.type] = runner
        self.runners = MappingProxyType(runners)
        self.broken = MappingProxyType(broken)

    def get(self, task_type: str) -> Runner:
        """The runner of a type; raises UnknownTaskType."""
        try:
            return self.runners[task_type]
        except KeyError:
            known = ", ".join(sorted(self.runners))
            message = f"There is no runner for tasks of type {task_type!r}; known are: {known}."
            raise UnknownTaskType(message) from None


def _load(plugin: EntryPoint) -> Runner:
    found = plugin.load()
    if not (isinstance(found, type) and issubclass(found, Runner)):
        raise TypeError("is not a subclass of instances.runners.base.Runner")
    for name in ("type", "title"):
        if not isinstance(getattr(found, name, None), str):
            raise TypeError(f"has no {name}")
    return found()


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The registry of this process; plugins are looked for once."""
    return Registry(entry_points(group=ENTRY_POINT_GROUP))


def get_runner(task_type: str) -> Runner:
    """The runner of a type; raises UnknownTaskType."""
    return registry().get(task_type)


def runner_types() -> dict[str, str]:
    """Titles by type, in the order of the registry."""
    return {name: runner.title for name, runner in registry().runners.items()}


def broken_plugins() -> dict[str, str]:
    """Why each plugin that could not be loaded could not, by entry point name."""
    return dict(registry().broken)
