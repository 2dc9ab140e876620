"""What a preview says, and that it says it quickly."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from backfill.planning.grid import Grid, Slot
from backfill.planning.preview import CellLine, DayLine, Preview, preview
from backfill.spec import PlanSpec
from backfill.states import SkipReason
from instances.engine.creation import NewInstance, create_instances
from instances.states import Kind
from projects.ground.refusals import Forbidden, Invalid, NotFound
from projects.models import Project
from projects.roles import Role
from tests.factories import (
    make_folder,
    make_member,
    make_project,
    make_submitted_tasks,
    make_user,
    make_workflow,
)
from tests.factories.plans import make_spec
from workflows.models import Task
from workflows.schedules import Schedule
from workflows.verbs.task_status import pause, take_offline

pytestmark = pytest.mark.django_db

NOW = datetime(2024, 5, 10, 12, tzinfo=UTC)
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def show(spec: PlanSpec, task: Task, **fields: Any) -> Preview:
    return preview(actor=None, project_id=task.project_id, spec=spec, now=fields.get("now", NOW))


def codes(shown: Preview) -> list[str]:
    return [warning.code for warning in shown.warnings]


@pytest.mark.feature("B16")
def test_a_preview_counts_tasks_instances_and_days() -> None:
    tasks = make_submitted_tasks(
        {
            "hourly": {"schedule": {"cycle": "hour", "every": 1}},
            "daily": {"depends_on": ["hourly"]},
            "weekly": {
                "schedule": {"cycle": "week", "weekdays": [4], "at": "06:00"},
                "depends_on": ["daily"],
            },
        }
    )
    shown = show(make_spec(list(tasks.values()), "2024-05-01", "2024-05-02"), tasks["daily"])
    assert (shown.task_count, shown.instance_count, shown.cell_count) == (3, 51, 51)
    assert (shown.first_data_date, shown.last_data_date) == (date(2024, 5, 1), date(2024, 5, 2))
    # 2 May 2024 is a Thursday.
    assert shown.days == (
        DayLine(date(2024, 5, 2), date(2024, 5, 1), 26, 0),
        DayLine(date(2024, 5, 3), date(2024, 5, 2), 25, 0),
    )
    assert [(line.label.split("/")[1], line.level, line.instances) for line in shown.tasks] == [
        ("hourly", 0, 48),
        ("daily", 1, 2),
        ("weekly", 2, 1),
    ]
    assert shown.level_count == 3
    assert shown.warnings == ()


@pytest.mark.feature("B16")
def test_the_first_instances_come_in_the_order_of_their_start() -> None:
    tasks = make_submitted_tasks(
        {
            "late": {"schedule": {"cycle": "day", "at": "09:00"}},
            "early": {},
            "urgent": {"priority": 8, "schedule": {"cycle": "day", "at": "23:00"}},
            "after": {"depends_on": ["early"]},
        }
    )
    shown = show(make_spec(list(tasks.values())), tasks["late"])
    assert [line.label.split("/")[1] for line in shown.first_cells] == [
        "urgent",
        "early",
        "late",
        "after",
    ]


@pytest.mark.feature("B16")
def test_no_more_than_two_hundred_instances_are_listed() -> None:
    tasks = make_submitted_tasks({"minutely": {"schedule": {"cycle": "minute", "every": 1}}})
    shown = show(make_spec([tasks["minutely"]], "2024-05-01", "2024-05-03"), tasks["minutely"])
    assert shown.instance_count == 3 * 1440
    assert len(shown.first_cells) == 200
    assert [cell.scheduled_at.minute for cell in shown.first_cells[:3]] == [0, 1, 2]


@pytest.mark.feature("B16", "B26")
def test_what_is_outside_the_effective_range_is_counted_as_skipped() -> None:
    schedule = {"cycle": "day", "at": "01:00", "effective_from": "2024-05-03"}
    task = make_submitted_tasks({"young": {"schedule": schedule}})["young"]
    shown = show(make_spec([task], "2024-05-01", "2024-05-04"), task)
    assert (shown.cell_count, shown.instance_count) == (4, 3)
    assert shown.skipped == {SkipReason.NOT_EFFECTIVE: 1}
    assert shown.days[0] == DayLine(date(2024, 5, 2), date(2024, 5, 1), 0, 1)
    assert codes(shown) == ["skipped"]


@pytest.mark.feature("B7")
@pytest.mark.parametrize(
    ("future_runs", "not_before"),
    [("when_due", datetime(2024, 6, 2, 3, tzinfo=UTC)), ("at_once", NOW)],
)
@pytest.mark.item("2.28")
def test_future_instances_wait_for_their_time_or_run_at_once(
    future_runs: str, not_before: datetime
) -> None:
    task = make_submitted_tasks({"t": {"schedule": {"cycle": "day", "at": "03:00"}}})["t"]
    spec = make_spec([task], "2024-06-01", future_runs=future_runs)
    scheduled_at = datetime(2024, 6, 2, 3, tzinfo=UTC)
    assert show(spec, task).first_cells == (
        CellLine(
            task.pk,
            str(show(spec, task).tasks[0].label),
            scheduled_at,
            date(2024, 6, 1),
            not_before,
        ),
    )


@pytest.mark.feature("B16")
def test_a_plan_without_a_single_instance_is_refused() -> None:
    weekly = {"cycle": "week", "weekdays": [1], "at": "06:00"}
    old = {"cycle": "day", "at": "06:00", "effective_until": "2020-01-01"}
    tasks = make_submitted_tasks({"weekly": {"schedule": weekly}, "old": {"schedule": old}})
    for name, words in (("weekly", "None of the tasks is planned"), ("old", "effective ranges")):
        with pytest.raises(Invalid) as caught:
            show(make_spec([tasks[name]], "2024-05-01"), tasks[name])
        assert caught.value.code == "nothing_to_do"
        assert words in caught.value.fields["periods"][0]


@pytest.mark.feature("B16")
def test_more_instances_than_any_plan_takes_are_refused_with_the_number() -> None:
    task = make_submitted_tasks({"t": {"schedule": {"cycle": "minute", "every": 1}}})["t"]
    tasks = make_submitted_tasks(
        {f"t{n}": {"schedule": {"cycle": "minute", "every": 1}} for n in range(3)},
        workflow=task.workflow,
    )
    spec = make_spec([task, *tasks.values()], "2015-01-01", "2023-12-31")
    with pytest.raises(Invalid) as caught:
        show(spec, task)
    assert caught.value.code == "too_many_cells"
    assert "this one has 18,933,120" in caught.value.fields["periods"][0]


# Which tasks


@pytest.mark.feature("B2")
@pytest.mark.item("0.6", "0.7")
def test_the_entries_stand_for_the_tasks_of_workflows_folders_and_the_project() -> None:
    project = make_project()
    outer = make_folder(project, "outer")
    inner = make_folder(project, "inner", parent=outer)
    beside = make_folder(project, "outermost")
    names = {"a": outer, "b": inner, "c": beside, "d": None}
    flows = {
        name: make_workflow(name, project=project, folder=folder) for name, folder in names.items()
    }
    for name, flow in flows.items():
        make_submitted_tasks({f"task_{name}": {}}, workflow=flow)

    def tasks_of(entry: dict[str, Any]) -> list[str]:
        spec = PlanSpec.from_mapping({"entry": entry}, today=date(2024, 5, 1))
        shown = preview(actor=None, project_id=project.pk, spec=spec, now=NOW)
        return sorted(line.label for line in shown.tasks)

    assert tasks_of({"kind": "workflows", "ids": [flows["a"].pk, flows["d"].pk]}) == [
        "a/task_a",
        "d/task_d",
    ]
    assert tasks_of({"kind": "folders", "ids": [outer.pk]}) == ["a/task_a", "b/task_b"]
    assert tasks_of({"kind": "folders", "ids": [outer.pk], "subfolders": False}) == ["a/task_a"]
    assert tasks_of({"kind": "project"}) == ["a/task_a", "b/task_b", "c/task_c", "d/task_d"]


@pytest.mark.feature("B3")
def test_downstream_tasks_are_offered_for_choosing_across_workflows() -> None:
    first = make_submitted_tasks({"load": {}, "clean": {"depends_on": ["load"]}})
    workflow = make_workflow(project=first["load"].project)
    source = f"{first['load'].workflow.name}/clean"
    other = make_submitted_tasks({"report": {"depends_on": [source]}}, workflow=workflow)
    spec = make_spec(
        [first["load"]],
        scope="selected_and_downstream",
        downstream_task_ids=[other["report"].pk],
    )
    shown = show(spec, first["load"])
    assert [line.id for line in shown.tasks] == [first["load"].pk, other["report"].pk]
    assert [(line.id, line.chosen) for line in shown.downstream] == [
        (first["clean"].pk, False),
        (other["report"].pk, True),
    ]


@pytest.mark.feature("B2")
@pytest.mark.item("0.9")
def test_paused_and_invalid_tasks_are_run_with_a_warning_and_offline_ones_left_out() -> None:
    ended = {"cycle": "day", "at": "00:00", "effective_until": "2025-01-01"}
    tasks = make_submitted_tasks({"on": {}, "rest": {}, "ended": {"schedule": ended}, "off": {}})
    pause(actor=None, ids=[tasks["rest"].pk])
    take_offline(actor=None, ids=[tasks["off"].pk])
    spec = PlanSpec.from_mapping(
        {"entry": {"kind": "workflows", "ids": [tasks["on"].workflow_id]}}, today=date(2024, 5, 1)
    )
    shown = show(spec, tasks["on"], now=LATER)
    assert [(line.label.split("/")[1], line.status) for line in shown.tasks] == [
        ("on", "SCHEDULING"),
        ("rest", "PAUSED"),
        ("ended", "INVALID"),
    ]
    assert [(warning.code, warning.task_ids) for warning in shown.warnings] == [
        ("left_out", (tasks["off"].pk,)),
        ("paused", (tasks["rest"].pk,)),
        ("invalid", (tasks["ended"].pk,)),
    ]


# Isolation


def make_periodic(task: Task, scheduled_at: datetime) -> None:
    assert task.version_id and task.resource_group_id
    row = NewInstance(
        project_id=task.project_id,
        task_id=task.pk,
        version_id=task.version_id,
        resource_group_id=task.resource_group_id,
        kind=Kind.PERIODIC,
        scheduled_at=scheduled_at,
        data_date=scheduled_at.date(),
        local_time=scheduled_at.time(),
        priority=5,
        sort_key=0,
        retry_limit=0,
        inline=False,
        dry=False,
        not_before=scheduled_at,
    )
    create_instances([row], now=NOW, batch_id=None)


def owe(task: Task, since: datetime, until: datetime) -> None:
    """Let the task have been scheduled since `since`, and generation have passed `until`.

    Instances are kept for long, so that whatever has no instance was never made.
    """
    Project.objects.filter(pk=task.project_id).update(periodic_retention_days=36_500)
    Task.objects.filter(pk=task.pk).update(scheduling_since=since, generated_until=until)


MAY = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.feature("B16")
def test_an_instance_that_waits_for_a_slot_that_will_never_come_is_isolated() -> None:
    tasks = make_submitted_tasks({"load": {}, "report": {"depends_on": ["load"]}})
    owe(tasks["load"], MAY, NOW)
    make_periodic(tasks["load"], datetime(2024, 5, 3, tzinfo=UTC))
    spec = make_spec([tasks["report"]], "2024-05-01", "2024-05-03")
    shown = show(spec, tasks["report"])
    (warning,) = shown.warnings
    assert (warning.code, warning.task_ids) == ("isolated", (tasks["load"].pk,))
    assert warning.message.startswith("2 instances would wait")
    assert "report of 2024-05-02 00:00 UTC" in warning.message
    assert "load of 2024-05-02 00:00 UTC" in warning.message


@pytest.mark.feature("B8", "B16")
@pytest.mark.parametrize("check", ["none", "selected"])
def test_what_is_not_checked_isolates_nobody(check: str) -> None:
    tasks = make_submitted_tasks({"load": {}, "report": {"depends_on": ["load"]}})
    owe(tasks["load"], MAY, NOW)
    spec = make_spec([tasks["report"]], "2024-05-01", "2024-05-03", dependency_check=check)
    assert codes(show(spec, tasks["report"])) == []


@pytest.mark.feature("B16")
def test_slots_that_were_never_owed_or_are_still_to_come_isolate_nobody() -> None:
    tasks = make_submitted_tasks({"load": {}, "report": {"depends_on": ["load"]}})
    owe(tasks["load"], datetime(2024, 5, 9, tzinfo=UTC), NOW)
    past = make_spec([tasks["report"]], "2024-05-01", "2024-05-07")
    assert codes(show(past, tasks["report"])) == []
    future = make_spec([tasks["report"]], "2024-05-20", "2024-05-25")
    assert codes(show(future, tasks["report"])) == []
    pause(actor=None, ids=[tasks["load"].pk])
    owe(tasks["load"], datetime(2024, 5, 9, tzinfo=UTC), NOW)
    assert codes(show(future, tasks["report"])) == ["isolated"]


@pytest.mark.feature("B6", "B16")
@pytest.mark.item("2.31")
def test_hours_left_out_isolate_the_daily_task_that_needs_them() -> None:
    tasks = make_submitted_tasks(
        {
            "hourly": {"schedule": {"cycle": "hour", "every": 1}},
            "daily": {"depends_on": ["hourly"]},
        }
    )
    owe(tasks["hourly"], MAY, NOW)
    spec = make_spec(list(tasks.values()), "2024-05-03", time_from="01:00", time_until="02:00")
    shown = show(spec, tasks["daily"])
    assert shown.instance_count == 3
    assert codes(shown) == ["isolated"]


@pytest.mark.feature("B16")
def test_of_a_plan_too_large_to_look_at_whole_the_ends_are_looked_at() -> None:
    tasks = make_submitted_tasks(
        {
            f"t{number}": {"self_dependent": True, "schedule": {"cycle": "hour", "every": 1}}
            for number in range(10)
        }
    )
    first = tasks["t0"]
    for task in tasks.values():
        owe(task, datetime(2020, 1, 1, tzinfo=UTC), NOW)
    shown = show(make_spec(list(tasks.values()), "2023-01-01", "2023-12-31"), first)
    assert shown.instance_count == 87_600
    assert [warning.message.split(" instances")[0] for warning in shown.warnings] == ["At least 10"]


# Rights


@pytest.mark.feature("P2", "B5")
@pytest.mark.item("2.9")
def test_a_task_that_the_user_does_not_see_does_not_exist() -> None:
    mine = make_submitted_tasks({"mine": {}})["mine"]
    foreign = make_submitted_tasks({"foreign": {}})["foreign"]
    user = make_member(mine.project, Role.OPERATOR)
    for pk in (foreign.pk, 10**9):
        with pytest.raises(Invalid) as caught:
            preview(
                actor=user,
                project_id=mine.project_id,
                spec=make_spec([mine, pk]),
                now=NOW,
            )
        assert caught.value.fields == {"entry.ids.1": [f"There is no task {pk} in your projects."]}


@pytest.mark.feature("B5")
def test_a_root_in_a_project_that_the_user_may_not_operate_refuses_the_plan() -> None:
    mine = make_submitted_tasks({"mine": {}})["mine"]
    foreign = make_submitted_tasks({"foreign": {}})["foreign"]
    user = make_member(mine.project, Role.OPERATOR)
    make_member(foreign.project, Role.VIEWER, user=user)
    entries: list[tuple[dict[str, Any], str]] = [
        ({"kind": "tasks", "ids": [foreign.pk]}, "entry.ids"),
        ({"kind": "workflows", "ids": [foreign.workflow_id]}, "entry.ids.0"),
    ]
    for entry, field in entries:
        spec = PlanSpec.from_mapping({"entry": entry}, today=date(2024, 5, 1))
        with pytest.raises(Invalid) as caught:
            preview(actor=user, project_id=mine.project_id, spec=spec, now=NOW)
        assert list(caught.value.fields) == [field]


@pytest.mark.feature("B5", "P2")
def test_a_downstream_task_of_a_foreign_project_is_left_out_by_its_id_alone() -> None:
    mine = make_submitted_tasks({"mine": {}})["mine"]
    reference = f"{mine.project.name}/{mine.workflow.name}/mine"
    foreign = make_submitted_tasks({"secret": {"depends_on": [reference]}})["secret"]
    user = make_member(mine.project, Role.OPERATOR)
    spec = make_spec([mine], scope="selected_and_downstream")
    shown = preview(actor=user, project_id=mine.project_id, spec=spec, now=NOW)
    assert [line.id for line in shown.tasks] == [mine.pk]
    (warning,) = shown.warnings
    assert (warning.code, warning.task_ids) == ("left_out", (foreign.pk,))
    assert f"task {foreign.pk}" in warning.message
    assert "secret" not in warning.message


@pytest.mark.feature("P1", "P2")
def test_who_may_not_operate_the_project_gets_no_preview() -> None:
    task = make_submitted_tasks({"t": {}})["t"]
    with pytest.raises(NotFound):
        preview(actor=make_user(), project_id=task.project_id, spec=make_spec([task]), now=NOW)
    viewer = make_member(task.project, Role.VIEWER)
    with pytest.raises(Forbidden):
        preview(actor=viewer, project_id=task.project_id, spec=make_spec([task]), now=NOW)


# Size


def make_layers(layers: int, width: int, project: Project) -> list[Task]:
    """`layers` × `width` daily tasks; each but those of the first layer waits for three others."""
    definitions = {
        f"l{layer:02d}_t{number:03d}": {
            "type": "virtual",
            "depends_on": [f"l{layer - 1:02d}_t{(number + step) % width:03d}" for step in range(3)]
            if layer
            else [],
        }
        for layer in range(layers)
        for number in range(width)
    }
    made = make_submitted_tasks(definitions, workflow=make_workflow(project=project))
    return [made[name] for name in definitions]


def test_the_number_of_queries_does_not_depend_on_the_number_of_tasks(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    project = make_project()
    user = make_member(project, Role.OPERATOR)

    def run(tasks: list[Task]) -> None:
        spec = make_spec(tasks[:3], "2024-05-01", "2024-05-07", scope="selected_and_downstream")
        preview(actor=user, project_id=project.pk, spec=spec, now=NOW)

    few, many = make_layers(2, 5, project), make_layers(5, 8, project)
    with CaptureQueriesContext(connection) as queries:
        run(few)
    with django_assert_num_queries(len(queries)):
        run(many)
    assert len(queries) < 20


@pytest.mark.feature("B16")
def test_a_plan_of_730_000_instances_is_previewed_without_making_its_cells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = make_project()
    tasks = make_layers(10, 200, project)
    spec = make_spec(tasks[:200], "2023-01-01", "2023-12-31", scope="selected_and_downstream")
    original, days_looked_at = Grid.slots, []

    def slots(grid: Grid, schedule: Schedule, day: date) -> tuple[Slot, ...]:
        days_looked_at.append(day)
        return original(grid, schedule, day)

    monkeypatch.setattr(Grid, "slots", slots)
    shown = preview(actor=None, project_id=project.pk, spec=spec, now=NOW)
    assert (shown.task_count, shown.instance_count) == (2000, 730_000)
    assert len(shown.first_cells) == 200
    assert days_looked_at == [date(2023, 1, 2)]  # for the first instances
