"""The cells of a grid, one by one, in a fixed order (design §7, B26). Pure.

The order depends on nothing but the grid, so who expands a plan can stop after any cell and go on
later by its number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time

from backfill.planning.counting import count_grid
from backfill.planning.edges import CellEdge, EdgeFinder
from backfill.planning.grid import Grid, Slot
from backfill.states import SkipReason
from workflows.schedules import Schedule


@dataclass(frozen=True, slots=True)
class Cell:
    """A slot of the plan: an instance to be made with its edges, or a skip with its reason.

    `position` is the task's place in the grid, `day` the local planned date.
    """

    position: int
    day: date
    scheduled_at: datetime
    local_time: time
    skip: SkipReason | None = None
    edges: tuple[CellEdge, ...] = ()


def cells(grid: Grid, *, start: int = 0, with_edges: bool = True) -> Iterator[Cell]:
    """Yield the cells from number `start` on: by day in the grid's order, then by task in
    topological order, then by time.

    `with_edges` False saves the search for edges where nobody looks at them.
    """
    finder = EdgeFinder(grid)
    # Days before the start are counted, which is much less than making their slots.
    counted = count_grid(grid).cells_by_day if start else {}
    for day in grid.days:
        if start and start >= counted.get(day, 0):
            start -= counted.get(day, 0)
            continue
        # Many tasks share few schedules: work out each one's slots once a day.
        slots_of: dict[Schedule, tuple[Slot, ...]] = {}
        for position, task in enumerate(grid.tasks):
            slots = slots_of.get(task.schedule)
            if slots is None:
                slots = slots_of[task.schedule] = grid.slots(task.schedule, day)
            if start >= len(slots):
                start -= len(slots)
                continue
            edges = list(finder.edges_of(position, day, slots)) if with_edges else None
            for index in range(start, len(slots)):
                slot = slots[index]
                if slot.effective:
                    yield Cell(
                        position,
                        day,
                        slot.scheduled_at,
                        slot.local_time,
                        None,
                        edges[index] if edges else (),
                    )
                else:
                    yield Cell(
                        position,
                        day,
                        slot.scheduled_at,
                        slot.local_time,
                        SkipReason.NOT_EFFECTIVE,
                    )
            start = 0
