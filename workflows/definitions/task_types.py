"""Task types: what a task of a type may be told, how it is shown, and where its runner is (T10).

A type is declared once, in one folder, by a `TaskType`: its settings as fields, and the name of
the class that runs it, which is imported where tasks run and nowhere else. The apps above register
the types of the product when they are ready; packages name theirs under the entry point group
`tidemill.task_types`. See docs/decisions/task-types.md.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from django.utils.translation import gettext as _

from projects.ground.fields.faults import FieldError
from projects.ground.fields.field import Field, Kind, given, misplaced
from projects.ground.fields.json import json_faults, normal_json, text_fault
from projects.ground.fields.reader import FieldReader

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "tidemill.task_types"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskType:
    """A kind of task. `code_language` is what its code is written in, or None for no code.

    `runner` names its class: "package.module:Class". A `virtual` task has no process: it succeeds
    as soon as it is ready.
    """

    name: str
    label: str
    help: str
    runner: str = ""
    code_language: str | None = None
    config: tuple[Field, ...] = ()
    virtual: bool = False

    def check_config(self, data: object) -> tuple[dict[str, Any], list[FieldError]]:
        """Return the settings in normal form, defaults left out, and the faults at `config.…`."""
        fields = FieldReader(data, [field.name for field in self.config], path="config")
        values = {field.name: field.read(fields) for field in self.config}
        for name, message in misplaced(self.config, values):
            fields.refuse(name, message)
        found = given(self.config, values)
        faults = fields.errors + json_faults(found, "config")
        if faults:
            return {}, faults
        return {name: normal_json(value) for name, value in found.items()}, []

    def with_defaults(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings: those of a checked `config`, and the defaults of the others."""
        return {field.name: config.get(field.name, field.default) for field in self.config}

    def check_code(self, code: str) -> list[FieldError]:
        """Return what is wrong with the code of a task of this type, at `code`."""
        if self.code_language is None and code.strip():
            return [("code", _("A task of type {name} has no code.").format(name=self.name))]
        if self.code_language is not None and not code.strip():
            return [("code", _("A task of type {name} needs code.").format(name=self.name))]
        fault = text_fault(code)
        return [("code", fault)] if fault else []

    def data_source_fields(self) -> tuple[str, ...]:
        """Return the names of the settings that name a data source."""
        return tuple(field.name for field in self.config if field.kind is Kind.DATA_SOURCE)


_registered: dict[str, TaskType] = {}


def register(*types: TaskType) -> None:
    """Make types of the product known; called once, when the app that brings them is ready."""
    _registered.update({one.name: one for one in types})
    task_types.cache_clear()


@cache
def task_types() -> Mapping[str, TaskType]:
    """Return all types by name: those of the product, then those of packages by name.

    A package's type that cannot be loaded, or that takes another's name, is logged and left out.
    """
    found = dict(_registered)
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda one: one.name):
        try:
            task_type = entry_point.load()
        except Exception:
            logger.exception("The task type %s cannot be loaded", entry_point.value)
            continue
        if not isinstance(task_type, TaskType) or task_type.name in found:
            logger.error("The entry point %s names no new TaskType", entry_point.value)
            continue
        found[task_type.name] = task_type
    return found


def get_task_type(name: str) -> TaskType | None:
    """Return the type of that name, or None."""
    return task_types().get(name)


def unknown_type(name: str) -> TaskType:
    """Return what stands for a type that no package brings any more."""
    return TaskType(name=name, label=name, help=_("The package that brought this type is missing."))
