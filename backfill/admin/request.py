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
from backfill.spec import (
    MAX_PERIODS,
    DependencyCheck,
    EntryKind,
    FutureRuns,
    Order,
    RangeBy,
    RunMode,
    Scope,
)

STEPS = ("Tasks", "Dates and rules", "Preview")
# The step that shows a field, by the beginning of its path.
_STEP_OF = {
    "project": 1,
    "entry": 1,
    "scope": 1,
    "downstream_task_ids": 1,
    "periods": 2,
    "range_by": 2,
    "time_from": 2,
    "time_until": 2,
    "dependency_check": 2,
    "order": 2,
    "future_runs": 2,
    "run_mode": 2,
    "groups": 2,
    "name": 3,
    "description": 3,
}


@dataclass(slots=True)
class PlanRequest:
    """The fields of the wizard as texts and ids; `errors` are messages by field path."""

    project_id: int | None = None
    kind: str = EntryKind.TASKS.value
    ids: list[int] = field(default_factory=list)
    subfolders: bool = True
    scope: str = Scope.SELECTED.value
    downstream: list[int] = field(default_factory=list)
    downstream_shown: list[int] = field(default_factory=list)
    range_by: str = RangeBy.DATA_DATE.value
    periods: list[tuple[str, str]] = field(default_factory=list)
    time_from: str = "00:00"
    time_until: str = "23:59"
    dependency_check: str = DependencyCheck.ALL.value
    order: str = Order.ASCENDING.value
    future_runs: str = FutureRuns.WHEN_DUE.value
    run_mode: str = RunMode.BY_DEPENDENCY.value
    groups: str = ""
    name: str = ""
    description: str = ""
    errors: dict[str, list[str]] = field(default_factory=dict)

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
            scope=data.get("scope", Scope.SELECTED.value),
            downstream=_numbers(data.getlist("downstream")),
            downstream_shown=_numbers(data.get("downstream_shown", "").split(",")),
            range_by=data.get("range_by", RangeBy.DATA_DATE.value),
            periods=[period for period in periods if any(period)][: MAX_PERIODS + 1],
            time_from=data.get("time_from", "").strip()[:5],
            time_until=data.get("time_until", "").strip()[:5],
            dependency_check=data.get("dependency_check", DependencyCheck.ALL.value),
            order=data.get("order", Order.ASCENDING.value),
            future_runs=data.get("future_runs", FutureRuns.WHEN_DUE.value),
            run_mode=data.get("run_mode", RunMode.BY_DEPENDENCY.value),
            groups=data.get("groups", "").strip(),
            name=data.get("name", "").strip(),
            description=data.get("description", "").strip(),
        )

    @classmethod
    def from_plan(cls, plan: Plan) -> PlanRequest:
        """Read a saved plan."""
        spec: Mapping[str, Any] = plan.spec
        entry = spec["entry"]
        return cls(
            project_id=plan.project_id,
            kind=entry["kind"],
            ids=list(entry.get("ids", ())),
            subfolders=entry.get("subfolders", True),
            scope=spec["scope"],
            downstream=list(spec.get("downstream_task_ids", ())),
            range_by=spec["range_by"],
            periods=[(one["first"], one["last"]) for one in spec["periods"]],
            time_from=spec["time_from"],
            time_until=spec["time_until"],
            dependency_check=spec["dependency_check"],
            order=spec["order"],
            future_runs=spec["future_runs"],
            run_mode=spec["run_mode"],
            groups=str(spec["groups"] or ""),
            name=plan.name,
            description=plan.description,
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
            "scope": self.scope,
            "range_by": self.range_by,
            "periods": [{"first": first, "last": last or first} for first, last in self.periods],
            "time_from": self.time_from or None,
            "time_until": self.time_until or None,
            "dependency_check": self.dependency_check,
            "order": self.order,
            "future_runs": self.future_runs,
            "run_mode": self.run_mode,
        }
        # Not shown in the other mode, so whatever stands there is not meant.
        if self.run_mode == RunMode.DAY_BY_DAY and self.groups:
            number = _number(self.groups)
            mapping["groups"] = self.groups if number is None else number
        if self.scope != Scope.SELECTED and self.chosen_downstream():
            mapping["downstream_task_ids"] = self.chosen_downstream()
        return mapping

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
            scope=self.scope,
            periods=[("2020-01-01", "2020-01-01")],
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
