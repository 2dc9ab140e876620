"""Hypothesis strategies for the grids of plans."""

from __future__ import annotations

from datetime import date, time, timedelta

from hypothesis import strategies as st

from backfill.options.dependencies import DependencyCheck
from backfill.planning.grid import Grid, GridTask, Upstream
from tests.workflows.strategies import MOMENTS, schedules
from workflows.schedules.matching import Offset, Scope

# A task outside the plan has an id from here on.
OUTSIDE = 100

_scopes = st.one_of(st.just(Scope.DEFAULT), st.sampled_from(Scope))
_hours = st.one_of(
    st.just((time(0, 0), time(23, 59))),
    st.tuples(st.integers(0, 12), st.integers(12, 23)).map(
        lambda ends: (time(ends[0], 0), time(ends[1], 30))
    ),
)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """A few tasks of any cycle over a few days near interesting ones, with a gap between."""
    pool = draw(st.lists(schedules(), min_size=1, max_size=3))
    schedule = st.sampled_from(pool)
    tasks: list[GridTask] = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        upstreams = [
            Upstream(
                task_id=task.id,
                schedule=task.schedule,
                self_dependent=task.self_dependent,
                offset=draw(st.sampled_from(Offset)),
                scope=draw(_scopes),
            )
            for task in tasks
            if draw(st.booleans())
        ]
        if draw(st.booleans()):
            upstreams.append(Upstream(OUTSIDE + number, draw(schedule), scope=draw(_scopes)))
        tasks.append(GridTask(number, draw(schedule), draw(st.booleans()), tuple(upstreams)))
    first = draw(st.sampled_from(MOMENTS)).date() + timedelta(days=draw(st.integers(-2, 2)))
    days = [first + timedelta(days=number) for number in range(draw(st.integers(1, 4)))]
    if draw(st.booleans()):
        days += [days[-1] + timedelta(days=9)]
    if draw(st.booleans()):
        days.reverse()
    time_from, time_until = draw(_hours)
    return Grid(
        tuple(tasks), tuple(days), time_from, time_until, draw(st.sampled_from(DependencyCheck))
    )


def july(*numbers: int) -> tuple[date, ...]:
    """Days of July 2010."""
    return tuple(date(2010, 7, number) for number in numbers)
