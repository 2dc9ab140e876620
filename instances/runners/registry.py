"""From a task's type to what runs it: the class that the type names, imported when first needed."""

from __future__ import annotations

from functools import cache
from importlib import import_module

import structlog

from instances.runners.base import Runner
from instances.runners.http.task_type import HTTP
from instances.runners.python.task_type import PYTHON
from instances.runners.shell.task_type import SHELL
from instances.runners.sql.task_type import SQL
from instances.runners.virtual.task_type import VIRTUAL
from workflows.definitions.task_types import TaskType, task_types

BUILT_IN = (SHELL, PYTHON, SQL, HTTP, VIRTUAL)

logger = structlog.get_logger(__name__)


class UnknownTaskType(LookupError):
    """No runner on this worker for the task's type."""


def get_runner(task_type: str) -> Runner:
    """The runner of a type; raises UnknownTaskType."""
    known = task_types()
    found = known.get(task_type)
    if found is None:
        names = ", ".join(sorted(known))
        raise UnknownTaskType(
            f"There is no runner for tasks of type {task_type!r}; known are: {names}."
        )
    return _runner_of(found)


@cache
def _class_of(path: str) -> type[Runner]:
    module, _, name = path.partition(":")
    found = getattr(import_module(module), name)
    if not (isinstance(found, type) and issubclass(found, Runner)):
        raise TypeError("is not a subclass of instances.runners.base.Runner")
    return found


def _runner_of(task_type: TaskType) -> Runner:
    try:
        return _class_of(task_type.runner)(task_type)
    except Exception as error:  # a package may fail in any way
        logger.warning("runner_not_loaded", task_type=task_type.name, problem=repr(error))
        raise UnknownTaskType(
            f"The runner {task_type.runner!r} of tasks of type {task_type.name!r} cannot be"
            f" loaded: {type(error).__name__}: {error}"
        ) from error
