"""Drafting, changing, submitting and deleting plans."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from backfill.models import Plan, PlanTask
from backfill.states import PlanState
from backfill.verbs.plans import create_plan, delete_draft, update_plan
from backfill.verbs.submit import submit_plans
from instances.engine import announcing
from instances.models import Batch, Instance
from projects.ground.refusals import Conflict, Forbidden, Invalid, NotFound
from projects.models import Operation, OperationObject
from projects.roles import Role
from tests.factories import (
    make_member,
    make_project,
    make_submitted_task,
    make_submitted_tasks,
    make_user,
    make_workflow,
)
from tests.factories.plans import make_plan, make_spec
from workflows.verbs.submit import submit_tasks
from workflows.verbs.task_status import take_offline

pytestmark = pytest.mark.django_db


def record_of(plan_id: int) -> list[str]:
    objects = OperationObject.objects.filter(object_type="plan", object_id=plan_id)
    return list(objects.order_by("pk").values_list("operation__verb", flat=True))


def submit(*, actor: Any, plan_id: int) -> Plan:
    return submit_plans.one(actor=actor, pk=plan_id)


@pytest.mark.feature("B1")
def test_a_plan_without_a_name_is_called_by_its_moment_in_the_projects_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "projects.ground.clock.now", lambda: datetime(2023, 6, 24, 19, 59, 44, tzinfo=UTC)
    )
    project = make_project(time_zone="Asia/Tokyo")
    task = make_submitted_task(workflow=make_workflow(project=project))
    names = {make_plan(make_spec([task])).name for _ in range(5)}
    assert len(names) == 5
    assert all(re.fullmatch(r"patch_20230625045944_\d{3}", name) for name in names)


@pytest.mark.feature("B1")
def test_a_name_is_unique_in_its_project_and_free_in_another() -> None:
    task, other = make_submitted_task(), make_submitted_task()
    make_plan(make_spec([task]), name="may again")
    make_plan(make_spec([other]), name="may again")
    with pytest.raises(Invalid) as caught:
        make_plan(make_spec([task]), name="may again")
    assert list(caught.value.fields) == ["name"]


@pytest.mark.feature("B1")
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": " a"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"description": "x" * 257}, "description"),
    ],
)
@pytest.mark.item("0.5")
def test_a_wrong_name_or_description_is_refused_and_nothing_saved(
    fields: dict[str, Any], field: str
) -> None:
    task = make_submitted_task()
    with pytest.raises(Invalid) as caught:
        make_plan(make_spec([task]), **fields)
    assert list(caught.value.fields) == [field]
    assert not Plan.objects.exists()


@pytest.mark.feature("B1", "P3")
def test_a_draft_can_be_changed_and_the_record_says_so() -> None:
    task = make_submitted_task()
    plan = make_plan(make_spec([task]), description="x" * 256)
    spec = make_spec([task], "2024-06-01", "2024-06-30")
    update_plan(actor=None, plan_id=plan.pk, name="june", description="", spec=spec)
    plan.refresh_from_db()
    assert (plan.name, plan.description, plan.spec) == ("june", "", spec.to_mapping())
    assert (plan.first_data_date, plan.last_data_date) == (date(2024, 6, 1), date(2024, 6, 30))
    assert record_of(plan.pk) == ["backfill.create", "backfill.update"]


def test_a_draft_can_be_deleted() -> None:
    plan = make_plan(make_spec([make_submitted_task()]))
    pk = plan.pk
    delete_draft(actor=None, plan_id=pk)
    assert not Plan.objects.filter(pk=pk).exists()
    assert record_of(pk) == ["backfill.create", "backfill.delete"]


@pytest.mark.feature("B2")
def test_submission_fixes_tasks_versions_and_counts(nudges: list[str]) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    user = make_member(tasks["a"].project, Role.OPERATOR)
    spec = make_spec([tasks["b"], tasks["a"]], "2024-05-01", "2024-05-03")
    plan = create_plan(actor=user, project_id=tasks["a"].project_id, spec=spec)
    submit_plans.one(actor=user, pk=plan.pk)
    plan.refresh_from_db()
    assert plan.state == PlanState.EXPANDING
    assert (plan.task_count, plan.planned_count, plan.expanded_count) == (2, 6, 0)
    assert plan.submitted_at is not None
    rows = PlanTask.objects.filter(plan=plan).order_by("position")
    assert list(rows.values_list("task_id", "version_id", "cell_count")) == [
        (tasks["a"].pk, tasks["a"].version_id, 3),
        (tasks["b"].pk, tasks["b"].version_id, 3),
    ]
    assert (plan.batch.name, plan.batch.created_by) == (plan.name, user)
    assert record_of(plan.pk) == ["backfill.create", "backfill.submit"]
    operation = Operation.objects.get(verb="backfill.submit")
    assert operation.actor == user
    assert operation.objects_of.get().detail == "6 instances are made."


def test_a_worker_is_told_after_the_commit_and_not_before(
    nudges: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    plan = make_plan(make_spec([make_submitted_task()]))
    with django_capture_on_commit_callbacks(execute=True):
        submit_plans.one(actor=None, pk=plan.pk)
        assert nudges == []
    assert nudges == ["backfill.expand"]


def test_a_broker_that_is_away_does_not_refuse_the_submission(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def fail(name: str, **options: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("backfill.running.nudging.nudge", announcing.nudge)
    monkeypatch.setattr(announcing, "reaches_workers", lambda: True)
    monkeypatch.setattr(announcing, "_rest_until", 0.0)
    monkeypatch.setattr(announcing.current_app, "send_task", fail)
    plan = make_plan(make_spec([make_submitted_task()]))
    with django_capture_on_commit_callbacks(execute=True):
        submit_plans.one(actor=None, pk=plan.pk)
    assert announcing._rest_until > 0
    plan.refresh_from_db()
    assert plan.state == PlanState.EXPANDING


def test_a_submitted_plan_is_neither_changed_nor_deleted_nor_submitted_again() -> None:
    task = make_submitted_task()
    plan = make_plan(make_spec([task]))
    submit_plans.one(actor=None, pk=plan.pk)
    for verb in (submit, delete_draft):
        with pytest.raises(Conflict, match=r"is expanding; (submit needs|only a) draft"):
            verb(actor=None, plan_id=plan.pk)
    with pytest.raises(Conflict):
        update_plan(actor=None, plan_id=plan.pk, name="late")


def test_submission_refuses_what_has_become_wrong_and_changes_nothing() -> None:
    task = make_submitted_task()
    plan = make_plan(make_spec([task]))
    take_offline(actor=None, ids=[task.pk])
    with pytest.raises(Invalid) as caught:
        submit_plans.one(actor=None, pk=plan.pk)
    assert list(caught.value.fields) == ["entry.ids"]
    plan.refresh_from_db()
    assert (plan.state, plan.batch) == (PlanState.DRAFT, None)
    assert not Batch.objects.exists()


def test_a_plan_without_an_instance_can_be_drafted_and_not_submitted() -> None:
    weekly = {"cycle": "week", "weekdays": [1], "at": "06:00"}
    plan = make_plan(make_spec([make_submitted_task(schedule=weekly)], "2024-05-01"))
    with pytest.raises(Invalid) as caught:
        submit_plans.one(actor=None, pk=plan.pk)
    assert caught.value.code == "nothing_to_do"


@pytest.mark.feature("T9")
def test_a_new_version_after_submission_does_not_reach_the_plan() -> None:
    task = make_submitted_task()
    plan = make_plan(make_spec([task]))
    submit_plans.one(actor=None, pk=plan.pk)
    task.draft = {**task.draft, "code": "false"}
    task.save(update_fields=["draft"])
    submit_tasks(actor=None, ids=[task.pk])
    assert PlanTask.objects.get(plan=plan).version_id == task.version_id


@pytest.mark.feature("P1", "P2")
def test_only_operators_of_the_project_make_and_change_plans() -> None:
    task = make_submitted_task()
    plan = make_plan(make_spec([task]))
    stranger, developer = make_user(), make_member(task.project, Role.DEVELOPER)
    for user, refusal in ((stranger, NotFound), (developer, Forbidden)):
        with pytest.raises(refusal):
            create_plan(actor=user, project_id=task.project_id, spec=make_spec([task]))
        for verb in (submit, update_plan, delete_draft):
            with pytest.raises(refusal):
                verb(actor=user, plan_id=plan.pk)
    assert Plan.objects.get().state == PlanState.DRAFT
    assert not Instance.objects.exists()


def test_the_number_of_queries_of_a_submission_does_not_depend_on_the_number_of_tasks(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    def draft(number: int) -> int:
        tasks = make_submitted_tasks({f"t{n}": {} for n in range(number)})
        return make_plan(make_spec(list(tasks.values()))).pk

    few, many = draft(2), draft(20)
    with CaptureQueriesContext(connection) as queries:
        submit_plans.one(actor=None, pk=few)
    with django_assert_num_queries(len(queries)):
        submit_plans.one(actor=None, pk=many)
