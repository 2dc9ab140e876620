"""Instances that wait for a later day of their own lane, which opens only after theirs (B10, B16).

So a self-dependent task does in descending order, or one that waits for the whole of its week.
Looked at as isolation looks at what is outside: all cells, or a sample of the days.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from backfill.planning.counting import GridCount
from backfill.planning.grid import Grid
from backfill.planning.isolation import (
    SLOTS_OF_SAMPLE,
    IsolatedCell,
    days_to_look_at,
    edges_on,
    reaching_out,
)
from backfill.planning.lanes import Lanes


@dataclass(frozen=True, slots=True)
class Crossing:
    """How many instances wait for a later day of their lane, the first, and their tasks.

    `exact` False: only a sample of the days was looked at, and there may be more.
    """

    count: int = 0
    first: IsolatedCell | None = None
    task_ids: tuple[int, ...] = ()
    exact: bool = True


def find_crossing(grid: Grid, count: GridCount, lanes: Lanes) -> Crossing:
    """Find the cells that wait for cells of a later day of their lane. Pure."""
    positions = reaching_out(grid)
    if not lanes or not positions:
        return Crossing()
    place = {
        day: (number, position)
        for number, lane in enumerate(lanes)
        for position, day in enumerate(lane)
    }
    zones = {task.id: task.schedule.zone for task in grid.tasks}
    days, exact = days_to_look_at(grid, count, positions)
    found: dict[tuple[int, object], IsolatedCell] = {}
    edges = edges_on(grid, positions, days)
    for task_id, day, scheduled_at, edge in islice(edges, None if exact else SLOTS_OF_SAMPLE):
        if not edge.within_plan:
            continue
        lane, position = place[edge.scheduled_at.astimezone(zones[edge.task_id]).date()]
        if place[day][0] == lane and position > place[day][1]:
            cell = IsolatedCell(task_id, scheduled_at, edge.task_id, edge.scheduled_at)
            found.setdefault((task_id, scheduled_at), cell)
    return Crossing(
        count=len(found),
        first=next(iter(found.values()), None),
        task_ids=tuple(dict.fromkeys(cell.task_id for cell in found.values())),
        exact=exact,
    )
