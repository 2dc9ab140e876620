"""Making a plan's instances: all of them, once, whatever dies in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from backfill.models import Plan, Skip
from backfill.running import expanding
from backfill.running.expanding import expand_plan
from backfill.states import PlanState, SkipReason
from backfill.tasks import expand_plans
from instances.models import Edge, Instance
from instances.states import Kind, State
from projects.ground import clock
from tests.backfill.planning.test_preview import MAY, make_layers, make_periodic, owe
from tests.factories import make_project, make_submitted_task, make_submitted_tasks
from tests.factories.plans import make_expanded_plan, make_spec, make_submitted_plan
from tests.support.engine import Engine
from workflows.models import Task
from workflows.verbs.submit import submit_tasks


def slots_of(plan: Plan) -> list[tuple[str, datetime]]:
    rows = Instance.objects.filter(batch=plan.batch).order_by("pk")
    return list(rows.values_list("task__name", "scheduled_at"))


def edges_of(plan: Plan) -> set[tuple[str, int, str, int, bool, bool]]:
    """(task, day, upstream task, upstream day, within the batch, whether it has been joined)."""
    return {
        (
            edge.instance.task.name,
            edge.instance.scheduled_at.day,
            edge.upstream_task.name,
            edge.upstream_scheduled_at.day,
            edge.within_batch,
            edge.upstream_id is not None,
        )
        for edge in Edge.objects.filter(instance__batch=plan.batch).select_related(
            "instance__task", "upstream_task"
        )
    }


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2024, 5, day, hour, tzinfo=UTC)


@pytest.mark.feature("B2", "B6")
def test_every_cell_becomes_an_instance_with_all_that_the_engine_needs(engine: Engine) -> None:
    task = make_submitted_task(
        "load",
        schedule={"cycle": "hour", "every": 12, "time_zone": "Asia/Tokyo"},
        priority=7,
        retries={"limit": 2},
    )
    plan = make_expanded_plan(make_spec([task], "2024-05-01"))
    assert (plan.state, plan.expanded_count) == (PlanState.RUNNING, 2)
    first, second = Instance.objects.filter(batch=plan.batch).order_by("scheduled_at")
    # The local days of Tokyo: 2 May there begins on 1 May at 15:00 UTC.
    assert [one.scheduled_at for one in (first, second)] == [at(1, 15), at(2, 3)]
    assert [str(one.local_time) for one in (first, second)] == ["00:00:00", "12:00:00"]
    for one in (first, second):
        assert (one.kind, str(one.data_date)) == (Kind.BACKFILL, "2024-05-01")
        assert (one.priority, one.retry_limit, one.inline, one.dry) == (7, 2, False, False)
        assert one.resource_group_id == task.resource_group_id
        assert (one.project_id, one.version_id) == (task.project_id, task.version_id)
        assert one.not_before == plan.submitted_at


@pytest.mark.feature("B8", "B16")
def test_a_plan_runs_through_in_the_order_of_its_dependencies(engine: Engine) -> None:
    tasks = make_submitted_tasks({"root": {"type": "virtual"}, "work": {"depends_on": ["root"]}})
    with engine.committing():
        plan = make_expanded_plan(make_spec(list(tasks.values()), "2024-05-01", "2024-05-02"))
    assert slots_of(plan) == [
        ("root", at(2)),
        ("work", at(2)),
        ("root", at(3)),
        ("work", at(3)),
    ]
    states = dict(Instance.objects.filter(batch=plan.batch).values_list("pk", "state"))
    assert sorted(states.values()) == sorted(
        [State.SUCCESS, State.SUCCESS, State.WAITING_EXECUTION, State.WAITING_EXECUTION]
    )
    for instance in Instance.objects.filter(batch=plan.batch, task=tasks["work"]):
        engine.run(instance)
    assert set(Instance.objects.filter(batch=plan.batch).values_list("state", flat=True)) == {
        State.SUCCESS
    }


@pytest.mark.feature("B11")
@pytest.mark.item("0.22", "2.35")
def test_a_descending_plan_starts_with_the_last_day_where_nothing_forbids_it(
    engine: Engine,
) -> None:
    task = make_submitted_task("free")
    chain = make_submitted_task("chain", workflow=task.workflow, self_dependent=True)
    with engine.committing():
        plan = make_expanded_plan(
            make_spec([task, chain], "2024-05-01", "2024-05-03", order="descending")
        )
    free = Instance.objects.filter(batch=plan.batch, task=task).order_by("sort_key")
    assert [one.scheduled_at for one in free] == [at(4), at(3), at(2)]
    waiting = Instance.objects.filter(batch=plan.batch, task=chain).order_by("scheduled_at")
    assert [one.state for one in waiting] == [
        State.WAITING_EXECUTION,
        State.WAITING_UPSTREAM,
        State.WAITING_UPSTREAM,
    ]


@pytest.mark.feature("B11")
def test_edges_to_instances_that_come_in_a_later_chunk_are_joined_then(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 1)
    task = make_submitted_task("chain", self_dependent=True)
    plan = make_expanded_plan(make_spec([task], "2024-05-01", "2024-05-03", order="descending"))
    assert edges_of(plan) == {
        ("chain", 4, "chain", 3, True, True),
        ("chain", 3, "chain", 2, True, True),
    }


@pytest.mark.feature("B8")
@pytest.mark.parametrize(
    ("check", "wanted"),
    [
        (
            "all",
            {
                ("report", 3, "mine", 3, True, True),
                ("report", 3, "there", 3, False, True),
                ("report", 3, "owed", 3, False, False),
            },
        ),
        ("selected", {("report", 3, "mine", 3, True, True)}),
        ("none", set()),
    ],
)
def test_edges_leave_the_plan_only_where_all_upstream_tasks_are_checked(
    engine: Engine, check: str, wanted: set[Any]
) -> None:
    names = ["mine", "there", "owed", "never"]
    tasks = make_submitted_tasks({**{name: {} for name in names}, "report": {"depends_on": names}})
    make_periodic(tasks["there"], at(3))
    owe(tasks["owed"], MAY, at(10))
    plan = make_expanded_plan(
        make_spec([tasks["mine"], tasks["report"]], "2024-05-02", dependency_check=check)
    )
    assert edges_of(plan) == wanted


@pytest.mark.feature("B7")
@pytest.mark.parametrize("future_runs", ["when_due", "at_once"])
@pytest.mark.item("2.29", "2.30")
def test_future_instances_wait_for_their_time_or_not(engine: Engine, future_runs: str) -> None:
    day = (clock.now() + timedelta(days=30)).date()
    task = make_submitted_task("load")
    with engine.committing():
        plan = make_expanded_plan(make_spec([task], day, future_runs=future_runs))
    instance = Instance.objects.get(batch=plan.batch)
    assert instance.data_date == day
    if future_runs == "when_due":
        assert (instance.state, instance.not_before) == (State.NOT_RUN, instance.scheduled_at)
    else:
        assert instance.state == State.WAITING_EXECUTION
        assert instance.not_before == plan.submitted_at


@pytest.mark.feature("B26")
def test_cells_outside_the_effective_range_become_skips(engine: Engine) -> None:
    schedule = {"cycle": "day", "at": "00:00", "effective_from": "2024-05-03"}
    task = make_submitted_task(schedule=schedule)
    plan = make_expanded_plan(make_spec([task], "2024-05-01", "2024-05-03"))
    assert [scheduled_at for _, scheduled_at in slots_of(plan)] == [at(3), at(4)]
    skip = Skip.objects.get(plan=plan)
    assert (skip.scheduled_at, str(skip.data_date)) == (at(2), "2024-05-01")
    assert skip.reason == SkipReason.NOT_EFFECTIVE
    assert plan.planned_count == 3


class Killed(Exception):
    """Stands for the end of the process."""


def make_mixed_plan() -> Plan:
    tasks = make_submitted_tasks(
        {
            "hourly": {"schedule": {"cycle": "hour", "every": 6}, "self_dependent": True},
            "young": {"schedule": {"cycle": "day", "at": "05:00", "effective_from": "2024-05-04"}},
            "daily": {"depends_on": ["hourly", "young"]},
        }
    )
    return make_submitted_plan(make_spec(list(tasks.values()), "2024-05-01", "2024-05-05"))


def cells_of(plan: Plan) -> tuple[Sequence[Any], Sequence[Any], Any]:
    skips = Skip.objects.filter(plan=plan).values_list("task__name", "scheduled_at", "reason")
    return slots_of(plan), sorted(skips), edges_of(plan)


@pytest.mark.feature("B26")
@pytest.mark.parametrize("victim", ["create_instances", "_move_on", "set_going", "copy_rows"])
def test_whoever_is_killed_is_followed_by_somebody_who_goes_on_exactly_there(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    whole = make_mixed_plan()
    while expand_plan(whole.pk):
        pass
    plan = make_mixed_plan()
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 3)
    original = getattr(expanding, victim)
    calls = 0

    def die_now_and_then(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        result = original(*args, **kwargs)
        if calls % 2:
            raise Killed
        return result

    monkeypatch.setattr(expanding, victim, die_now_and_then)
    deaths = 0
    while True:
        try:
            more = expand_plan(plan.pk)
        except Killed:
            deaths += 1
            continue
        plan.refresh_from_db()
        if not more and plan.expanded_count == plan.planned_count:
            break
    assert deaths > 3
    assert cells_of(plan) == cells_of(whole)
    made, skips, _ = cells_of(plan)
    assert plan.planned_count == len(made) + len(skips)
    assert plan.state == PlanState.RUNNING


@pytest.mark.feature("T9")
def test_a_version_submitted_during_expansion_changes_nothing_of_the_plan(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 2)
    task = make_submitted_task()
    plan = make_submitted_plan(make_spec([task], "2024-05-01", "2024-05-04"))
    assert expand_plan(plan.pk)
    Task.objects.filter(pk=task.pk).update(
        draft={**task.draft, "schedule": {"cycle": "hour", "every": 1}}
    )
    submit_tasks(actor=None, ids=[task.pk])
    while expand_plan(plan.pk):
        pass
    assert [scheduled_at for _, scheduled_at in slots_of(plan)] == [at(2), at(3), at(4), at(5)]
    versions = set(Instance.objects.filter(batch=plan.batch).values_list("version_id", flat=True))
    assert versions == {task.version_id}


@pytest.mark.feature("B26")
def test_once_stopped_the_rest_of_the_cells_are_skipped(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 3)
    plan = make_mixed_plan()
    expand_plan(plan.pk)
    made_before, _, _ = cells_of(plan)
    assert plan.batch is not None
    plan.batch.stopped_at = clock.now()
    plan.batch.save()
    while expand_plan(plan.pk):
        pass
    made, skips, _ = cells_of(plan)
    plan.refresh_from_db()
    assert made == made_before
    assert plan.planned_count == len(made) + len(skips)
    assert {reason for _, _, reason in skips} == {SkipReason.NOT_EFFECTIVE, SkipReason.STOPPED}
    assert plan.state == PlanState.TERMINATED
    assert plan.ended_at is not None


@pytest.mark.parametrize(
    ("held", "answer"),
    [
        (lambda plan: expanding.lock_for_expansion(plan.pk), False),
        (lambda plan: expanding._alone(), None),
    ],
)
def test_a_plan_that_somebody_else_expands_is_left_to_them(
    live_engine: Engine, held: Callable[[Plan], object], answer: bool | None
) -> None:
    plan = make_mixed_plan()
    answers: list[bool | None] = []

    def other() -> None:
        try:
            answers.append(expand_plan(plan.pk))
        finally:
            connection.close()

    with transaction.atomic():
        assert held(plan)
        thread = Thread(target=other)
        thread.start()
        thread.join(timeout=60)
        assert answers == [answer]
    assert not Instance.objects.exists()


def test_the_task_takes_the_plans_in_turn(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, nudges: list[str], settings: LazySettings
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 2)
    settings.SYSTEM_JOB_SECONDS = 0
    task = make_submitted_task()
    plans = [make_submitted_plan(make_spec([task], "2024-05-01", "2024-05-03")) for _ in range(2)]
    for made, told in (([2, 0], True), ([2, 2], True), ([3, 2], True), ([3, 3], False)):
        nudges.clear()
        expand_plans()
        assert [len(slots_of(plan)) for plan in plans] == made
        assert nudges == ["backfill.expand"] * told


def test_one_plans_trouble_is_not_another_plans(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_submitted_task()
    bad, good = (make_submitted_plan(make_spec([task])) for _ in range(2))
    original = expanding.lock_for_expansion

    def fail_for_one(plan_id: int) -> Plan | None:
        if plan_id == bad.pk:
            raise Killed
        return original(plan_id)

    monkeypatch.setattr(expanding, "lock_for_expansion", fail_for_one)
    expand_plans()
    assert [len(slots_of(plan)) for plan in (bad, good)] == [0, 1]


@pytest.mark.django_db
def test_the_number_of_queries_of_an_expansion_does_not_depend_on_its_size(
    engine: Engine, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    project = make_project()

    def submit(layers: int, width: int) -> int:
        spec = make_spec(make_layers(layers, width, project)[:1], "2024-05-01", "2024-05-02")
        return make_submitted_plan(spec).pk

    few, many = submit(1, 1), submit(1, 20)
    with CaptureQueriesContext(connection) as queries:
        expand_plan(few)
    with django_assert_num_queries(len(queries)):
        expand_plan(many)
