"""The cells of a plan: which, in which order, waiting for what; and that counting them agrees."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time
from itertools import islice
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backfill.options.dependencies import DependencyCheck
from backfill.planning.counting import count_grid
from backfill.planning.edges import CellEdge
from backfill.planning.expansion import Cell, cells
from backfill.planning.grid import Grid, GridTask, Upstream
from backfill.states import SkipReason
from tests.backfill.grids import OUTSIDE, grids, july
from tests.support.matching import upstream_fires
from workflows.schedules import Schedule, fires_on, previous_fire
from workflows.schedules.matching import Offset, Scope

DAILY = Schedule.from_mapping({"cycle": "day", "at": "02:00"}, "UTC")
HOURLY = Schedule.from_mapping({"cycle": "hour", "every": 1}, "UTC")

slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def at(day: int, hour: int = 2) -> datetime:
    return datetime(2010, 7, day, hour, tzinfo=UTC)


def daily(pk: int, *upstreams: Upstream, self_dependent: bool = False) -> GridTask:
    return GridTask(pk, DAILY, self_dependent, upstreams)


def edges_by_cell(grid: Grid) -> dict[tuple[int, datetime], set[CellEdge]]:
    return {
        (grid.tasks[cell.position].id, cell.scheduled_at): set(cell.edges) for cell in cells(grid)
    }


@pytest.mark.feature("B16", "B26")
@slow
@given(grids())
def test_the_count_is_what_expansion_makes_cell_by_cell(grid: Grid) -> None:
    made = list(cells(grid))
    count = count_grid(grid)
    instances = [cell for cell in made if cell.skip is None]
    assert count.cells == len(made)
    assert count.instances == len(instances)
    assert count.skipped == Counter(cell.skip for cell in made if cell.skip)
    assert count.cells == count.instances + sum(count.skipped.values())
    assert {day: n for day, n in count.cells_by_day.items() if n} == Counter(
        cell.day for cell in made
    )
    assert {day: n for day, n in count.instances_by_day.items() if n} == Counter(
        cell.day for cell in instances
    )
    of_task = Counter(cell.position for cell in made)
    made_of_task = Counter(cell.position for cell in instances)
    for position, task_count in enumerate(count.by_task):
        assert task_count.cells == of_task[position]
        assert task_count.instances == made_of_task[position]


@pytest.mark.feature("B6", "B26")
@slow
@given(grids())
def test_cells_are_the_fires_of_the_days_each_once(grid: Grid) -> None:
    wanted = {
        (position, fire): day
        for position, task in enumerate(grid.tasks)
        for day in grid.days
        for fire in fires_on(
            task.schedule,
            day,
            time_from=grid.time_from,
            time_until=grid.time_until,
            ignore_effective=True,
        )
    }
    made = list(cells(grid, with_edges=False))
    assert {(cell.position, cell.scheduled_at): cell.day for cell in made} == wanted
    assert len(made) == len(wanted)
    for cell in made:
        schedule = grid.tasks[cell.position].schedule
        assert cell.local_time == cell.scheduled_at.astimezone(schedule.zone).time()
        effective = schedule.is_effective(cell.scheduled_at)
        assert cell.skip is (None if effective else SkipReason.NOT_EFFECTIVE)


@slow
@given(grids())
def test_cells_come_by_day_in_the_plans_order_then_by_task_then_by_time(grid: Grid) -> None:
    place = {day: number for number, day in enumerate(grid.days)}
    keys = [(place[cell.day], cell.position, cell.scheduled_at) for cell in cells(grid)]
    assert keys == sorted(keys)


@slow
@given(grids(), st.data())
def test_expansion_goes_on_from_any_cell_as_if_it_had_never_stopped(
    grid: Grid, data: st.DataObject
) -> None:
    whole = list(cells(grid))
    start = data.draw(st.integers(0, len(whole) + 1))
    assert list(cells(grid, start=start)) == whole[start:]
    assert list(islice(cells(grid), start)) == whole[:start]


def expected_edges(grid: Grid, cell: Cell) -> set[CellEdge]:
    """The edges of a cell, from the rules alone: one fire at a time, nothing kept."""
    if cell.skip:
        return set()
    task = grid.tasks[cell.position]
    slots = {
        (one.id, fire)
        for one in grid.tasks
        for day in grid.days
        for fire in fires_on(
            one.schedule, day, time_from=grid.time_from, time_until=grid.time_until
        )
    }
    found: set[CellEdge] = set()
    if grid.check is not DependencyCheck.NONE:
        for upstream in task.upstreams:
            for fire in upstream_fires(
                task.schedule,
                upstream.schedule,
                cell.scheduled_at,
                offset=upstream.offset,
                scope=upstream.scope,
                upstream_self_dependent=upstream.self_dependent,
            ):
                within = (upstream.task_id, fire) in slots
                found.add(CellEdge(upstream.task_id, fire, within))
    if task.self_dependent and (fire := previous_fire(task.schedule, cell.scheduled_at)):
        found.add(CellEdge(task.id, fire, (task.id, fire) in slots))
    if grid.check is not DependencyCheck.ALL:
        found = {edge for edge in found if edge.within_plan}
    return found


@pytest.mark.feature("B8", "T12")
@slow
@given(grids(), st.data())
def test_edges_are_those_of_the_rules(grid: Grid, data: st.DataObject) -> None:
    made = list(cells(grid))
    # The rules are slow to ask: a few cells of each grid, all kinds of grids.
    places = st.lists(st.integers(0, max(len(made) - 1, 0)), max_size=5)
    for place in data.draw(places) if made else []:
        cell = made[place]
        assert set(cell.edges) == expected_edges(grid, cell)
        assert len(cell.edges) == len(set(cell.edges))


@pytest.mark.feature("B8")
@slow
@given(grids())
def test_no_edge_joins_a_cell_that_does_not_become_an_instance(grid: Grid) -> None:
    made = list(cells(grid))
    instances = {
        (grid.tasks[cell.position].id, cell.scheduled_at) for cell in made if cell.skip is None
    }
    for cell in made:
        for edge in cell.edges:
            slot = (edge.task_id, edge.scheduled_at)
            assert edge.within_plan == (slot in instances)


CHECKS: list[tuple[DependencyCheck, dict[str, Any]]] = [
    (
        DependencyCheck.ALL,
        {
            "first": {CellEdge(1, at(2), True), CellEdge(OUTSIDE, at(2), False)},
            "own": {CellEdge(2, at(1), False)},
            "later": {
                CellEdge(1, at(3), True),
                CellEdge(OUTSIDE, at(3), False),
                CellEdge(2, at(2), True),
            },
        },
    ),
    (
        DependencyCheck.SELECTED,
        {
            "first": {CellEdge(1, at(2), True)},
            "own": set(),
            "later": {CellEdge(1, at(3), True), CellEdge(2, at(2), True)},
        },
    ),
    (
        DependencyCheck.NONE,
        {"first": set(), "own": set(), "later": {CellEdge(2, at(2), True)}},
    ),
]


@pytest.mark.feature("B8")
@pytest.mark.parametrize(("check", "wanted"), CHECKS)
@pytest.mark.item("0.16")
def test_the_dependency_check_decides_which_edges_there_are(
    check: DependencyCheck, wanted: dict[str, set[CellEdge]]
) -> None:
    task = daily(2, Upstream(1, DAILY), Upstream(OUTSIDE, DAILY), self_dependent=True)
    found = edges_by_cell(Grid((daily(1), task), july(2, 3), check=check))
    assert found[2, at(2)] == wanted["first"] | wanted["own"]
    assert found[2, at(3)] == wanted["later"]


@pytest.mark.feature("B8", "T12")
def test_a_daily_task_waits_for_all_hours_of_its_day() -> None:
    grid = Grid((GridTask(1, HOURLY), daily(2, Upstream(1, HOURLY))), july(2))
    assert edges_by_cell(grid)[2, at(2)] == {CellEdge(1, at(2, hour), True) for hour in range(24)}


@pytest.mark.feature("B6", "B8")
def test_hours_that_the_plan_leaves_out_are_looked_for_outside_of_it() -> None:
    grid = Grid(
        (GridTask(1, HOURLY), daily(2, Upstream(1, HOURLY))),
        july(2),
        time(1, 0),
        time(2, 30),
    )
    made = list(cells(grid))
    hours = [cell.scheduled_at for cell in made if cell.position == 0]
    assert hours == [at(2, 1), at(2, 2)]
    assert {edge.scheduled_at for edge in made[-1].edges if edge.within_plan} == set(hours)
    assert len(made[-1].edges) == 24


@pytest.mark.feature("B11")
def test_a_descending_plan_keeps_its_dependencies_on_earlier_days() -> None:
    grid = Grid((daily(1, self_dependent=True),), july(4, 3, 2))
    made = list(cells(grid))
    assert [cell.scheduled_at for cell in made] == [at(4), at(3), at(2)]
    assert [cell.edges for cell in made] == [
        (CellEdge(1, at(3), True),),
        (CellEdge(1, at(2), True),),
        (CellEdge(1, at(1), False),),
    ]


def test_two_dependencies_on_one_slot_give_one_edge() -> None:
    both = (
        Upstream(1, DAILY, offset=Offset.PREVIOUS),
        Upstream(1, DAILY, scope=Scope.PREVIOUS_DAY),
    )
    grid = Grid((daily(1), daily(2, *both)), july(2, 3))
    assert list(cells(grid))[-1].edges == (CellEdge(1, at(2), True),)


@pytest.mark.feature("B6")
def test_each_task_has_the_days_of_its_own_zone() -> None:
    schedule = {"cycle": "day", "at": "00:00"}
    zones = ("Pacific/Auckland", "UTC", "America/Los_Angeles")
    tasks = tuple(
        GridTask(number, Schedule.from_mapping(schedule, zone))
        for number, zone in enumerate(zones, 1)
    )
    made = list(cells(Grid(tasks, (date(2010, 7, 2),))))
    assert [cell.scheduled_at for cell in made] == [
        datetime(2010, 7, 1, 12, tzinfo=UTC),
        datetime(2010, 7, 2, 0, tzinfo=UTC),
        datetime(2010, 7, 2, 7, tzinfo=UTC),
    ]
    assert {cell.local_time for cell in made} == {time(0, 0)}


@pytest.mark.feature("B26")
def test_what_lies_outside_the_effective_range_is_skipped_with_a_reason() -> None:
    bounded = {"cycle": "day", "at": "02:00", "effective_from": "2010-07-03"}
    grid = Grid((GridTask(1, Schedule.from_mapping(bounded, "UTC")),), july(2, 3))
    assert [cell.skip for cell in cells(grid)] == [SkipReason.NOT_EFFECTIVE, None]
