"""What differs between two definitions, field by field (T9). Pure: works on their mappings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from workflows.definition import FIELDS


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field that differs. A side that lacks the field is None (it has the default)."""

    field: str
    before: Any
    after: Any

    @property
    def lines(self) -> list[str]:
        """The unified diff of the two values, without file names."""
        found = unified_diff(_lines(self.before), _lines(self.after), lineterm="")
        return list(found)[2:]


def diff(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[FieldDifference]:
    """Return the fields that differ, in the order of definitions; `before` is None at the first.

    Fields of mappings are compared one by one, as `schedule.at` or `parameters.day`.
    """
    old, new = _flat(before or {}), _flat(after)
    return [
        FieldDifference(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys(), key=_place)
        if old.get(name) != new.get(name)
    ]


def as_text(differences: list[FieldDifference]) -> str:
    """Return the differences as one text: a line with each field's name, then its diff."""
    return "\n".join(line for one in differences for line in (f"--- {one.field}", *one.lines))


def _flat(definition: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in definition.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            found[name] = value
    return found


def _place(name: str) -> tuple[int, str]:
    return FIELDS.index(name.partition(".")[0]), name


def _lines(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return value.split("\n")
    if isinstance(value, list):
        return [item if isinstance(item, str) else json.dumps(item) for item in value]
    return [json.dumps(value, sort_keys=True)]
