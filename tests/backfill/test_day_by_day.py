"""Plans that run day by day, from submission to their end (B10)."""

from __future__ import annotations

from datetime import date
from io import StringIO
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rich.console import Console

from backfill.models import Plan, Skip
from backfill.planning.preview import preview
from backfill.planning.preview_table import preview_table
from backfill.reading.day_progress import DayState, days_progress
from backfill.reading.watching import watch_plan
from backfill.running.expanding import expand_plan
from backfill.states import PlanState
from backfill.verbs.control import terminate_plans
from instances.engine.sweep import sweep
from instances.models import BatchDay, Instance
from instances.states import State
from instances.verbs.rerun import rerun
from projects.ground import clock
from tests.factories import make_submitted_task, make_submitted_tasks
from tests.factories.plans import make_expanded_plan, make_spec, make_submitted_plan
from tests.support.engine import Engine
from tests.support.invariants import violations
from workflows.models import Task

pytestmark = [pytest.mark.feature("B10"), pytest.mark.django_db]


def expanded(engine: Engine, tasks: list[Task], first: int, last: int, **fields: Any) -> Plan:
    """A plan over data dates of May 2024, all of it made."""
    spec = make_spec(
        tasks, f"2024-05-{first:02}", f"2024-05-{last:02}", **{"run_mode": "day_by_day", **fields}
    )
    with engine.committing():
        return make_expanded_plan(spec)


def instance(plan: Plan, data_date: int, task: Task | None = None) -> Instance:
    rows = Instance.objects.filter(batch=plan.batch, data_date=date(2024, 5, data_date))
    return rows.get(task=task) if task else rows.get()


def states(plan: Plan) -> dict[int, set[str]]:
    """The states of the instances of each data date."""
    found: dict[int, set[str]] = {}
    rows = Instance.objects.filter(batch=plan.batch).order_by("data_date")
    for day, state in rows.values_list("data_date", "state"):
        found.setdefault(day.day, set()).add(state)
    return found


def lanes(plan: Plan) -> list[list[int]]:
    """The data dates of each lane."""
    found: dict[int, list[int]] = {}
    for day in days_progress(plan):
        found.setdefault(day.lane, []).append(day.data_date.day)
    return list(found.values())


def open_dates(plan: Plan) -> list[int]:
    return [day.data_date.day for day in days_progress(plan) if day.opened_at]


@pytest.mark.item("2.10")
def test_one_date_runs_after_the_other(engine: Engine) -> None:
    tasks = make_submitted_tasks({"load": {}, "clean": {"depends_on": ["load"]}, "other": {}})
    plan = expanded(engine, list(tasks.values()), 1, 3)
    assert lanes(plan) == [[1, 2, 3]]
    assert states(plan)[2] == states(plan)[3] == {State.NOT_RUN}
    for name in ("load", "other", "clean"):
        assert states(plan)[2] == {State.NOT_RUN}
        engine.run(instance(plan, 1, tasks[name]))
    assert states(plan)[2] == {State.WAITING_EXECUTION, State.WAITING_UPSTREAM}
    assert open_dates(plan) == [1, 2]
    assert violations() == []


def test_groups_run_side_by_side(engine: Engine) -> None:
    plan = expanded(engine, [make_submitted_task()], 1, 5, groups=2)
    assert lanes(plan) == [[1, 2, 3], [4, 5]]
    assert open_dates(plan) == [1, 4]
    engine.run(instance(plan, 4))
    assert open_dates(plan) == [1, 4, 5]


@pytest.mark.feature("B11")
def test_the_plans_order_is_that_of_the_lanes(engine: Engine) -> None:
    plan = expanded(engine, [make_submitted_task()], 1, 5, groups=2, order="descending")
    assert lanes(plan) == [[5, 4, 3], [2, 1]]
    assert open_dates(plan) == [5, 2]


def test_fewer_dates_than_groups_make_a_group_each(engine: Engine) -> None:
    plan = expanded(engine, [make_submitted_task()], 1, 3, groups=4)
    assert lanes(plan) == [[1], [2], [3]]
    assert set.union(*states(plan).values()) == {State.WAITING_EXECUTION}


@pytest.mark.item("2.12")
def test_hours_of_a_day_run_in_parallel_unless_they_depend_on_themselves(engine: Engine) -> None:
    hourly = {"schedule": {"cycle": "hour", "every": 8}}
    tasks = make_submitted_tasks({"free": hourly, "chain": {**hourly, "self_dependent": True}})
    free = expanded(engine, [tasks["free"]], 1, 2)
    assert states(free) == {1: {State.WAITING_EXECUTION}, 2: {State.NOT_RUN}}
    chain = expanded(engine, [tasks["chain"]], 1, 2)
    assert states(chain)[1] == {State.WAITING_EXECUTION, State.WAITING_UPSTREAM}


@pytest.mark.item("2.10")
def test_a_failure_holds_the_later_dates_of_its_group_alone(engine: Engine) -> None:
    task = make_submitted_task(retries={"limit": 0})
    plan = expanded(engine, [task], 1, 4, groups=2)
    engine.run(instance(plan, 1), "EXIT_NONZERO")
    engine.run(instance(plan, 3))
    assert [day.state for day in days_progress(plan)] == [
        DayState.BLOCKED,
        DayState.WAITING,
        DayState.DONE,
        DayState.OPEN,
    ]


def test_a_day_that_is_run_again_is_not_done_any_more(engine: Engine) -> None:
    plan = expanded(engine, [make_submitted_task()], 1, 2)
    engine.run(instance(plan, 1))
    with engine.committing():
        rerun(actor=None, ids=[instance(plan, 1).pk])
    assert [day.state for day in days_progress(plan)] == [DayState.OPEN, DayState.OPEN]


@pytest.mark.feature("B26")
def test_a_date_with_skips_alone_passes_at_once(engine: Engine) -> None:
    task = make_submitted_task(
        schedule={"cycle": "day", "at": "00:00", "effective_from": "2024-05-03"}
    )
    plan = expanded(engine, [task], 1, 3)
    assert Skip.objects.filter(plan=plan).count() == 1
    assert open_dates(plan) == [1, 2]
    assert states(plan) == {2: {State.WAITING_EXECUTION}, 3: {State.NOT_RUN}}


def test_dates_without_cells_pass_at_once(engine: Engine) -> None:
    weekly = make_submitted_task(schedule={"cycle": "week", "at": "00:00", "weekdays": [1]})
    plan = expanded(engine, [weekly], 1, 31)
    first, *_ = Instance.objects.filter(batch=plan.batch).order_by("scheduled_at")
    assert first.state == State.WAITING_EXECUTION
    while waiting := Instance.objects.filter(batch=plan.batch, state="WAITING_EXECUTION").first():
        engine.run(waiting)
    assert set.union(*states(plan).values()) == {State.SUCCESS}
    assert not BatchDay.objects.filter(batch=plan.batch, done_at=None).exists()


def test_a_day_is_done_only_when_all_of_it_is_made(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.running.expanding.CELLS_AT_ONCE", 3)
    tasks = make_submitted_tasks({"a": {}, "b": {}})
    spec = make_spec(list(tasks.values()), "2024-05-01", "2024-05-03", run_mode="day_by_day")
    with engine.committing():
        plan = make_submitted_plan(spec)
        assert expand_plan(plan.pk)  # the first date, and half of the second
    for task in tasks.values():
        engine.run(instance(plan, 1, task))
    assert open_dates(plan) == [1, 2]
    engine.run(instance(plan, 2, tasks["a"]))
    assert open_dates(plan) == [1, 2]
    with engine.committing():
        assert not expand_plan(plan.pk)
    assert states(plan)[2] == {State.SUCCESS, State.WAITING_EXECUTION}
    engine.run(instance(plan, 2, tasks["b"]))
    assert states(plan)[3] == {State.WAITING_EXECUTION}
    assert violations() == []


@pytest.mark.parametrize("cells", [1, 2, 5])
def test_expansion_in_chunks_opens_what_it_finishes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    monkeypatch.setattr("backfill.running.expanding.CELLS_AT_ONCE", cells)
    virtual = make_submitted_task(type="virtual")
    plan = expanded(engine, [virtual], 1, 7, groups=3)
    assert set.union(*states(plan).values()) == {State.SUCCESS}
    assert not BatchDay.objects.filter(batch=plan.batch, done_at=None).exists()
    assert violations() == []


def test_groups_are_made_side_by_side(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.running.expanding.CELLS_AT_ONCE", 2)
    spec = make_spec(
        [make_submitted_task()], "2024-05-01", "2024-05-06", run_mode="day_by_day", groups=2
    )
    with engine.committing():
        plan = make_submitted_plan(spec)
        expand_plan(plan.pk)
    assert states(plan) == {1: {State.WAITING_EXECUTION}, 4: {State.WAITING_EXECUTION}}


def test_dependencies_across_groups_hold(engine: Engine) -> None:
    chain = make_submitted_task(self_dependent=True)
    plan = expanded(engine, [chain], 1, 4, groups=2)
    assert states(plan)[3] == {State.WAITING_UPSTREAM}
    engine.run(instance(plan, 1))
    engine.run(instance(plan, 2))
    assert states(plan)[3] == {State.WAITING_EXECUTION}


@pytest.mark.feature("B23")
def test_of_a_terminated_plan_no_later_date_starts(engine: Engine) -> None:
    plan = expanded(engine, [make_submitted_task()], 1, 3)
    engine.run(instance(plan, 1))
    with engine.committing():
        terminate_plans.one(actor=None, pk=plan.pk)
        sweep(now=clock.now())
    assert states(plan) == {1: {State.SUCCESS}, 2: {State.FAILED}, 3: {State.FAILED}}
    assert open_dates(plan) == [1, 2]
    assert violations() == []


@pytest.mark.feature("B23")
def test_a_plan_that_is_terminated_while_it_is_made_opens_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.running.expanding.CELLS_AT_ONCE", 1)
    spec = make_spec([make_submitted_task()], "2024-05-01", "2024-05-03", run_mode="day_by_day")
    with engine.committing():
        plan = make_submitted_plan(spec)
        expand_plan(plan.pk)
        terminate_plans.one(actor=None, pk=plan.pk)
        while expand_plan(plan.pk):
            pass
    plan.refresh_from_db()
    assert (plan.state, plan.expanded_count) == (PlanState.TERMINATED, plan.planned_count)
    assert open_dates(plan) == [1]
    assert Instance.objects.filter(batch=plan.batch).exclude(state=State.FAILED).count() == 0


def test_a_plan_by_dependency_has_no_days(engine: Engine) -> None:
    plan = expanded(engine, [make_submitted_task()], 1, 2, run_mode="by_dependency")
    assert days_progress(plan) == []
    assert not Instance.objects.exclude(day=None).exists()
    assert set.union(*states(plan).values()) == {State.WAITING_EXECUTION}


@pytest.mark.feature("B16")
def test_the_preview_tells_the_lanes() -> None:
    task = make_submitted_task()
    spec = make_spec([task], "2024-05-01", "2024-05-05", run_mode="day_by_day", groups=2)
    shown = preview(actor=None, project_id=task.project_id, spec=spec, now=clock.now())
    assert [(str(one.first_data_date), one.days, one.instances) for one in shown.lanes] == [
        ("2024-05-01", 3, 3),
        ("2024-05-04", 2, 2),
    ]
    assert [line.lane for line in shown.days] == [1, 1, 1, 2, 2]
    assert [cell.data_date.day for cell in shown.first_cells] == [1, 4, 2, 5, 3]
    assert shown.warnings == ()


@pytest.mark.feature("B16")
def test_the_preview_of_a_plan_by_dependency_has_no_lanes() -> None:
    task = make_submitted_task()
    spec = make_spec([task], "2024-05-01", "2024-05-02")
    shown = preview(actor=None, project_id=task.project_id, spec=spec, now=clock.now())
    assert (shown.lanes, [line.lane for line in shown.days]) == ((), [None, None])


@pytest.mark.feature("B16")
@pytest.mark.parametrize(
    ("fields", "order", "number"),
    [
        ({"self_dependent": True}, "descending", 4),
        ({"self_dependent": True}, "ascending", 0),
        ({}, "descending", 0),
    ],
)
def test_the_preview_warns_of_what_waits_for_a_later_day_of_its_group(
    fields: dict[str, Any], order: str, number: int
) -> None:
    task = make_submitted_task("load", **fields)
    spec = make_spec([task], "2024-05-01", "2024-05-05", run_mode="day_by_day", order=order)
    shown = preview(actor=None, project_id=task.project_id, spec=spec, now=clock.now())
    found = [one for one in shown.warnings if one.code == "later_day"]
    assert len(found) == bool(number)
    if number:
        assert found[0].message.startswith(f"{number} instances would wait for a later day")
        assert found[0].task_ids == (task.pk,)


def test_days_are_shown_in_two_queries_however_many(engine: Engine) -> None:
    task = make_submitted_task()
    numbers = []
    for last in (2, 20):
        plan = expanded(engine, [task], 1, last)
        with CaptureQueriesContext(connection) as queries:
            days_progress(plan)
        numbers.append(len(queries))
    assert numbers == [2, 2]


def test_who_follows_a_plan_in_a_terminal_sees_where_its_groups_are(engine: Engine) -> None:
    plan = expanded(engine, [make_submitted_task(retries={"limit": 0})], 1, 5, groups=2)
    engine.run(instance(plan, 1))
    engine.run(instance(plan, 4), "EXIT_NONZERO")
    written = StringIO()
    console = Console(file=written, force_terminal=True, width=120, color_system=None)
    watch_plan(plan.pk, console, give_up=lambda: True)
    assert "Group 1: 1 of 3 dates done, at data date 2024-05-02" in written.getvalue()
    assert (
        "Group 2: 0 of 2 dates done, at data date 2024-05-04, held up by a failure"
        in written.getvalue()
    )


@pytest.mark.feature("B16")
def test_the_preview_in_a_terminal_has_the_groups() -> None:
    task = make_submitted_task()
    spec = make_spec([task], "2024-05-01", "2024-05-05", run_mode="day_by_day", groups=2)
    shown = preview(actor=None, project_id=task.project_id, spec=spec, now=clock.now())
    written = StringIO()
    Console(file=written, width=120, color_system=None).print(preview_table(shown))
    assert "2024-05-04 to 2024-05-05" in written.getvalue()
