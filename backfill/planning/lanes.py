"""The lanes of a plan that runs day by day: which dates follow one another (B10). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import zip_longest

from backfill.options.order import RunMode
from backfill.planning.dates import planned_days
from backfill.spec import PlanSpec

Lanes = tuple[tuple[date, ...], ...]


def cut(days: Sequence[date], groups: int) -> Lanes:
    """Cut the days into `groups` lanes of consecutive ones, the first lanes a day longer where it
    does not come out even. Fewer days than groups make a lane each.
    """
    lanes: list[tuple[date, ...]] = []
    start = 0
    for left in range(min(groups, len(days)), 0, -1):
        length = -(-(len(days) - start) // left)
        lanes.append(tuple(days[start : start + length]))
        start += length
    return tuple(lanes)


def lanes_of(spec: PlanSpec) -> Lanes:
    """The plan's dates, in its order, in lanes; no lanes for a plan that runs by dependency."""
    if spec.run_mode is RunMode.BY_DEPENDENCY:
        return ()
    return cut(planned_days(spec), spec.groups or 1)


def days_in_order(spec: PlanSpec) -> tuple[date, ...]:
    """The planned days in the order in which they are made and may start.

    The plan's order; of lanes the first day of each, then the second of each, and so forth: lanes
    start side by side, however long it takes to make the first of them.
    """
    lanes = lanes_of(spec)
    return tuple(side_by_side(lanes)) if lanes else planned_days(spec)


def side_by_side(lanes: Lanes) -> Iterable[date]:
    """Yield the first day of each lane, then the second of each, and so forth."""
    for row in zip_longest(*lanes):
        yield from (day for day in row if day is not None)
