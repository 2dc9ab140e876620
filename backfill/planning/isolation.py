"""Isolated instances: those that would wait for something that will never come (B16).

An upstream slot outside the plan holds an instance for good when it does not exist, is owed, and
nothing is going to make it: generation has passed it by, or its task is not scheduling.

Most tasks cannot wait for anything outside: what they wait for is in the plan and on the same day.
The others are looked at cell by cell up to CELLS_LOOKED_AT cells; of a larger plan a sample of
the days is, always with the first and last day of each stretch, where slots fall outside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice

from backfill.options.dependencies import DependencyCheck
from backfill.planning.counting import GridCount
from backfill.planning.edges import CellEdge, EdgeFinder
from backfill.planning.facts import TaskFacts
from backfill.planning.grid import Grid, GridTask, Slot, Upstream, runs_of
from instances.engine.fires import existing_slots
from workflows.schedules import Schedule
from workflows.schedules.matching import Offset, Scope

CELLS_LOOKED_AT = 20_000
CELLS_OF_SAMPLE = 3_000
SLOTS_OF_SAMPLE = 100_000
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class IsolatedCell:
    """An instance of the plan, and an upstream slot that will never come for it."""

    task_id: int
    scheduled_at: datetime
    upstream_task_id: int
    upstream_scheduled_at: datetime


@dataclass(frozen=True, slots=True)
class Isolation:
    """How many instances are isolated, the first of them, and the tasks that they wait for.

    `exact` False: only a sample of the days was looked at, and there may be more.
    """

    count: int = 0
    examples: tuple[IsolatedCell, ...] = ()
    upstream_ids: tuple[int, ...] = ()
    exact: bool = True


def find_isolated(grid: Grid, count: GridCount, facts: Mapping[int, TaskFacts]) -> Isolation:
    """Find the cells that wait for a slot which will never come. At most one query."""
    positions = reaching_out(grid)
    if not positions or grid.check is not DependencyCheck.ALL:
        return Isolation()
    days, exact = days_to_look_at(grid, count, positions)
    # Only what is owed and will not be generated can hold anybody for good.
    suspects = [
        (cell, slot)
        for cell, slot in islice(
            _outside_slots(grid, positions, days), None if exact else SLOTS_OF_SAMPLE
        )
        if facts[slot[0]].owes(slot[1]) and not facts[slot[0]].will_generate(slot[1])
    ]
    present = existing_slots({slot for _, slot in suspects})
    isolated: dict[tuple[int, datetime], IsolatedCell] = {}
    upstream_ids: dict[int, None] = {}
    for cell, slot in suspects:
        if slot not in present:
            isolated.setdefault(cell, IsolatedCell(*cell, *slot))
            upstream_ids[slot[0]] = None
    return Isolation(
        count=len(isolated),
        examples=tuple(isolated.values())[:EXAMPLES],
        upstream_ids=tuple(upstream_ids),
        exact=exact,
    )


def reaching_out(grid: Grid) -> list[int]:
    """The positions of the tasks that may wait for more than cells of their own day."""
    planned = {task.id for task in grid.tasks}
    return [
        position
        for position, task in enumerate(grid.tasks)
        if _can_reach_outside(grid, task, planned)
    ]


def days_to_look_at(
    grid: Grid, count: GridCount, positions: list[int]
) -> tuple[tuple[date, ...], bool]:
    """All days of the grid, or a sample where its tasks have too many cells; and whether all."""
    cells = sum(count.by_task[position].instances for position in positions)
    if cells <= CELLS_LOOKED_AT:
        return grid.days, True
    return _sample(grid, max(1, CELLS_OF_SAMPLE * len(grid.days) // cells)), False


def _outside_slots(
    grid: Grid, positions: list[int], days: tuple[date, ...]
) -> Iterator[tuple[tuple[int, datetime], tuple[int, datetime]]]:
    """Yield (cell, upstream slot outside the plan) of the tasks on the days."""
    for task_id, _, scheduled_at, edge in edges_on(grid, positions, days):
        if not edge.within_plan:
            yield (task_id, scheduled_at), (edge.task_id, edge.scheduled_at)


def edges_on(
    grid: Grid, positions: list[int], days: tuple[date, ...]
) -> Iterator[tuple[int, date, datetime, CellEdge]]:
    """Yield (task, day, planned time, edge) for every edge of the tasks' cells on the days."""
    finder = EdgeFinder(grid)
    for day in days:
        slots_of: dict[Schedule, tuple[Slot, ...]] = {}
        for position in positions:
            task = grid.tasks[position]
            slots = slots_of.get(task.schedule)
            if slots is None:
                slots = slots_of[task.schedule] = grid.slots(task.schedule, day)
            edges = finder.edges_of(position, day, slots)
            for slot, own in zip(slots, edges, strict=True):
                for edge in own:
                    yield task.id, day, slot.scheduled_at, edge


def _sample(grid: Grid, number: int) -> tuple[date, ...]:
    """The first and last day of each stretch of days, and about `number` between."""
    ends = {day for run in runs_of(grid.days) for day in run}
    step = max(1, len(grid.days) // number)
    return tuple(sorted(ends.union(grid.days[::step])))


def _can_reach_outside(grid: Grid, task: GridTask, planned: Collection[int]) -> bool:
    """False when it is certain that all that the task waits for are cells of the plan."""
    return task.self_dependent or any(
        upstream.task_id not in planned or not _stays_inside(grid, task.schedule, upstream)
        for upstream in task.upstreams
    )


def _stays_inside(grid: Grid, own: Schedule, upstream: Upstream) -> bool:
    """True when a cell waits only for the upstream's fires of its own day, all of them cells."""
    if upstream.offset is not Offset.SAME or upstream.scope is not Scope.DEFAULT:
        return False
    if own.time_zone != upstream.schedule.time_zone:
        return False
    if not grid.whole_days and upstream.schedule.is_sub_day:
        return False
    # Two sub-day tasks of different rhythm may reach back to the evening before.
    both_sub_day = own.is_sub_day and upstream.schedule.is_sub_day
    return not both_sub_day or own.rule == upstream.schedule.rule
