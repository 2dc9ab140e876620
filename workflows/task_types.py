"""Task types: what a task of a type may be told, and how it is shown (T10).

Pure. A type says what its settings (`config`) are; how it runs is the runner's business. Packages
add types under the entry point group `tidemill.task_types`; an entry point names a `TaskType`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from workflows.field_reading import (
    FieldError,
    FieldReader,
    json_faults,
    normal_json,
    text_fault,
)

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "tidemill.task_types"


class FieldKind(StrEnum):
    """What a setting holds."""

    TEXT = "text"  # one or more lines
    INTEGER = "integer"  # a whole number between two bounds
    BOOLEAN = "boolean"  # true or false
    CHOICE = "choice"  # one of a list of texts
    LIST = "list"  # a list of texts or whole numbers; one may stand by itself
    TEXTS = "texts"  # a mapping of names to texts
    JSON = "json"  # a text, or a list or mapping that is sent as JSON
    DATA_SOURCE = "data_source"  # the name of a data source of the task's project


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigField:
    """One setting of a type. A setting that equals `default` is left out of definitions."""

    name: str
    help: str
    kind: FieldKind = FieldKind.TEXT
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int = 2**31 - 1
    max_length: int = 10_000
    max_items: int = 100
    # A regular expression for all of a text (of a LIST: of each item), and what it asks for.
    pattern: tuple[str, str] | None = None
    not_with: str = ""  # the setting that it may not stand beside

    def read(self, fields: FieldReader) -> Any:
        """Return the setting in its normal form, or None when absent or wrong."""
        if fields.raw(self.name) is None:
            if self.required:
                fields.refuse(self.name, "This field is required.")
            return None
        match self.kind:
            case FieldKind.INTEGER:
                return fields.integer(self.name, None, minimum=self.minimum, maximum=self.maximum)
            case FieldKind.BOOLEAN:
                return fields.boolean(self.name)
            case FieldKind.LIST:
                return self._read_list(fields)
            case FieldKind.TEXTS:
                return fields.texts(self.name, max_items=self.max_items, max_length=self.max_length)
            case FieldKind.JSON if isinstance(fields.raw(self.name), list | dict):
                return fields.raw(self.name)
            case _:
                return fields.text(
                    self.name,
                    required=self.required,
                    max_length=self.max_length,
                    choices=self.choices,
                    pattern=self.pattern,
                )

    def _read_list(self, fields: FieldReader) -> list[str | int]:
        if not isinstance(fields.raw(self.name), list | tuple):
            items: Sequence[Any] = [fields.raw(self.name)]
        else:
            items = fields.sequence(self.name, max_items=self.max_items)
        found: list[str | int] = []
        for index, item in enumerate(items):
            where = f"{self.name}.{index}"
            if isinstance(item, bool) or not isinstance(item, str | int):
                fields.refuse(where, "Must be a text or a whole number.")
            elif len(str(item)) > self.max_length:
                fields.refuse(where, f"At most {self.max_length:,} characters.")
            elif self.pattern and not re.fullmatch(self.pattern[0], str(item)):
                fields.refuse(where, self.pattern[1])
            else:
                found.append(item)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskType:
    """A kind of task. `code_language` is what its code is written in, or None for no code.

    A `virtual` task has no process: it succeeds as soon as it is ready.
    """

    name: str
    label: str
    help: str
    code_language: str | None = None
    config: tuple[ConfigField, ...] = ()
    virtual: bool = False

    def check_config(self, data: object) -> tuple[dict[str, Any], list[FieldError]]:
        """Return the settings in normal form, and what is wrong at `config.…`."""
        fields = FieldReader(data, [field.name for field in self.config], path="config")
        found: dict[str, Any] = {}
        for field in self.config:
            value = field.read(fields)
            if value not in (None, field.default, "", [], {}):
                found[field.name] = value
        for field in self.config:
            if field.name in found and field.not_with in found:
                fields.refuse(field.name, f"May not stand beside “{field.not_with}”.")
        faults = fields.errors + json_faults(found, "config")
        if faults:
            return {}, faults
        return {name: normal_json(value) for name, value in found.items()}, []

    def check_code(self, code: str) -> list[FieldError]:
        """Return what is wrong with the code of a task of this type, at `code`."""
        if self.code_language is None and code.strip():
            return [("code", f"A task of type {self.name} has no code.")]
        if self.code_language is not None and not code.strip():
            return [("code", f"A task of type {self.name} needs code.")]
        fault = text_fault(code)
        return [("code", fault)] if fault else []

    def data_source_fields(self) -> tuple[str, ...]:
        """Return the names of the settings that name a data source."""
        return tuple(field.name for field in self.config if field.kind is FieldKind.DATA_SOURCE)


_BUILT_IN = (
    TaskType(
        name="shell",
        label="Shell",
        help="A script for /bin/sh or another interpreter.",
        code_language="shell",
        config=(
            ConfigField(
                name="shell",
                help="The program that reads the script.",
                kind=FieldKind.CHOICE,
                default="/bin/sh",
                choices=("/bin/sh", "/bin/bash"),
            ),
            ConfigField(
                name="stop_on_error",
                help="Whether the script ends at the first command that fails.",
                kind=FieldKind.BOOLEAN,
                default=True,
            ),
        ),
    ),
    TaskType(
        name="python",
        label="Python",
        help="A Python program, run as __main__.",
        code_language="python",
        config=(
            ConfigField(
                name="arguments",
                help="What the program finds in sys.argv after its name.",
                kind=FieldKind.LIST,
            ),
        ),
    ),
    TaskType(
        name="sql",
        label="SQL",
        help="SQL statements for a data source, or for DuckDB when none is named.",
        code_language="sql",
        config=(
            ConfigField(
                name="data_source",
                help="A data source of the project; empty: DuckDB.",
                kind=FieldKind.DATA_SOURCE,
                max_length=64,
            ),
            ConfigField(
                name="database",
                help="The DuckDB database file; empty: in memory, gone after the task.",
                max_length=1000,
                not_with="data_source",
            ),
            ConfigField(
                name="rows",
                help="Rows of the last result that go to the log.",
                kind=FieldKind.INTEGER,
                default=20,
                maximum=10_000,
            ),
            ConfigField(
                name="lock_wait",
                help="Seconds to wait while another task writes the DuckDB file.",
                kind=FieldKind.INTEGER,
                default=60,
                maximum=24 * 3600,
            ),
        ),
    ),
    TaskType(
        name="http",
        label="HTTP",
        help="A request to a host that the project allows.",
        config=(
            ConfigField(
                name="method",
                help="The request's method.",
                kind=FieldKind.CHOICE,
                default="GET",
                choices=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
            ),
            ConfigField(
                name="url",
                help="The address, parameters filled in: https://api.example.com/d/${bizdate}.",
                required=True,
                max_length=4000,
            ),
            ConfigField(name="headers", help="Header names and values.", kind=FieldKind.TEXTS),
            ConfigField(
                name="body",
                help="What is sent: a text, or a list or mapping for JSON.",
                kind=FieldKind.JSON,
                max_length=1_000_000,
            ),
            ConfigField(
                name="expected_status",
                help="The statuses that count as success: 204, 200-299 (the default).",
                kind=FieldKind.LIST,
                pattern=(
                    r"[1-5]\d\d(-[1-5]\d\d)?",
                    "Must be a status such as 204 or a range such as 200-299.",
                ),
            ),
            ConfigField(
                name="timeout",
                help="Seconds until the answer has to be there.",
                kind=FieldKind.INTEGER,
                default=60,
                minimum=1,
                maximum=3600,
            ),
        ),
    ),
    TaskType(
        name="virtual",
        label="Virtual",
        help="Does nothing: a root or a meeting point for dependencies.",
        virtual=True,
    ),
)


@cache
def task_types() -> Mapping[str, TaskType]:
    """Return all types by name: the built-in ones, then those of packages by name.

    A package's type that cannot be loaded, or that takes another's name, is logged and left out.
    """
    found = {task_type.name: task_type for task_type in _BUILT_IN}
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
    return TaskType(name=name, label=name, help="The package that brought this type is missing.")
