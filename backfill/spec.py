"""What a backfill plan asks for, read and checked field by field (B2, B3, B6–B8, B10, B11).

Pure: which tasks exist and what their schedules say is looked at later, by context.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from projects.refusals import Invalid

MAX_ROOT_TASKS = 500
MAX_TASKS = 2_000
MAX_PERIODS = 10
MAX_PERIOD_DAYS = 3_660  # ten years
MAX_CELLS = 10_000_000
MIN_GROUPS, MAX_GROUPS = 2, 10

FIRST_DATE = date(1970, 1, 1)
LAST_DATE = date(2199, 12, 31)
DAY_START = time(0, 0)
DAY_END = time(23, 59)


class EntryKind(StrEnum):
    """Where the root tasks come from (B2)."""

    TASKS = "tasks"  # the tasks named
    WORKFLOWS = "workflows"  # all tasks of the workflows named
    FOLDERS = "folders"  # all tasks of the workflows in the folders named
    PROJECT = "project"  # all tasks of the plan's project


class Scope(StrEnum):
    """Which tasks run, seen from the root tasks (B3 a)."""

    SELECTED = "selected"  # the root tasks
    SELECTED_AND_DOWNSTREAM = "selected_and_downstream"  # they and what depends on them
    ONLY_DOWNSTREAM = "only_downstream"  # what depends on them, without them


class RangeBy(StrEnum):
    """What the dates of the periods are (B6)."""

    DATA_DATE = "data_date"  # data dates: the day before the planned one
    PLANNED_TIME = "planned_time"  # local planned dates


class DependencyCheck(StrEnum):
    """Which upstream instances the plan's instances wait for (B8)."""

    ALL = "all"  # all of them, of the plan and outside of it
    NONE = "none"  # those of no other task: tasks run side by side
    SELECTED = "selected"  # those of the plan


class Order(StrEnum):
    """Which data dates go first where dependencies leave a choice (B11)."""

    ASCENDING = "ascending"
    DESCENDING = "descending"


class RunMode(StrEnum):
    """What lets an instance start, beside its dependencies (B10)."""

    BY_DEPENDENCY = "by_dependency"  # nothing else
    DAY_BY_DAY = "day_by_day"  # every instance of the day before has succeeded


class FutureRuns(StrEnum):
    """When instances planned in the future run (B7)."""

    WHEN_DUE = "when_due"  # when their planned time comes
    AT_ONCE = "at_once"  # now; the future date is what the task sees


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the plan starts: a kind, and the ids of tasks, workflows or folders."""

    kind: EntryKind
    ids: tuple[int, ...] = ()
    subfolders: bool = True


@dataclass(frozen=True, slots=True)
class Period:
    """Dates from `first` to `last`, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class PlanSpec:
    """A checked request. `downstream_task_ids` empty means the whole downstream; `groups`, None
    or 2 to 10, is how many lanes of dates run side by side in a plan that runs day by day.
    """

    entry: Entry
    periods: tuple[Period, ...]
    scope: Scope = Scope.SELECTED
    downstream_task_ids: tuple[int, ...] = ()
    range_by: RangeBy = RangeBy.DATA_DATE
    time_from: time = DAY_START
    time_until: time = DAY_END
    dependency_check: DependencyCheck = DependencyCheck.ALL
    order: Order = Order.ASCENDING
    future_runs: FutureRuns = FutureRuns.WHEN_DUE
    run_mode: RunMode = RunMode.BY_DEPENDENCY
    groups: int | None = None

    @classmethod
    def from_mapping(cls, data: object, *, today: date | None = None) -> PlanSpec:
        """Read `data` as JSON has it: dates "YYYY-MM-DD", times "HH:MM".

        Without periods the plan is for yesterday, the day before `today` (B6); `today` None makes
        them required. Raises Invalid with every fault, by field path such as "periods.0.last".
        """
        reader = _Reader()
        spec = _read_spec(reader, data, today)
        if reader.errors or spec is None:
            raise Invalid.from_pairs(reader.errors)
        return spec

    def to_mapping(self) -> dict[str, Any]:
        """The mapping that `from_mapping` reads back as an equal spec."""
        entry: dict[str, Any] = {"kind": self.entry.kind.value}
        if self.entry.kind is not EntryKind.PROJECT:
            entry["ids"] = list(self.entry.ids)
        if self.entry.kind is EntryKind.FOLDERS:
            entry["subfolders"] = self.entry.subfolders
        mapping: dict[str, Any] = {
            "entry": entry,
            "scope": self.scope.value,
            "range_by": self.range_by.value,
            "periods": [
                {"first": period.first.isoformat(), "last": period.last.isoformat()}
                for period in self.periods
            ],
            "time_from": self.time_from.strftime("%H:%M"),
            "time_until": self.time_until.strftime("%H:%M"),
            "dependency_check": self.dependency_check.value,
            "order": self.order.value,
            "future_runs": self.future_runs.value,
            "run_mode": self.run_mode.value,
            "groups": self.groups,
        }
        if self.downstream_task_ids:
            mapping["downstream_task_ids"] = list(self.downstream_task_ids)
        return mapping


KEYS = (
    "entry",
    "scope",
    "downstream_task_ids",
    "periods",
    "range_by",
    "time_from",
    "time_until",
    "dependency_check",
    "order",
    "future_runs",
    "run_mode",
    "groups",
)

E = TypeVar("E", bound=StrEnum)


class _Reader:
    """Reads single fields; a fault goes to `errors` and the default stands in for the value."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, str]] = []

    def fault(self, field: str, message: str) -> None:
        self.errors.append((field, message))

    def mapping(self, value: object, field: str, keys: Iterable[str]) -> Mapping[str, Any] | None:
        if not isinstance(value, Mapping):
            self.fault(field, "This must be an object with named fields.")
            return None
        known = list(keys)
        for key in value:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f" Did you mean “{close[0]}”?" if close else ""
                self.fault(f"{field}.{key}" if field else str(key), f"Unknown field.{hint}")
        return value

    def choice(self, value: object, field: str, choices: type[E], default: E) -> E:
        if value is None:
            return default
        for choice in choices:
            if choice == value:
                return choice
        self.fault(field, f"“{value}” is not one of: {', '.join(choices)}.")
        return default

    def ids(self, value: object, field: str) -> tuple[int, ...]:
        """Ids in their order, each once."""
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            self.fault(field, "This must be a list of ids.")
            return ()
        found: dict[int, None] = {}
        for index, item in enumerate(value):
            if isinstance(item, bool) or not isinstance(item, int) or not 0 < item < 2**63:
                self.fault(f"{field}.{index}", "This must be an id: a whole number above 0.")
            else:
                found[item] = None
        return tuple(found)

    def flag(self, value: object, field: str, default: bool) -> bool:
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fault(field, "This must be true or false.")
            return default
        return value

    def date(self, value: object, field: str) -> date | None:
        if isinstance(value, date) and not isinstance(value, datetime):
            day = value
        else:
            try:
                if not isinstance(value, str) or len(value) != len("YYYY-MM-DD"):
                    raise ValueError
                day = date.fromisoformat(value)
            except ValueError:
                self.fault(field, "This must be a date of the calendar, as YYYY-MM-DD.")
                return None
        if not FIRST_DATE <= day <= LAST_DATE:
            self.fault(field, f"Dates from {FIRST_DATE} to {LAST_DATE} can be planned.")
            return None
        return day

    def time(self, value: object, field: str, default: time) -> time:
        if value is None:
            return default
        if isinstance(value, time):
            return value.replace(second=0, microsecond=0)
        try:
            if not isinstance(value, str) or len(value) != len("HH:MM"):
                raise ValueError
            return datetime.strptime(value, "%H:%M").time()
        except ValueError:
            self.fault(field, "This must be a time of day, as HH:MM.")
            return default


def _read_spec(reader: _Reader, data: object, today: date | None) -> PlanSpec | None:
    fields = reader.mapping(data, "", KEYS)
    if fields is None:
        return None
    entry = _read_entry(reader, fields.get("entry"))
    scope = reader.choice(fields.get("scope"), "scope", Scope, Scope.SELECTED)
    downstream_ids = reader.ids(fields.get("downstream_task_ids"), "downstream_task_ids")
    if downstream_ids and scope is Scope.SELECTED:
        reader.fault(
            "downstream_task_ids", "Downstream tasks can be chosen only in a scope that has them."
        )
    periods = _read_periods(reader, fields.get("periods"), today)
    time_from = reader.time(fields.get("time_from"), "time_from", DAY_START)
    time_until = reader.time(fields.get("time_until"), "time_until", DAY_END)
    if time_until < time_from:
        reader.fault("time_until", f"This is before the start, {time_from:%H:%M}.")
    run_mode = reader.choice(fields.get("run_mode"), "run_mode", RunMode, RunMode.BY_DEPENDENCY)
    return PlanSpec(
        entry=entry or Entry(EntryKind.PROJECT),
        periods=periods,
        scope=scope,
        downstream_task_ids=downstream_ids,
        range_by=reader.choice(fields.get("range_by"), "range_by", RangeBy, RangeBy.DATA_DATE),
        time_from=time_from,
        time_until=time_until,
        dependency_check=reader.choice(
            fields.get("dependency_check"),
            "dependency_check",
            DependencyCheck,
            DependencyCheck.ALL,
        ),
        order=reader.choice(fields.get("order"), "order", Order, Order.ASCENDING),
        future_runs=reader.choice(
            fields.get("future_runs"), "future_runs", FutureRuns, FutureRuns.WHEN_DUE
        ),
        run_mode=run_mode,
        groups=_read_groups(reader, fields.get("groups"), run_mode),
    )


def _read_groups(reader: _Reader, value: object, run_mode: RunMode) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        reader.fault("groups", "This must be a whole number, or null for one date after the other.")
    elif not MIN_GROUPS <= value <= MAX_GROUPS:
        reader.fault("groups", f"From {MIN_GROUPS} to {MAX_GROUPS} groups can run side by side.")
    elif run_mode is not RunMode.DAY_BY_DAY:
        reader.fault("groups", f"Dates are grouped only in the run mode {RunMode.DAY_BY_DAY}.")
    else:
        return value
    return None


def _read_entry(reader: _Reader, value: object) -> Entry | None:
    if value is None:
        reader.fault("entry", "Say which tasks, workflows, folders or project to run.")
        return None
    fields = reader.mapping(value, "entry", ("kind", "ids", "subfolders"))
    if fields is None:
        return None
    if fields.get("kind") is None:
        reader.fault("entry.kind", f"Give one of: {', '.join(EntryKind)}.")
        return None
    before = len(reader.errors)
    kind = reader.choice(fields["kind"], "entry.kind", EntryKind, EntryKind.TASKS)
    ids = reader.ids(fields.get("ids"), "entry.ids")
    subfolders = reader.flag(fields.get("subfolders"), "entry.subfolders", True)
    if len(reader.errors) > before:
        return None
    if kind is EntryKind.PROJECT and ids:
        reader.fault("entry.ids", "A project entry is the plan's own project and takes no ids.")
    if kind is not EntryKind.PROJECT and not ids:
        reader.fault("entry.ids", f"Choose at least one of the {kind}.")
    if kind is EntryKind.TASKS and len(ids) > MAX_ROOT_TASKS:
        reader.fault("entry.ids", too_many_roots(len(ids)))
    return Entry(kind, ids, subfolders)


def _read_periods(reader: _Reader, value: object, today: date | None) -> tuple[Period, ...]:
    if value is None and today is not None:
        yesterday = today - timedelta(days=1)
        return (Period(yesterday, yesterday),)
    if not isinstance(value, list | tuple) or not value:
        reader.fault("periods", "Give at least one period of dates.")
        return ()
    if len(value) > MAX_PERIODS:
        reader.fault("periods", f"A plan takes at most {MAX_PERIODS} periods, not {len(value)}.")
        return ()
    periods = [_read_period(reader, item, f"periods.{index}") for index, item in enumerate(value)]
    return tuple(period for period in periods if period is not None)


def _read_period(reader: _Reader, value: object, field: str) -> Period | None:
    fields = reader.mapping(value, field, ("first", "last"))
    if fields is None:
        return None
    first = reader.date(fields.get("first"), f"{field}.first")
    last = reader.date(fields.get("last"), f"{field}.last")
    if first is None or last is None:
        return None
    if last < first:
        reader.fault(f"{field}.last", f"The period ends on {last}, before it starts on {first}.")
        return None
    period = Period(first, last)
    if period.days > MAX_PERIOD_DAYS:
        reader.fault(
            f"{field}.last",
            f"A period has at most {MAX_PERIOD_DAYS:,} days, not {period.days:,}.",
        )
        return None
    return period


def too_many_roots(count: int) -> str:
    """The sentence that refuses `count` root tasks (B3)."""
    return f"A plan takes at most {MAX_ROOT_TASKS} root tasks; {count:,} are chosen."


def too_many_tasks(count: int) -> str:
    """The sentence that refuses `count` tasks in all (B3)."""
    return f"A plan takes at most {MAX_TASKS:,} tasks; {count:,} are selected."


def too_many_cells(count: int) -> str:
    """The sentence that refuses `count` planned instances."""
    return f"A plan takes at most {MAX_CELLS:,} instances; this one has {count:,}."
