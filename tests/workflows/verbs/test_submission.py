"""Submission: what it writes, what it refuses, and that it costs the same for many as for few."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext

from projects.ground import clock
from projects.ground.refusals import Forbidden, Invalid, NotFound
from projects.models import Operation, OperationObject
from projects.roles import Role
from tests.factories import (
    make_data_source,
    make_member,
    make_project,
    make_resource_group,
    make_submitted_task,
    make_submitted_tasks,
    make_task,
    make_user,
    make_workflow,
    mapping,
)
from workflows.choices import TaskStatus
from workflows.editing.drafts import save_draft
from workflows.models import Dependency, Task, TaskVersion
from workflows.verbs.noun import WORKFLOWS
from workflows.verbs.submit import (
    SubmissionRefused,
    submit_tasks,
    watermark_after_change,
)
from workflows.verbs.task_status import pause, take_offline

pytestmark = [pytest.mark.django_db, pytest.mark.feature("T9")]

NOON = datetime(2030, 5, 6, 12, tzinfo=UTC)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stand the clock still."""

    def stand(moment: datetime) -> datetime:
        monkeypatch.setattr(clock, "now", lambda: moment)
        return moment

    stand(NOON)
    return stand


def submit(*tasks: Task, **options: Any) -> list[str]:
    result = submit_tasks(actor=None, ids=[task.pk for task in tasks], **options)
    return [outcome.code for outcome in result.outcomes]


def redraft(task: Task, **definition: Any) -> None:
    save_draft(actor=None, task_id=task.pk, draft=mapping(**definition))


def problems(*tasks: Task) -> list[tuple[str, str, str]]:
    with pytest.raises(SubmissionRefused) as caught:
        submit(*tasks)
    return [(one.label.split("/")[1], one.field, one.code) for one in caught.value.problems]


def links_of(task: Task) -> set[tuple[str, str, str]]:
    rows = Dependency.objects.filter(downstream=task)
    return set(rows.values_list("upstream__name", "offset", "scope"))


def test_the_first_submission_makes_version_one_and_starts_the_schedule(at: Any) -> None:
    developer = make_user()
    workflow = make_workflow(time_zone="Europe/Berlin")
    make_member(workflow.project, Role.DEVELOPER, user=developer)
    group = make_resource_group("big")
    task = make_task(
        "load",
        workflow=workflow,
        schedule={"cycle": "day", "at": "09:30", "effective_until": "2031-01-31"},
        priority=7,
        resource_group="big",
        self_dependent=True,
        max_parallel=2,
    )

    result = submit_tasks(actor=developer, ids=[task.pk], comment="First")

    task.refresh_from_db()
    version = TaskVersion.objects.get(task=task)
    assert task.version == version
    assert (version.number, version.comment, version.submitted_by) == (1, "First", developer)
    assert (version.type, version.cycle, version.time_zone) == ("shell", "day", "Europe/Berlin")
    assert version.definition == task.draft
    assert task.status == TaskStatus.SCHEDULING
    assert (task.type, task.cycle, task.priority) == ("shell", "day", 7)
    assert (task.resource_group, task.self_dependent, task.max_parallel) == (group, True, 2)
    assert task.effective_from is None
    assert task.effective_until == datetime(2031, 1, 31, 22, 59, 59, 999999, tzinfo=UTC)
    assert task.first_submitted_at == task.last_submitted_at == NOON
    assert task.generated_until == task.scheduling_since == NOON
    assert task.next_fire_at == datetime(2030, 5, 7, 7, 30, tzinfo=UTC)
    operation = Operation.objects.get(pk=result.operation_id)
    assert (operation.verb, operation.actor, operation.project) == (
        "tasks.submit",
        developer,
        workflow.project,
    )
    assert list(operation.objects_of.values_list("object_id", "code")) == [(task.pk, "submitted")]


def test_a_changed_draft_makes_the_next_version_and_keeps_the_first_one(at: Any) -> None:
    task = make_submitted_task("load", code="one")
    redraft(task, code="two")
    later = at(NOON + timedelta(hours=1))

    assert submit(task) == ["submitted"]

    task.refresh_from_db()
    assert list(task.versions.order_by("number").values_list("number", "definition__code")) == [
        (1, "one"),
        (2, "two"),
    ]
    assert task.version.number == 2
    assert (task.first_submitted_at, task.last_submitted_at) == (NOON, later)


def test_an_unchanged_draft_makes_no_version_and_changes_nothing(at: Any) -> None:
    task = make_submitted_task("load")
    before = Task.objects.filter(pk=task.pk).values().get()
    at(NOON + timedelta(days=3))

    assert submit(task) == ["unchanged"]

    assert Task.objects.filter(pk=task.pk).values().get() == before
    assert task.versions.count() == 1


def test_another_time_zone_of_the_workflow_is_a_change() -> None:
    task = make_submitted_task("load")
    task.workflow.time_zone = "Asia/Tokyo"
    task.workflow.save()

    assert submit(task) == ["submitted"]
    assert list(task.versions.values_list("time_zone", flat=True)) == ["Asia/Tokyo", "UTC"]


def test_an_offline_task_comes_back_with_the_version_it_had(at: Any) -> None:
    task = make_submitted_task("load")
    version = task.version
    take_offline(actor=None, ids=[task.pk])
    back = at(NOON + timedelta(days=2, hours=1))

    assert submit(task) == ["reactivated"]

    task.refresh_from_db()
    assert task.version == version
    assert task.status == TaskStatus.SCHEDULING
    # What fell due while it was offline was never owed.
    assert task.generated_until == task.scheduling_since == back
    assert task.next_fire_at == datetime(2030, 5, 9, tzinfo=UTC)


def test_an_offline_task_comes_back_with_a_changed_definition(at: Any) -> None:
    task = make_submitted_task("load", code="one")
    take_offline(actor=None, ids=[task.pk])
    redraft(task, code="two")

    assert submit(task) == ["submitted"]

    task.refresh_from_db()
    assert (task.status, task.version.number) == (TaskStatus.SCHEDULING, 2)


def test_a_paused_task_stays_paused(at: Any) -> None:
    task = make_submitted_task("load", code="one")
    pause(actor=None, ids=[task.pk])
    redraft(task, code="two")

    assert submit(task) == ["submitted"]

    task.refresh_from_db()
    assert (task.status, task.version.number) == (TaskStatus.PAUSED, 2)
    assert task.next_fire_at is None


def test_new_code_leaves_the_watermark_alone(at: Any) -> None:
    task = make_submitted_task("load", code="one")
    redraft(task, code="two")
    at(NOON + timedelta(days=2))

    submit(task)

    task.refresh_from_db()
    assert task.generated_until == NOON
    assert task.next_fire_at == datetime(2030, 5, 7, tzinfo=UTC)


@pytest.mark.feature("T11")
def test_a_new_schedule_rules_from_its_submission_on(at: Any) -> None:
    task = make_submitted_task("load", schedule={"cycle": "day", "at": "00:00"})
    generated = datetime(2030, 5, 7, tzinfo=UTC)
    Task.objects.filter(pk=task.pk).update(
        generated_until=generated, next_fire_at=generated + timedelta(days=1)
    )
    redraft(task, schedule={"cycle": "day", "at": "10:00"})
    at(datetime(2030, 5, 7, 15, tzinfo=UTC))

    submit(task)

    # The 7th has had its instance at 00:00; 10:00 of that day would be a second one.
    task.refresh_from_db()
    assert task.next_fire_at == datetime(2030, 5, 8, 10, tzinfo=UTC)


@pytest.mark.feature("T11")
@pytest.mark.parametrize(
    ("generated", "owed", "watermark"),
    [
        pytest.param(8, None, 12, id="nothing owed: the new schedule begins now"),
        pytest.param(8, 13, 12, id="next fire is to come: the new schedule begins now"),
        pytest.param(8, 10, 10, id="generation is behind: begins with the fire that is owed"),
        pytest.param(14, 15, 14, id="never behind what was generated"),
        pytest.param(None, None, 12, id="never generated"),
    ],
)
def test_the_watermark_neither_loses_nor_doubles_a_fire(
    generated: int | None, owed: int | None, watermark: int
) -> None:
    def hour(number: int | None) -> datetime | None:
        return None if number is None else NOON.replace(hour=number)

    found = watermark_after_change(hour(generated), hour(owed), NOON)

    expected = NOON.replace(hour=watermark)
    if owed == watermark:
        assert found < expected  # so that the owed slot itself is still generated
        assert found >= expected - timedelta(milliseconds=1)
    else:
        assert found == expected


@pytest.mark.feature("T12")
def test_dependencies_within_the_batch_resolve_to_each_other() -> None:
    workflow = make_workflow("flow")
    first = make_task("first", workflow=workflow)
    second = make_task("second", workflow=workflow, depends_on=["first"])

    assert problems(second) == [("second", "depends_on.0", "draft_upstream")]
    assert submit(first, second) == ["submitted", "submitted"]
    assert links_of(second) == {("first", "same", "default")}


@pytest.mark.feature("T12")
def test_dependencies_reach_other_workflows_and_projects() -> None:
    project = make_project("sales")
    here = make_workflow("here", project=project)
    make_submitted_task("local", workflow=here)
    make_submitted_task("near", workflow=make_workflow("there", project=project))
    foreign = make_workflow("raw", project=make_project("lake"))
    make_submitted_task("far", workflow=foreign)
    developer = make_member(project, Role.DEVELOPER)
    make_member(foreign.project, Role.VIEWER, user=developer)
    task = make_task(
        "load",
        workflow=here,
        depends_on=[
            "local",
            {"task": "there/near", "offset": "previous"},
            {"task": "lake/raw/far", "scope": "previous_day"},
        ],
    )

    submit_tasks(actor=developer, ids=[task.pk])

    assert links_of(task) == {
        ("local", "same", "default"),
        ("near", "previous", "default"),
        ("far", "same", "previous_day"),
    }


@pytest.mark.feature("T12", "P2")
def test_a_foreign_task_reads_the_same_whether_hidden_or_missing() -> None:
    project = make_project()
    hidden = make_submitted_task("far", workflow=make_workflow("raw", project=make_project("lake")))
    developer = make_member(project, Role.DEVELOPER)
    workflow = make_workflow(project=project)
    messages = []
    for name in ("lake/raw/far", "lake/raw/none"):
        task = make_task(workflow=workflow, depends_on=[name])
        with pytest.raises(SubmissionRefused) as caught:
            submit_tasks(actor=developer, ids=[task.pk])
        messages.append(caught.value.problems[0].message)

    # Nor does either name what somebody else wrote into the draft.
    assert all(re.fullmatch("There is no task “//x[0-9a-f]{12}”.", text) for text in messages)
    assert not Dependency.objects.filter(upstream=hidden).exists()


@pytest.mark.feature("T12")
def test_resubmission_replaces_the_dependencies() -> None:
    workflow = make_workflow()
    tasks = make_submitted_tasks(
        {"a": {}, "b": {}, "c": {"depends_on": ["a", "b"]}}, workflow=workflow
    )
    kept = Dependency.objects.get(upstream=tasks["b"], downstream=tasks["c"])
    make_submitted_task("d", workflow=workflow)
    redraft(tasks["c"], depends_on=["b", {"task": "d", "scope": "latest"}])

    submit(tasks["c"])

    assert links_of(tasks["c"]) == {("b", "same", "default"), ("d", "same", "latest")}
    assert Dependency.objects.get(upstream=tasks["b"]) == kept


@pytest.mark.feature("T12")
def test_a_cycle_is_refused_with_the_path_that_closes_it() -> None:
    workflow = make_workflow("flow")
    tasks = make_submitted_tasks(
        {"a": {}, "b": {"depends_on": ["a"]}, "c": {"depends_on": ["b"]}}, workflow=workflow
    )
    redraft(tasks["a"], depends_on=["c"])

    with pytest.raises(SubmissionRefused) as caught:
        submit(tasks["a"])

    assert caught.value.code == "cycle"
    assert caught.value.fields == {"flow/a.depends_on.0": ["This closes a cycle: a → b → c → a."]}
    assert links_of(tasks["a"]) == set()
    assert tasks["a"].versions.count() == 1


@pytest.mark.feature("T12")
def test_a_cycle_within_the_batch_is_refused() -> None:
    workflow = make_workflow()
    a = make_task("a", workflow=workflow, depends_on=["b"])
    b = make_task("b", workflow=workflow, depends_on=["a"])

    assert problems(a, b) == [("b", "depends_on.0", "cycle")]
    assert set(Task.objects.values_list("status", flat=True)) == {TaskStatus.DRAFT}


@pytest.mark.feature("T12", "P2")
def test_the_path_of_a_cycle_hides_the_names_of_other_peoples_projects() -> None:
    ours, theirs = make_project("ours"), make_project("theirs")
    a = make_submitted_task("a", workflow=make_workflow("flow", project=ours))
    secret = make_submitted_task(
        "secret", workflow=make_workflow("raw", project=theirs), depends_on=["ours/flow/a"]
    )
    b = make_submitted_task("b", workflow=a.workflow, depends_on=["theirs/raw/secret"])
    redraft(a, depends_on=["b"])
    developer = make_member(ours, Role.DEVELOPER)

    with pytest.raises(SubmissionRefused) as caught:
        submit_tasks(actor=developer, ids=[a.pk])

    path = f"a → task {secret.pk} of another project → b → a"
    assert caught.value.problems[0].message == f"This closes a cycle: {path}."
    assert b.version.number == 1


@pytest.mark.feature("T12")
def test_a_round_through_the_previous_day_is_accepted() -> None:
    workflow = make_workflow()
    load = make_task(
        "load", workflow=workflow, depends_on=[{"task": "report", "offset": "previous"}]
    )
    report = make_task("report", workflow=workflow, depends_on=["load"])

    assert submit(load, report) == ["submitted", "submitted"]
    assert links_of(load) == {("report", "previous", "default")}


@pytest.mark.feature("T12")
def test_waiting_for_itself_is_a_flag_and_not_a_dependency() -> None:
    task = make_task("a", depends_on=["a"])
    with pytest.raises(SubmissionRefused) as caught:
        submit(task)
    assert caught.value.problems[0].code == "self_reference"
    assert "self_dependent" in caught.value.problems[0].message


@pytest.mark.feature("T12")
def test_two_spellings_of_one_upstream_are_refused() -> None:
    workflow = make_workflow("flow")
    a = make_task("a", workflow=workflow)
    b = make_task("b", workflow=workflow, depends_on=["a", "flow/a"])
    assert problems(a, b) == [("b", "depends_on.1", "duplicate_dependency")]


def test_unknown_names_are_refused_all_at_once_at_their_fields() -> None:
    project = make_project()
    make_resource_group("theirs", kind="exclusive", projects=(make_project(),))
    make_data_source(make_project(), "warehouse")
    workflow = make_workflow(project=project)
    a = make_task("a", workflow=workflow, resource_group="nowhere", depends_on=["ghost"])
    b = make_task(
        "b",
        workflow=workflow,
        type="sql",
        resource_group="theirs",
        config={"data_source": "warehouse"},
    )

    assert set(problems(a, b)) == {
        ("a", "resource_group", "unknown_resource_group"),
        ("a", "depends_on.0", "unknown_task"),
        ("b", "resource_group", "resource_group_not_attached"),
        ("b", "config.data_source", "unknown_data_source"),
    }
    assert not TaskVersion.objects.exists()
    assert not Operation.objects.filter(verb="tasks.submit").exists()


def test_an_attached_group_and_an_own_data_source_are_accepted() -> None:
    project = make_project()
    group = make_resource_group("ours", kind="exclusive", projects=(project,))
    make_data_source(project, "warehouse")
    task = make_submitted_task(
        workflow=make_workflow(project=project),
        type="sql",
        resource_group="ours",
        config={"data_source": "warehouse"},
    )
    assert task.resource_group == group


@pytest.mark.feature("T11")
@pytest.mark.parametrize(
    "schedule",
    [
        {
            "cycle": "week",
            "weekdays": [1],
            "at": "00:00",
            "effective_from": "2030-05-07",
            "effective_until": "2030-05-08",
        },
        {"cycle": "one_time", "at": "2030-01-01 00:00", "effective_from": "2030-02-01"},
    ],
)
def test_a_schedule_that_never_fires_is_refused(schedule: dict[str, Any]) -> None:
    task = make_task("a", schedule=schedule)
    assert problems(task) == [("a", "schedule", "never_fires")]


@pytest.mark.feature("T11", "T2")
def test_a_schedule_of_the_past_is_accepted_and_never_due(at: Any) -> None:
    task = make_submitted_task(
        schedule={
            "cycle": "hour",
            "every": 1,
            "effective_from": "2010-07-01",
            "effective_until": "2010-07-31",
        }
    )
    assert (task.status, task.next_fire_at) == (TaskStatus.SCHEDULING, None)


def test_who_may_not_develop_may_not_submit() -> None:
    task = make_task()
    with pytest.raises(Forbidden):
        submit_tasks(actor=make_member(task.project, Role.VIEWER), ids=[task.pk])
    with pytest.raises(NotFound):
        submit_tasks(actor=make_user(), ids=[task.pk])
    assert not TaskVersion.objects.exists()


@pytest.mark.feature("P2")
def test_one_foreign_task_refuses_the_batch() -> None:
    own, foreign = make_task(), make_task()
    developer = make_member(own.project, Role.DEVELOPER)
    with pytest.raises(NotFound, match=f"no task {foreign.pk} "):
        submit_tasks(actor=developer, ids=[own.pk, foreign.pk])
    assert not TaskVersion.objects.exists()


def test_nothing_to_submit_is_refused() -> None:
    with pytest.raises(Invalid):
        submit_tasks(actor=None, ids=[])
    with pytest.raises(Invalid) as caught:
        submit_tasks.on(WORKFLOWS, actor=None, ids=[make_workflow().pk])
    assert caught.value.code == "empty"
    with pytest.raises(NotFound):
        submit_tasks.on(WORKFLOWS, actor=None, ids=[0])


def test_a_workflow_is_submitted_as_one_batch() -> None:
    workflow = make_workflow()
    b = make_task("b", workflow=workflow, depends_on=["a"])
    a = make_task("a", workflow=workflow)

    result = submit_tasks.on(WORKFLOWS, actor=None, ids=[workflow.pk])

    assert {outcome.id: outcome.code for outcome in result.outcomes} == {
        a.pk: "submitted",
        b.pk: "submitted",
    }
    rows = OperationObject.objects.filter(operation=result.operation_id)
    assert set(rows.values_list("object_id", flat=True)) == {a.pk, b.pk}


def test_the_database_refuses_to_change_a_version() -> None:
    version = make_submitted_task().version
    with pytest.raises(IntegrityError, match="never changes"):
        TaskVersion.objects.filter(pk=version.pk).update(definition={"type": "python"})


def test_the_trigger_goes_and_comes_with_its_migration() -> None:
    version = make_submitted_task().version
    changed = TaskVersion.objects.filter(pk=version.pk)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    # This one alone: those that came after it have nothing to do with the trigger.
    loader = MigrationLoader(connection)
    migration = loader.get_migration("workflows", "0002_version_is_immutable")
    before = loader.project_state(("workflows", "0001_initial"))
    with connection.schema_editor() as editor:
        migration.unapply(before.clone(), editor)
    changed.update(definition={"type": "python"})
    with connection.schema_editor() as editor:
        migration.apply(before.clone(), editor)
    with pytest.raises(IntegrityError, match="never changes"):
        changed.update(definition={"type": "shell"})


def test_a_version_may_lose_who_submitted_it() -> None:
    version = make_submitted_task().version
    TaskVersion.objects.filter(pk=version.pk).update(submitted_by=None, comment="…")
    version.refresh_from_db()
    assert version.comment == "…"


def test_the_number_of_queries_does_not_depend_on_the_number_of_tasks() -> None:
    counts = []
    for size in (2, 20):
        project = make_project()
        make_data_source(project, "warehouse")
        developer = make_member(project, Role.DEVELOPER)
        workflow = make_workflow(project=project)
        lake = make_workflow("raw", project=make_project())
        make_submitted_task("far", workflow=lake)
        make_member(lake.project, Role.VIEWER, user=developer)
        tasks = [
            make_task(
                f"t{number}",
                workflow=workflow,
                type="sql",
                config={"data_source": "warehouse"},
                depends_on=[f"{lake.project.name}/raw/far"]
                + ([f"t{number - 1}"] if number else []),
            )
            for number in range(size)
        ]
        with CaptureQueriesContext(
            connection,
        ) as queries:
            submit_tasks(actor=developer, ids=[task.pk for task in tasks])
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[0] <= 28
