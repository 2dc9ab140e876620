"""What the fields of a draft's form are called, and what they show of a definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from projects.ground.fields.forms import to_text
from workflows.definitions.definition import DEFAULT_GROUP
from workflows.definitions.task_types import task_types


def config_name(task_type: str, field: str) -> str:
    """Return the form's field of a type's setting."""
    return f"config_{task_type}_{field}"


def config_names() -> list[str]:
    """Return the fields of all settings of all types."""
    return [
        config_name(one.name, field.name) for one in task_types().values() for field in one.config
    ]


def initial_of(draft: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form's fields show of a definition's mapping."""
    schedule = draft.get("schedule", {})
    shown: dict[str, Any] = {
        name: draft[name]
        for name in (
            "type",
            "description",
            "code",
            "depends_on",
            "self_dependent",
            "parameters",
            "timeout",
            "max_parallel",
            "catch_up",
            "priority",
        )
        if name in draft
    }
    shown["resource_group"] = draft.get("resource_group", DEFAULT_GROUP)
    for key, value in schedule.items():
        is_listed = isinstance(value, list) and key != "weekdays"
        shown[f"schedule_{key}"] = ", ".join(map(str, value)) if is_listed else value
    for key, value in draft.get("retries", {}).items():
        shown[f"retries_{key}"] = value
    task_type = task_types().get(draft.get("type", ""))
    for field in task_type.config if task_type else ():
        if field.name in draft.get("config", {}):
            value = draft["config"][field.name]
            shown[config_name(draft["type"], field.name)] = to_text(field, value)
    return shown
