"""What differs between two definitions, field by field (T9). Pure: works on their mappings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from projects.ground.fields.field import Field, Kind
from projects.ground.fields.reader import FieldReader
from projects.ground.words import gettext_lazy
from workflows.choices import Priority
from workflows.definitions.definition import FIELDS, PLAIN
from workflows.definitions.task_types import get_task_type

_NO_VALUE = Field(help="").none
_PRIORITY = Field(
    name="priority",
    help=gettext_lazy("Which is dispatched first."),
    kind=Kind.INTEGER,
    default=Priority.NORMAL.value,
    minimum=Priority.LOWEST.value,
    maximum=Priority.HIGHEST.value,
    spelled=lambda value: str(dict(Priority.choices).get(value, value)),
)


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field that differs. A side that lacks the field is None (it has the default).

    `words` has both sides for people, such as "1 day → 10 min", where one is a declared default.
    """

    field: str
    before: Any
    after: Any
    words: str = ""

    @property
    def is_short(self) -> bool:
        """Whether each side is a line at most: where in the value it differs says nothing."""
        return len(_lines(self.before)) <= 1 and len(_lines(self.after)) <= 1

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
    declared = _declared(old, new) if before is not None else {}
    return [
        FieldDifference(name, was, now, _words(declared.get(name), was, now))
        for name in sorted(old.keys() | new.keys(), key=_place)
        if (was := old.get(name)) != (now := new.get(name))
    ]


def _declared(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Field]:
    """Return the fields that have a declared default, by the names that differences have."""
    found = {"priority": _PRIORITY}
    for one in PLAIN:
        if one.kind is Kind.OBJECT:
            found |= {f"{one.name}.{inner.name}": inner for inner in one.fields}
        else:
            found[one.name] = one
    # Of another type a setting of the same name is another one.
    if old.get("type") == new.get("type") and (kind := get_task_type(str(new.get("type")))):
        found |= {f"config.{one.name}": one for one in kind.config if not one.required}
    return found


def _words(declared: Field | None, before: Any, after: Any) -> str:
    if declared is None or (before is None) == (after is None):
        return ""
    default = declared.words(declared.plain(declared.default))
    reader = FieldReader({declared.name: after if before is None else before}, None)
    value = declared.read(reader)
    if reader.errors or default == _NO_VALUE:  # a draft may hold anything
        return ""
    told = declared.words(declared.plain(value))
    return f"{default} → {told}" if before is None else f"{told} → {default}"


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
