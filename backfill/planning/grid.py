"""The grid of a plan: tasks by days, whose cells are the slots it runs (design §7).

Pure. Preview counts the grid, expansion walks over it: both stand on this one value, so they
cannot disagree. A *cell* is a slot (task, planned time) whose local day is one of the plan's days
and whose time of day is within the plan's hours. Outside the task's effective range a cell is a
skip; every other one becomes an instance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from backfill.options.dates import DAY_END, DAY_START
from backfill.options.dependencies import DependencyCheck
from workflows.schedules import Schedule, fires_on
from workflows.schedules.matching import Offset, Scope


@dataclass(frozen=True, slots=True)
class Upstream:
    """A task that another one waits for, in the plan or not, and which of its instances."""

    task_id: int
    schedule: Schedule
    self_dependent: bool = False
    offset: Offset = Offset.SAME
    scope: Scope = Scope.DEFAULT


@dataclass(frozen=True, slots=True)
class GridTask:
    """A task of the plan, as far as its cells and edges go."""

    id: int
    schedule: Schedule
    self_dependent: bool = False
    upstreams: tuple[Upstream, ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """A planned time of a schedule on one day; `effective` False makes its cell a skip."""

    scheduled_at: datetime
    local_time: time
    effective: bool = True


@dataclass(frozen=True, slots=True)
class Grid:
    """`tasks` in topological order by `days` (local planned dates) in the order of their start.

    `time_from` and `time_until` limit minute and hour schedules, both included (B6).
    """

    tasks: tuple[GridTask, ...]
    days: tuple[date, ...]
    time_from: time = DAY_START
    time_until: time = DAY_END
    check: DependencyCheck = DependencyCheck.ALL
    _days: frozenset[date] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_days", frozenset(self.days))

    @property
    def hours(self) -> dict[str, time | None]:
        """The plan's hours as the schedules' functions take them; the whole day as none at all."""
        if self.whole_days:
            return {"time_from": None, "time_until": None}
        return {"time_from": self.time_from, "time_until": self.time_until}

    @property
    def whole_days(self) -> bool:
        """True when no hour of the day is left out."""
        return (self.time_from, self.time_until) == (DAY_START, DAY_END)

    def slots(self, schedule: Schedule, day: date) -> tuple[Slot, ...]:
        """The cells' slots of a task with this schedule on a local day, in order of time."""
        zone = schedule.zone
        fires = fires_on(schedule, day, ignore_effective=True, **self.hours)
        return tuple(
            Slot(fire, fire.astimezone(zone).time(), schedule.is_effective(fire)) for fire in fires
        )

    def holds(self, schedule: Schedule, fire: datetime) -> bool:
        """True when an effective fire of a schedule is a cell of a task that has the schedule."""
        local = fire.astimezone(schedule.zone)
        if local.date() not in self._days:
            return False
        if self.whole_days or not schedule.is_sub_day:
            return True
        minute = local.time().replace(second=0, microsecond=0)
        return self.time_from <= minute <= self.time_until


def runs_of(days: Sequence[date]) -> list[tuple[date, date]]:
    """The days, in whatever order, as (first, last) of each run without a gap, ascending."""
    runs: list[tuple[date, date]] = []
    for day in sorted(days):
        if runs and day.toordinal() == runs[-1][1].toordinal() + 1:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs
