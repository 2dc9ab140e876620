"""The pictures of plans: the days of a preview, and tasks over dates at any size."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backfill.admin.heat_map import MOST_COLUMNS, heat_map, zoom_of
from backfill.admin.preview_page import day_columns
from backfill.models import Plan
from backfill.planning.preview import DayLine
from instances.models import Instance
from instances.states import State
from projects.ground import clock
from tests.factories import make_submitted_task
from tests.factories.plans import make_expanded_plan, make_plan, make_spec
from tests.support.engine import Engine

FIRST = date(2024, 1, 1)


def days(number: int, instances: int = 8) -> list[DayLine]:
    dates = [FIRST + timedelta(days=day) for day in range(number)]
    return [DayLine(one + timedelta(days=1), one, instances, 0) for one in dates]


@pytest.mark.feature("B16")
def test_the_same_each_day_is_drawn_level_to_the_last_column() -> None:
    columns = day_columns(days(365))
    assert {column.value for column in columns} == {8.0}
    assert sum(column.weight for column in columns) == 365
    assert (columns[0].weight, columns[-1].weight) == (4, 1)
    assert columns[0].hint == "Data dates 2024-01-01 – 2024-01-04: 8 instances a day, 32 in 4 days"
    assert columns[-1].hint == "Data date 2024-12-30: 8 instances"


@pytest.mark.parametrize(
    ("number", "zoom"), [(1, 1), (62, 1), (63, 7), (434, 7), (435, 28), (2000, 91), (40_000, 646)]
)
def test_a_column_stands_for_as_many_dates_as_needed(number: int, zoom: int) -> None:
    assert zoom_of(number) == zoom
    assert -(-number // zoom) <= MOST_COLUMNS


def lines_of(plan: Plan, hidden: int = 0) -> list[dict[str, object]]:
    return [
        {
            "task_id": row.task_id,
            "name": f"t{row.position}",
            "hidden": row.position < hidden,
            "url": f"/?task={row.task_id}",
        }
        for row in plan.tasks.order_by("position")
    ]


@pytest.mark.feature("B22")
def test_a_plan_of_many_tasks_and_dates_is_drawn_whole_by_one_query(engine: Engine) -> None:
    tasks = [make_submitted_task() for _ in range(61)]
    plan = make_expanded_plan(make_spec(tasks, "2024-01-01", "2024-03-04"))
    lines = lines_of(plan)
    with CaptureQueriesContext(connection) as queries:
        shown = heat_map(plan, lines, "/?plan=1")
    assert len(queries) == 1
    assert shown is not None
    assert shown.zoom == "each column is 7 data dates, each row is 2 tasks in the plan's order"
    assert "t0 + 1 · 2024-01-01 – 2024-01-07: 14 " in shown.drawing
    assert "t60 · 2024-03-04: 1 " in shown.drawing
    assert len(shown.drawing) < 150_000


@pytest.mark.feature("B22", "P2")
def test_a_task_that_is_not_seen_has_no_cells(engine: Engine) -> None:
    tasks = [make_submitted_task() for _ in range(2)]
    plan = make_expanded_plan(make_spec(tasks, "2024-01-01"))
    shown = heat_map(plan, lines_of(plan, hidden=1), "/?plan=1")
    assert shown is not None
    assert "t1 · 2024-01-01: 1 " in shown.drawing
    assert "t0 · " not in shown.drawing
    assert shown.drawing.count("h16v16") == 1


@pytest.mark.feature("B22")
def test_failures_can_be_hovered_when_not_all_can(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.admin.heat_map.MOST_BOXES", 1)
    plan = make_expanded_plan(make_spec([make_submitted_task()], "2024-01-01", "2024-01-09"))
    last = Instance.objects.filter(batch=plan.batch).order_by("scheduled_at").last()
    assert last is not None
    Instance.objects.filter(pk=last.pk).update(state=State.FAILED, ended_at=clock.now())
    shown = heat_map(plan, lines_of(plan), "/?plan=1")
    assert shown is not None
    assert shown.drawing.count("<rect") == 1
    assert "t0 · 2024-01-09: 1 failed" in shown.drawing


def test_a_draft_has_no_picture(engine: Engine) -> None:
    assert heat_map(make_plan(make_spec([make_submitted_task()])), [], "/") is None
