"""How many cells a grid has, by task and by day, without making one (B16). Pure.

Costs a step for each day of each *distinct* schedule, and one for each task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from backfill.planning.grid import Grid, runs_of
from backfill.states import SkipReason
from workflows.schedules import Schedule, counts_by_day


@dataclass(frozen=True, slots=True)
class TaskCount:
    """The cells of one task: `cells` = `instances` + skips."""

    cells: int
    instances: int


@dataclass(frozen=True, slots=True)
class GridCount:
    """The cells of a grid. Days without a cell are absent from the mappings."""

    cells: int
    instances: int
    by_task: tuple[TaskCount, ...]  # in the order of the grid's tasks
    cells_by_day: Mapping[date, int]
    instances_by_day: Mapping[date, int]

    @property
    def skipped(self) -> dict[SkipReason, int]:
        """The number of skips by reason; reasons that do not occur are absent."""
        left = self.cells - self.instances
        return {SkipReason.NOT_EFFECTIVE: left} if left else {}


def count_grid(grid: Grid) -> GridCount:
    """Count the cells that `expansion.cells` would make of the grid."""
    runs = runs_of(grid.days)
    users = Counter(task.schedule for task in grid.tasks)
    of_schedule: dict[Schedule, TaskCount] = {}
    # Schedules that differ in nothing but their effective range share the count of their cells.
    unbounded: dict[tuple[object, str], dict[date, int]] = {}
    cells_by_day: Counter[date] = Counter()
    instances_by_day: Counter[date] = Counter()
    for schedule, number in users.items():
        key = (schedule.rule, schedule.time_zone)
        cells = unbounded.get(key)
        if cells is None:
            cells = unbounded[key] = _counts(without_range(schedule), runs, grid)
        bounded = schedule.effective_start is not None or schedule.effective_end is not None
        instances = _counts(schedule, runs, grid) if bounded else cells
        of_schedule[schedule] = TaskCount(sum(cells.values()), sum(instances.values()))
        for counts, total in ((cells, cells_by_day), (instances, instances_by_day)):
            for day, count in counts.items():
                total[day] += count * number
    by_task = tuple(of_schedule[task.schedule] for task in grid.tasks)
    return GridCount(
        cells=sum(count.cells for count in by_task),
        instances=sum(count.instances for count in by_task),
        by_task=by_task,
        cells_by_day=cells_by_day,
        instances_by_day=instances_by_day,
    )


def without_range(schedule: Schedule) -> Schedule:
    """The same schedule, effective for ever."""
    if schedule.effective_from is None and schedule.effective_until is None:
        return schedule
    return Schedule(schedule.cycle, schedule.rule, schedule.time_zone)


def _counts(schedule: Schedule, runs: list[tuple[date, date]], grid: Grid) -> dict[date, int]:
    found: dict[date, int] = {}
    for first, last in runs:
        found |= counts_by_day(schedule, first, last, **grid.hours)
    return found
