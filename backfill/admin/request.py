"""What somebody asks for in the wizard: read from a form, shown in it again, made into a spec.

The wizard has three steps in one form: every step sends all of it, so nothing is lost on the way
back. What is wrong is kept by the field paths of backfill.spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.http import QueryDict

from backfill.models import Plan
from backfill.options.dates import MAX_PERIODS
from backfill.options.entry import EntryKind
from backfill.options.selection import Scope
from backfill.spec import options
from backfill.verbs.revisions import revision_of
from projects.ground.fields.field import Field
from projects.ground.fields.forms import from_text, to_text
from projects.ground.words import gettext_lazy

STEPS = (gettext_lazy("Tasks"), gettext_lazy("Dates and rules"), gettext_lazy("Preview"))
# The step that shows a field, by the beginning of its path.
_STEP_OF = {
    "project": 1,
    **{field.name: step for step in (1, 2) for field in options(step)},
    "name": 3,
    "description": 3,
}
FIELDS = tuple(_STEP_OF)
# What the wizard asks for in a way of its own; all else follows from its declaration.
COMPOSED = ("entry", "downstream_task_ids", "periods")
SIMPLE = tuple(field for field in options() if field.name not in COMPOSED)


def _defaults() -> dict[str, str]:
    return {field.name: _text(field, field.plain(field.default)) for field in SIMPLE}


def _text(field: Field, value: Any) -> str:
    return str(to_text(field, value))


@dataclass(slots=True)
class PlanRequest:
    """The fields of the wizard as texts and ids; `values` are those of the simple options by name,
    `errors` messages by field path.
    """

    project_id: int | None = None
    kind: str = EntryKind.TASKS.value
    ids: list[int] = field(default_factory=list)
    subfolders: bool = True
    downstream: list[int] = field(default_factory=list)
    downstream_shown: list[int] = field(default_factory=list)
    periods: list[tuple[str, str]] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=_defaults)
    name: str = ""
    description: str = ""
    revision: str = ""  # of the draft that is changed
    errors: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What was kept in a session may be from before an option was added.
        self.values = {name: self.values.get(name, text) for name, text in _defaults().items()}

    @classmethod
    def from_post(cls, data: QueryDict) -> PlanRequest:
        """Read the form."""
        firsts, lasts = data.getlist("period_first"), data.getlist("period_last")
        periods = [
            (first.strip(), last.strip()) for first, last in zip(firsts, lasts, strict=False)
        ]
        kind = data.get("kind", EntryKind.TASKS.value)
        return cls(
            project_id=_number(data.get("project", "")),
            kind=kind,
            ids=_numbers(data.getlist(f"ids_{kind}")),
            subfolders=data.get("subfolders") == "1",
            downstream=_numbers(data.getlist("downstream")),
            downstream_shown=_numbers(data.get("downstream_shown", "").split(",")),
            periods=[period for period in periods if any(period)][: MAX_PERIODS + 1],
            values={name: data.get(name, shown).strip() for name, shown in _defaults().items()},
            name=data.get("name", "").strip(),
            description=data.get("description", "").strip(),
            revision=data.get("revision", ""),
        )

    @classmethod
    def from_plan(cls, plan: Plan) -> PlanRequest:
        """Read a saved plan."""
        spec: Mapping[str, Any] = plan.spec
        entry = spec["entry"]
        saved = {one.name: _text(one, spec[one.name]) for one in SIMPLE if one.name in spec}
        return cls(
            project_id=plan.project_id,
            kind=entry["kind"],
            ids=list(entry.get("ids", ())),
            subfolders=entry.get("subfolders", True),
            downstream=list(spec.get("downstream_task_ids", ())),
            periods=[(one["first"], one["last"]) for one in spec["periods"]],
            values=saved,
            name=plan.name,
            description=plan.description,
            revision=revision_of(plan),
        )

    @classmethod
    def from_address(cls, data: QueryDict, *, today: date) -> PlanRequest:
        """Begin with what an entry of a list has chosen; the dates begin with yesterday (B6)."""
        yesterday = (today - timedelta(days=1)).isoformat()
        kind = data.get("kind", EntryKind.TASKS.value)
        return cls(
            project_id=_number(data.get("project", "")),
            kind=kind if kind in list(EntryKind) else EntryKind.TASKS.value,
            ids=_numbers(data.get("ids", "").split(",")),
            periods=[(yesterday, yesterday)],
        )

    def spec_mapping(self) -> dict[str, Any]:
        """Return the mapping that backfill.spec reads; it says what is wrong with it."""
        entry: dict[str, Any] = {"kind": self.kind}
        if self.kind != EntryKind.PROJECT:
            entry["ids"] = self.ids
        if self.kind == EntryKind.FOLDERS:
            entry["subfolders"] = self.subfolders
        mapping: dict[str, Any] = {
            "entry": entry,
            "periods": [{"first": first, "last": last or first} for first, last in self.periods],
        }
        for one in SIMPLE:
            # Where the field that it belongs to says otherwise it is not shown, so not meant.
            if one.applies(self.values):
                mapping[one.name] = from_text(one, self.values[one.name])
        if self.scope != Scope.SELECTED and self.chosen_downstream():
            mapping["downstream_task_ids"] = self.chosen_downstream()
        return mapping

    @property
    def scope(self) -> str:
        return self.values["scope"]

    def chosen_downstream(self) -> list[int]:
        """Return the downstream tasks to run; none means all of them, whatever is there."""
        if self.downstream_shown and set(self.downstream) == set(self.downstream_shown):
            return []
        return self.downstream

    def with_default_dates(self) -> PlanRequest:
        """Return the request with dates that are right for sure: to look at its tasks alone."""
        return PlanRequest(
            project_id=self.project_id,
            kind=self.kind,
            ids=self.ids,
            subfolders=self.subfolders,
            periods=[("2020-01-01", "2020-01-01")],
            values={"scope": self.scope},
        )

    def refuse(self, path: str, message: str) -> None:
        """Note that a field is wrong."""
        self.errors.setdefault(path, []).append(message)

    def step_at_fault(self) -> int | None:
        """Return the first step with a wrong field."""
        steps = [_STEP_OF.get(path.partition(".")[0], 3) for path in self.errors]
        return min(steps, default=None)

    def errors_of(self, beginning: str) -> list[str]:
        """Return the messages of a field and of what is in it."""
        return [
            message
            for path, messages in self.errors.items()
            for message in messages
            if path == beginning or path.startswith(f"{beginning}.")
        ]

    def other_errors(self) -> list[str]:
        """Return the messages of fields that no step shows."""
        return [
            message
            for path, messages in self.errors.items()
            for message in messages
            if path.partition(".")[0] not in _STEP_OF
        ]


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _numbers(texts: list[str]) -> list[int]:
    found = (_number(text) for text in texts)
    return list(dict.fromkeys(number for number in found if number is not None))
