"""The figures and the states of plans as their instances go on."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from backfill.models import Plan
from backfill.reading.progress import progress_of, tasks_progress
from backfill.running import expanding
from backfill.running.expanding import expand_plan
from backfill.running.settling import settle_plans
from backfill.states import PlanState
from backfill.verbs.control import terminate_plans
from instances.models import Instance
from instances.states import State
from instances.verbs.freezing import freeze, unfreeze
from instances.verbs.rerun import rerun
from tests.factories import make_submitted_task, make_submitted_tasks
from tests.factories.plans import make_expanded_plan, make_plan, make_spec, make_submitted_plan
from tests.support.engine import Engine


def instances_of(plan: Plan) -> list[Instance]:
    return list(Instance.objects.filter(batch=plan.batch).order_by("scheduled_at"))


def stored_state(plan: Plan) -> PlanState:
    settle_plans()
    plan.refresh_from_db()
    return PlanState(plan.state)


def make_four(engine: Engine, **fields: object) -> Plan:
    with engine.committing():
        task = make_submitted_task(retries={"limit": 0})
        return make_expanded_plan(make_spec([task], "2024-05-01", "2024-05-04", **fields))


@pytest.mark.feature("B21")
@pytest.mark.item("0.35")
def test_rates_are_of_all_instances_and_failures_count_as_completed(engine: Engine) -> None:
    plan = make_four(engine)
    first, second, third, _ = instances_of(plan)
    engine.run(first)
    engine.run(second, "EXIT_NONZERO")
    engine.start(third)
    progress = progress_of([plan.pk])[plan.pk]
    assert progress.state == PlanState.RUNNING
    assert progress.by_state == {
        State.SUCCESS: 1,
        State.FAILED: 1,
        State.RUNNING: 1,
        State.WAITING_EXECUTION: 1,
    }
    assert (progress.total, progress.finished, progress.succeeded) == (4, 2, 1)
    assert (progress.completion_rate, progress.success_rate) == (0.5, 0.25)
    first.refresh_from_db()
    assert progress.started_at == first.started_at
    assert progress.ended_at is None


@pytest.mark.feature("B21")
@pytest.mark.item("0.34", "0.36")
def test_a_plan_is_completed_when_all_are_success_or_failed_and_ends_with_the_last(
    engine: Engine,
) -> None:
    plan = make_four(engine)
    *others, last = instances_of(plan)
    for instance in others:
        engine.run(instance)
    assert stored_state(plan) == PlanState.RUNNING
    engine.run(last, "EXIT_NONZERO")
    progress = progress_of([plan.pk])[plan.pk]
    assert (progress.state, progress.completion_rate) == (PlanState.COMPLETED, 1.0)
    assert stored_state(plan) == PlanState.COMPLETED
    last.refresh_from_db()
    assert plan.ended_at == last.ended_at == progress.ended_at


@pytest.mark.feature("B21")
def test_a_rerun_sets_a_finished_plan_running_again(engine: Engine) -> None:
    plan = make_four(engine)
    instances = instances_of(plan)
    for instance in instances:
        engine.run(instance)
    assert stored_state(plan) == PlanState.COMPLETED
    with engine.committing():
        rerun(actor=None, ids=[instances[0].pk])
    assert progress_of([plan.pk])[plan.pk].state == PlanState.RUNNING
    assert stored_state(plan) == PlanState.RUNNING
    assert plan.ended_at is None
    engine.run(instances[0])
    assert stored_state(plan) == PlanState.COMPLETED


@pytest.mark.feature("B21", "I8")
def test_a_frozen_instance_keeps_a_plan_from_completing_and_does_not_open_a_completed_one(
    engine: Engine,
) -> None:
    plan = make_four(engine)
    *others, last = instances_of(plan)
    engine.run(last)
    freeze(actor=None, ids=[last.pk])
    for instance in others:
        engine.run(instance)
    assert stored_state(plan) == progress_of([plan.pk])[plan.pk].state == PlanState.RUNNING
    with engine.committing():
        unfreeze(actor=None, ids=[last.pk])
    assert stored_state(plan) == PlanState.COMPLETED
    freeze(actor=None, ids=[last.pk])
    assert stored_state(plan) == progress_of([plan.pk])[plan.pk].state == PlanState.COMPLETED


@pytest.mark.feature("B21", "B23")
def test_a_rerun_sets_a_terminated_plan_running_again(engine: Engine) -> None:
    plan = make_four(engine)
    with engine.committing():
        terminate_plans.one(actor=None, pk=plan.pk)
    assert stored_state(plan) == PlanState.TERMINATED
    instance = instances_of(plan)[0]
    with engine.committing():
        rerun(actor=None, ids=[instance.pk])
    assert stored_state(plan) == PlanState.RUNNING
    engine.run(instance)
    assert stored_state(plan) == PlanState.COMPLETED


@pytest.mark.feature("B21")
def test_instances_still_to_be_made_count_in_the_total(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 1)
    with engine.committing():
        task = make_submitted_task(type="virtual")
        plan = make_submitted_plan(make_spec([task], "2024-05-01", "2024-05-04"))
        expand_plan(plan.pk)
    progress = progress_of([plan.pk])[plan.pk]
    assert (progress.state, progress.total) == (PlanState.EXPANDING, 4)
    assert (progress.completion_rate, progress.ended_at) == (0.25, None)


@pytest.mark.feature("B21")
def test_drafts_have_no_figures(engine: Engine) -> None:
    task = make_submitted_task()
    drafts = [make_plan(make_spec([task])) for _ in range(2)]
    found = progress_of([plan.pk for plan in drafts])
    assert {pk: (one.state, one.total, one.completion_rate) for pk, one in found.items()} == {
        plan.pk: (PlanState.DRAFT, 0, 0.0) for plan in drafts
    }


@pytest.mark.feature("B22")
def test_the_second_level_has_the_figures_of_each_task_in_the_plans_order(
    engine: Engine,
) -> None:
    tasks = make_submitted_tasks({"z": {}, "a": {"depends_on": ["z"]}})
    with engine.committing():
        plan = make_expanded_plan(make_spec(list(tasks.values()), "2024-05-01", "2024-05-02"))
    for instance in Instance.objects.filter(batch=plan.batch, task=tasks["z"]):
        engine.run(instance)
    found = tasks_progress(plan.pk)
    assert list(found) == [tasks["z"].pk, tasks["a"].pk]
    assert [(one.state, one.total, one.finished) for one in found.values()] == [
        (PlanState.COMPLETED, 2, 2),
        (PlanState.RUNNING, 2, 0),
    ]


@pytest.mark.feature("B21")
def test_the_progress_of_many_plans_takes_as_many_queries_as_that_of_one(
    engine: Engine, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    task = make_submitted_task()
    plans = [make_expanded_plan(make_spec([task])).pk for _ in range(4)]
    with CaptureQueriesContext(connection) as queries:
        progress_of(plans[:1])
    with django_assert_num_queries(len(queries)):
        found = progress_of(plans)
    assert [found[pk].total for pk in plans] == [1, 1, 1, 1]
