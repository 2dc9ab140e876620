"""The OpenAPI schema of a task's definition: one for each type, from what the type declares."""

from __future__ import annotations

from typing import Any

from projects.ground.fields.openapi import field_schema, object_schema
from projects.rest.fields import DeclaredField, Refer
from workflows.choices import Priority
from workflows.definitions.definition import (
    MAX_CODE_LENGTH,
    MAX_DEPENDENCIES,
    MAX_REFERENCE_LENGTH,
    PLAIN,
)
from workflows.definitions.task_types import TaskType, task_types
from workflows.parameters.resolution import MAX_PARAMETERS, MAX_VALUE_LENGTH
from workflows.schedules import Cycle
from workflows.schedules.matching import Offset, Scope
from workflows.schedules.reading import KEYS

_CLOCK = {"type": "string", "description": "A time of day, HH:MM."}


def _numbers(least: int, most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}


_SCHEDULE: dict[str, dict[str, Any]] = {
    "every": {"description": "Minutes, or hours.", **_numbers(1, 59)},
    "from": {"default": "00:00", **_CLOCK},
    "until": {"default": "23:59", **_CLOCK},
    "hours": {"type": "array", "items": _numbers(0, 23), "minItems": 1},
    "minute": {"default": 0, "description": "Of the hours.", **_numbers(0, 59)},
    "at": {"type": "string", "description": "HH:MM or HH:MM:SS; of one_time with the date before."},
    "weekdays": {"type": "array", "items": _numbers(1, 7), "minItems": 1, "description": "1: Mon."},
    "days": {
        "type": "array",
        "items": {"oneOf": [_numbers(1, 31), {"type": "string", "pattern": "^last$"}]},
        "minItems": 1,
    },
    "dates": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "MM-DD."},
    "expression": {"type": "string", "description": "A crontab of five fields."},
}
_SCHEDULE_OF_ALL: dict[str, dict[str, Any]] = {
    "time_zone": {"type": "string", "description": "IANA; without it the workflow's."},
    "effective_from": {"type": "string", "description": "A date, or a date and a time."},
    "effective_until": {"type": "string", "description": "As effective_from; included."},
}


class DefinitionField(DeclaredField):
    """A task's definition, as in a workflow file's tasks."""

    def schema(self, refer: Refer) -> dict[str, Any]:
        kinds = {one.name: _refer_to_type(one, refer) for one in task_types().values()}
        return refer(
            "TaskDefinition",
            {
                "oneOf": list(kinds.values()),
                "discriminator": {
                    "propertyName": "type",
                    "mapping": {name: one["$ref"] for name, one in kinds.items()},
                },
            },
        )


def _refer_to_type(task_type: TaskType, refer: Refer) -> dict[str, Any]:
    config = object_schema(task_type.config, description=f"The settings of {task_type.label}.")
    required = ["type", "schedule"]
    code: dict[str, Any] = {}
    if task_type.code_language is not None:
        required.append("code")
        code = {"code": {"type": "string", "minLength": 1, "maxLength": MAX_CODE_LENGTH}}
    if config.get("required"):
        required.append("config")
    name = "".join(part.capitalize() for part in task_type.name.split("_"))
    schema = {
        "type": "object",
        "description": task_type.help,
        "properties": {
            "type": {"type": "string", "pattern": f"^{task_type.name}$"},
            "schedule": refer("TaskSchedule", _schedule(refer)),
            **code,
            "config": refer(f"{name}Config", config),
            **{field.name: field_schema(field) for field in PLAIN},
            "parameters": {
                "type": "object",
                "description": "Values by name: constants, built-ins, expressions on dates.",
                "additionalProperties": {"type": "string", "maxLength": MAX_VALUE_LENGTH},
                "maxProperties": MAX_PARAMETERS,
            },
            "depends_on": {
                "type": "array",
                "description": "What it waits for: `[[project/]workflow/]task`.",
                "items": {"oneOf": [_reference(), refer("TaskDependency", _dependency())]},
                "maxItems": MAX_DEPENDENCIES,
            },
            "priority": {
                "type": "integer",
                "minimum": min(Priority.values),
                "maximum": max(Priority.values),
                "default": Priority.NORMAL.value,
                "description": f"One of {', '.join(map(str, Priority.values))}.",
            },
        },
        "required": required,
        "additionalProperties": False,
    }
    return refer(f"{name}Task", schema)


def _schedule(refer: Refer) -> dict[str, Any]:
    """One schema for each cycle: its own keys, and those of all."""
    kinds = {}
    for cycle in Cycle:
        name = "".join(part.capitalize() for part in cycle.split("_"))
        schema = {
            "type": "object",
            "properties": {
                "cycle": {"type": "string", "pattern": f"^{cycle}$"},
                **{key: _SCHEDULE[key] for key in KEYS[cycle]},
                **_SCHEDULE_OF_ALL,
            },
            "required": ["cycle"],
            "additionalProperties": False,
        }
        kinds[cycle.value] = refer(f"{name}Schedule", schema)
    return {
        "oneOf": list(kinds.values()),
        "discriminator": {
            "propertyName": "cycle",
            "mapping": {name: one["$ref"] for name, one in kinds.items()},
        },
    }


def _reference() -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": MAX_REFERENCE_LENGTH}


def _dependency() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "task": _reference(),
            "offset": {"type": "string", "enum": list(map(str, Offset))},
            "scope": {"type": "string", "enum": list(map(str, Scope))},
        },
        "required": ["task"],
        "additionalProperties": False,
    }


# A workflow file as it is exported: YAML, so an object and not a text.
FILE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A workflow file; each task is its name and its definition.",
    "properties": {
        "tidemill": {"type": "integer", "description": "The version of the format."},
        "workflow": {"type": "string"},
        "folder": {"type": "string"},
        "description": {"type": "string"},
        "time_zone": {"type": "string"},
        "owners": {"type": "array", "items": {"type": "string"}},
        "tasks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "type": {"type": "string"}},
                "required": ["name", "type", "schedule"],
            },
        },
    },
    "required": ["tidemill", "workflow", "tasks"],
    "additionalProperties": False,
}
