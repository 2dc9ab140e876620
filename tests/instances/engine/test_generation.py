"""Generation: every due slot once, after outages too, with the right upstreams."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.engine.generation import generate
from instances.models import Edge, Instance
from instances.states import Kind, State
from tests.factories import make_project, make_submitted_task, make_submitted_tasks, make_workflow
from tests.support.engine import Engine, make_batch, new_instance, state_of
from workflows.definitions.version_loading import load_definitions
from workflows.models import Task
from workflows.schedules import next_fire

START = datetime(2026, 3, 1, tzinfo=UTC)


def scheduled_since(start: datetime, *tasks: Task) -> None:
    """Make the tasks' schedules count from `start` on, as if they had been submitted then."""
    for task in tasks:
        assert task.version_id is not None
        schedule = load_definitions([task.version_id])[task.version_id].schedule
        Task.objects.filter(pk=task.pk).update(
            scheduling_since=start, generated_until=start, next_fire_at=next_fire(schedule, start)
        )


def planned(task: Task) -> list[datetime]:
    rows = Instance.objects.filter(task=task).order_by("scheduled_at")
    return list(rows.values_list("scheduled_at", flat=True))


def upstream_slots(task: Task, scheduled_at: datetime) -> list[tuple[str, datetime]]:
    edges = Edge.objects.filter(instance__task=task, instance__scheduled_at=scheduled_at)
    return list(
        edges.order_by("upstream_scheduled_at").values_list(
            "upstream_task__name", "upstream_scheduled_at"
        )
    )


def hours(*numbers: float) -> list[datetime]:
    return [START + timedelta(hours=number) for number in numbers]


@pytest.mark.feature("T11")
def test_what_is_due_is_made_once_however_often_generation_runs(engine: Engine) -> None:
    task = make_submitted_task(schedule={"cycle": "hour", "every": 1})
    scheduled_since(START, task)
    with engine.committing():
        assert generate(now=START + timedelta(hours=3, minutes=59)) == 3
        assert generate(now=START + timedelta(hours=3, minutes=59)) == 0
        assert generate(now=START + timedelta(hours=4)) == 1
    assert planned(task) == hours(1, 2, 3, 4)


@pytest.mark.feature("T11")
def test_an_instance_carries_its_slot_and_its_data_date(engine: Engine) -> None:
    workflow = make_workflow(project=make_project(time_zone="America/Los_Angeles"))
    task = make_submitted_task(workflow=workflow, schedule={"cycle": "day", "at": "05:30"})
    scheduled_since(START, task)
    with engine.committing():
        generate(now=START + timedelta(days=1))
    instance = Instance.objects.get(task=task)
    assert instance.scheduled_at == datetime(2026, 3, 1, 13, 30, tzinfo=UTC)
    assert (str(instance.data_date), str(instance.local_time)) == ("2026-02-28", "05:30:00")
    assert instance.kind == Kind.PERIODIC


@pytest.mark.feature("T11")
@pytest.mark.parametrize(("catch_up", "made"), [("all", hours(1, 2, 3, 4)), ("latest", hours(4))])
def test_after_an_outage_all_or_only_the_latest_is_made(
    engine: Engine, catch_up: str, made: list[datetime]
) -> None:
    task = make_submitted_task(schedule={"cycle": "hour", "every": 1}, catch_up=catch_up)
    scheduled_since(START, task)
    with engine.committing():
        generate(now=START + timedelta(hours=4, minutes=30))
    assert planned(task) == made


def test_a_long_outage_is_caught_up_in_bounded_transactions(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.engine.fires.INSTANCES_AT_ONCE", 14)
    monkeypatch.setattr("instances.engine.generation.TASKS_AT_ONCE", 2)
    tasks = [make_submitted_task(schedule={"cycle": "hour", "every": 1}) for _ in range(5)]
    scheduled_since(START, *tasks)
    with engine.committing():
        assert generate(now=START + timedelta(hours=20)) == 100
    assert all(planned(task) == hours(*range(1, 21)) for task in tasks)


@pytest.mark.feature("T11")
@pytest.mark.parametrize(
    ("night", "expected"),
    [
        # 02:30 does not exist on 8 March 2026 in Los Angeles: it is made up for at 03:00.
        (datetime(2026, 3, 8, 8, tzinfo=UTC), [datetime(2026, 3, 8, 10, 0, tzinfo=UTC)]),
        # 01:30 comes twice on 1 November 2026; the task is planned at the first.
        (datetime(2026, 11, 1, 7, tzinfo=UTC), [datetime(2026, 11, 1, 8, 30, tzinfo=UTC)]),
    ],
)
def test_a_night_of_clock_changes_has_each_daily_run_once(
    engine: Engine, night: datetime, expected: list[datetime]
) -> None:
    at = "02:30" if night.month == 3 else "01:30"
    workflow = make_workflow(project=make_project(time_zone="America/Los_Angeles"))
    task = make_submitted_task(workflow=workflow, schedule={"cycle": "day", "at": at})
    scheduled_since(night, task)
    with engine.committing():
        generate(now=night + timedelta(hours=12))
    assert planned(task) == expected


@pytest.mark.feature("T12")
@pytest.mark.item("T12.3")
def test_a_day_waits_for_all_its_hours_whichever_is_made_first(engine: Engine) -> None:
    tasks = make_submitted_tasks(
        {
            "hourly": {"schedule": {"cycle": "hour", "every": 6}},
            "daily": {"schedule": {"cycle": "day", "at": "00:30"}, "depends_on": ["hourly"]},
        }
    )
    scheduled_since(START - timedelta(hours=1), *tasks.values())
    with engine.committing():
        generate(now=START + timedelta(hours=1))
    assert upstream_slots(tasks["daily"], START + timedelta(minutes=30)) == [
        ("hourly", at) for at in hours(0, 6, 12, 18)
    ]
    with engine.committing():
        generate(now=START + timedelta(hours=18))
    daily = Instance.objects.get(task=tasks["daily"])
    assert state_of(daily) == State.WAITING_UPSTREAM
    for hourly in Instance.objects.filter(task=tasks["hourly"]).order_by("scheduled_at"):
        engine.run(hourly)
    assert state_of(daily) == State.WAITING_EXECUTION


@pytest.mark.feature("T12")
def test_slots_from_before_the_upstream_was_scheduled_are_not_waited_for(engine: Engine) -> None:
    tasks = make_submitted_tasks(
        {
            "hourly": {"schedule": {"cycle": "hour", "every": 6}},
            "daily": {"schedule": {"cycle": "day", "at": "23:00"}, "depends_on": ["hourly"]},
        }
    )
    scheduled_since(START + timedelta(hours=10), *tasks.values())
    with engine.committing():
        generate(now=START + timedelta(hours=23))
    assert upstream_slots(tasks["daily"], START + timedelta(hours=23)) == [
        ("hourly", at) for at in hours(12, 18)
    ]


@pytest.mark.feature("T12")
def test_a_slot_that_a_plan_filled_before_is_joined(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    a_start = START + timedelta(hours=1)
    batch = make_batch(tasks["a"])
    (filled,) = engine.make(new_instance(tasks["a"], batch=batch, scheduled_at=START), batch=batch)
    engine.run(filled)
    scheduled_since(a_start, tasks["a"])
    scheduled_since(START - timedelta(hours=1), tasks["b"])
    with engine.committing():
        generate(now=START)
    edge = Edge.objects.get(instance__task=tasks["b"])
    assert edge.upstream == filled
    assert state_of(edge.instance) == State.WAITING_EXECUTION


@pytest.mark.feature("T12")
@pytest.mark.item("T12.2")
def test_a_self_dependent_task_waits_for_its_previous_instance(engine: Engine) -> None:
    task = make_submitted_task(schedule={"cycle": "hour", "every": 1}, self_dependent=True)
    scheduled_since(START, task)
    with engine.committing():
        generate(now=START + timedelta(hours=3))
    first, second, third = Instance.objects.filter(task=task).order_by("scheduled_at")
    assert [state_of(i) for i in (first, second, third)] == [
        State.WAITING_EXECUTION,
        State.WAITING_UPSTREAM,
        State.WAITING_UPSTREAM,
    ]
    engine.run(first)
    assert [state_of(i) for i in (second, third)] == [
        State.WAITING_EXECUTION,
        State.WAITING_UPSTREAM,
    ]


def test_fires_that_catch_up_latest_passes_over_hold_nobody_back(engine: Engine) -> None:
    tasks = make_submitted_tasks(
        {
            "up": {"schedule": {"cycle": "hour", "every": 1}, "catch_up": "latest"},
            "down": {"schedule": {"cycle": "hour", "every": 1}, "depends_on": ["up"]},
        }
    )
    scheduled_since(START, *tasks.values())
    Task.objects.filter(pk=tasks["up"].pk).update(next_fire_at=START + timedelta(days=300))
    with engine.committing():
        generate(now=START + timedelta(hours=3))  # "down" alone: "up" is behind
    assert Edge.objects.filter(upstream__isnull=True, removed_at__isnull=True).count() == 3
    scheduled_since(START, tasks["up"])
    with engine.committing():
        generate(now=START + timedelta(hours=3))
    assert planned(tasks["up"]) == hours(3)
    waiting = Instance.objects.filter(task=tasks["down"]).order_by("scheduled_at")
    assert [instance.state for instance in waiting] == [
        State.WAITING_EXECUTION,
        State.WAITING_EXECUTION,
        State.WAITING_UPSTREAM,
    ]


def test_an_instance_keeps_the_version_it_was_made_from(engine: Engine) -> None:
    task = make_submitted_task(schedule={"cycle": "hour", "every": 1})
    scheduled_since(START, task)
    with engine.committing():
        generate(now=START + timedelta(hours=1))
    assert Instance.objects.get(task=task).version_id == task.version_id


def test_the_number_of_queries_does_not_depend_on_the_number_of_tasks(engine: Engine) -> None:
    counts = []
    for many in (2, 20):
        workflow = make_workflow()
        definitions = {"up": {}} | {f"t{number}": {"depends_on": ["up"]} for number in range(many)}
        tasks = make_submitted_tasks(definitions, workflow=workflow)
        scheduled_since(START - timedelta(hours=1), *tasks.values())
        with CaptureQueriesContext(connection) as captured, engine.committing():
            assert generate(now=START) == many + 1
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_tasks_that_are_not_scheduling_are_left_alone(engine: Engine) -> None:
    task = make_submitted_task(schedule={"cycle": "hour", "every": 1})
    scheduled_since(START, task)
    for status in ("PAUSED", "OFFLINE"):
        Task.objects.filter(pk=task.pk).update(status=status)
        assert generate(now=START + timedelta(days=1)) == 0
