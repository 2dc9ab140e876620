"""Pausing and resuming plans, and what ends a pause."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backfill.models import Plan
from backfill.reading.progress import progress_of
from backfill.reading.watching import is_over
from backfill.running.expanding import expand_plan
from backfill.running.settling import settle_plans
from backfill.states import PlanState
from backfill.verbs.control import (
    pause_plans,
    resume_plans,
    terminate_plans,
)
from instances.engine.sweep import sweep
from instances.models import Instance
from instances.states import State
from instances.verbs.freezing import freeze
from instances.verbs.rerun import rerun
from projects.ground import clock
from projects.ground.refusals import Conflict, Forbidden, NotFound
from projects.models import Operation
from projects.roles import Role
from tests.factories import make_member, make_submitted_task, make_submitted_tasks, make_user
from tests.factories.plans import make_expanded_plan, make_spec, make_submitted_plan
from tests.support.engine import Engine, state_of, states_of

pytestmark = pytest.mark.feature("B25")


def make_two(engine: Engine) -> Plan:
    with engine.committing():
        task = make_submitted_task(retries={"limit": 0})
        return make_expanded_plan(make_spec([task], "2024-05-01", "2024-05-02"))


def instances_of(plan: Plan) -> list[Instance]:
    return list(Instance.objects.filter(batch=plan.batch).order_by("pk"))


def state_shown(plan: Plan) -> PlanState:
    settle_plans()
    return progress_of([plan.pk])[plan.pk].state


def test_a_plan_that_is_paused_while_it_expands_is_made_and_starts_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_submitted_plan(make_spec([make_submitted_task()], "2024-05-01", "2024-05-03"))
    pause_plans.one(actor=None, pk=plan.pk)
    with engine.committing():
        while expand_plan(plan.pk):
            pass
        sweep(now=clock.now())
    assert state_shown(plan) == PlanState.PAUSED
    assert states_of(instances_of(plan)) == [State.NOT_RUN] * 3
    with engine.committing():
        resume_plans.one(actor=None, pk=plan.pk)
    assert state_shown(plan) == PlanState.RUNNING
    for instance in instances_of(plan):
        engine.run(instance)
    assert state_shown(plan) == PlanState.COMPLETED


def test_nothing_of_a_paused_plan_is_ready_where_dispatch_looks(engine: Engine) -> None:
    plan = make_two(engine)
    with engine.committing():
        pause_plans.one(actor=None, pk=plan.pk)
    assert not Instance.objects.filter(batch=plan.batch, state=State.WAITING_EXECUTION).exists()


def test_a_pause_ends_when_the_last_instance_does(engine: Engine) -> None:
    plan = make_two(engine)
    first, second = instances_of(plan)
    engine.run(first)
    execution = engine.start(second)
    assert execution is not None
    with engine.committing():
        pause_plans.one(actor=None, pk=plan.pk)
    assert engine.finish(execution) == [execution]
    assert state_shown(plan) == PlanState.COMPLETED
    with engine.committing():
        rerun(actor=None, ids=[first.pk])
    assert state_of(first) == State.WAITING_EXECUTION
    assert state_shown(plan) == PlanState.RUNNING


def test_a_plan_that_went_on_after_its_end_can_be_paused_and_terminated_again(
    engine: Engine,
) -> None:
    plan = make_two(engine)
    first, second = instances_of(plan)
    with engine.committing():
        terminate_plans.one(actor=None, pk=plan.pk)
        rerun(actor=None, ids=[first.pk])
    assert state_shown(plan) == PlanState.RUNNING
    with engine.committing():
        pause_plans.one(actor=None, pk=plan.pk)
        terminate_plans.one(actor=None, pk=plan.pk)
    assert states_of([first, second]) == [State.FAILED, State.FAILED]
    with engine.committing():
        rerun(actor=None, ids=[second.pk])
    engine.run(second)


def test_a_terminated_plan_with_a_frozen_instance_is_over(engine: Engine) -> None:
    with engine.committing():
        tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
        plan = make_expanded_plan(make_spec(list(tasks.values()), "2024-05-01"))
    freeze(actor=None, ids=[Instance.objects.get(batch=plan.batch, task=tasks["b"]).pk])
    assert not is_over(progress_of([plan.pk])[plan.pk])
    with engine.committing():
        terminate_plans.one(actor=None, pk=plan.pk)
    assert is_over(progress_of([plan.pk])[plan.pk])


@pytest.mark.feature("P1", "P2", "P3")
def test_who_may_not_pauses_nothing_and_what_was_done_is_recorded(engine: Engine) -> None:
    plan = make_two(engine)
    for actor, refusal in (
        (make_user(), NotFound),
        (make_member(plan.project, Role.VIEWER), Forbidden),
    ):
        with pytest.raises(refusal):
            pause_plans.one(actor=actor, pk=plan.pk)
    with pytest.raises(Conflict, match="It is running; resume needs paused"):
        resume_plans.one(actor=None, pk=plan.pk)
    operator = make_member(plan.project, Role.OPERATOR)
    pause_plans.one(actor=operator, pk=plan.pk)
    operation = Operation.objects.latest("pk")
    assert (operation.verb, operation.actor, operation.succeeded) == (
        "backfill.pause",
        operator,
        1,
    )


@pytest.mark.parametrize(("verb", "state"), [(pause_plans, "paused"), (resume_plans, "running")])
def test_of_several_plans_all_are_marked_before_the_first_is_dealt_with(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    verb: Callable[..., object],
    state: str,
) -> None:
    """Whatever breaks off then, the record tells the truth."""
    plans = [make_two(engine) for _ in range(2)]
    ids = [plan.pk for plan in plans]
    if verb is resume_plans:
        pause_plans(actor=None, ids=ids)

    def break_off(batch_ids: list[int]) -> int:
        raise RuntimeError

    monkeypatch.setattr("backfill.verbs.control.hold_paused", break_off)
    monkeypatch.setattr("backfill.verbs.control.go_on", break_off)
    with pytest.raises(RuntimeError):
        verb(actor=None, ids=ids)
    assert {shown.state.value for shown in progress_of(ids).values()} == {state}
