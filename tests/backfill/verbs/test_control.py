"""Terminating plans."""

from __future__ import annotations

from collections.abc import Collection
from threading import Event, Thread
from typing import Any

import pytest
from django.db import connection

from backfill.models import Plan, Skip
from backfill.running import expanding
from backfill.running.expanding import expand_plan
from backfill.running.settling import settle_plans
from backfill.states import PlanState, SkipReason
from backfill.verbs.control import terminate_plans
from instances.engine.stopping import mark_stopped
from instances.models import Execution, Instance
from instances.states import ExecutionState, State
from projects.ground.refusals import Conflict, Forbidden, Invalid, NotFound
from projects.models import Operation, OperationObject
from projects.roles import Role
from tests.factories import make_member, make_submitted_task, make_submitted_tasks, make_user
from tests.factories.plans import make_expanded_plan, make_plan, make_spec, make_submitted_plan
from tests.support.engine import Engine


def states_of(plan: Plan) -> list[tuple[str, str]]:
    rows = Instance.objects.filter(batch=plan.batch).order_by("pk")
    return list(rows.values_list("state", "error_code"))


@pytest.mark.feature("B23")
def test_what_waits_fails_and_what_runs_is_stopped(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    with engine.committing():
        plan = make_expanded_plan(make_spec(list(tasks.values()), "2024-05-01", "2024-05-02"))
    running, *_ = Instance.objects.filter(batch=plan.batch, task=tasks["a"])
    execution = engine.start(running)
    with engine.committing():
        plan = terminate_plans.one(actor=None, pk=plan.pk)
    assert plan.state == PlanState.TERMINATED
    assert plan.ended_at is not None
    running.refresh_from_db()
    assert running.state == State.TERMINATING
    assert Execution.objects.get(pk=execution).state == ExecutionState.TERMINATING
    others = [pair for pair in states_of(plan) if pair[0] != State.TERMINATING]
    assert others == [(State.FAILED, "TERMINATED")] * 3
    settle_plans()
    plan.refresh_from_db()
    assert plan.state == PlanState.TERMINATED


@pytest.mark.feature("B23", "B26")
def test_a_plan_terminated_before_it_was_expanded_has_a_skip_for_every_cell(
    engine: Engine, nudges: list[str]
) -> None:
    plan = make_submitted_plan(make_spec([make_submitted_task()], "2024-05-01", "2024-05-03"))
    terminate_plans.one(actor=None, pk=plan.pk)
    plan.refresh_from_db()
    assert (plan.state, plan.expanded_count) == (PlanState.TERMINATED, 3)
    assert set(Skip.objects.filter(plan=plan).values_list("reason", flat=True)) == {
        SkipReason.STOPPED
    }
    assert not expand_plan(plan.pk)
    assert states_of(plan) == []


@pytest.mark.feature("B23", "B26")
def test_a_large_plan_terminated_while_it_expands_gets_the_rest_of_its_skips_later(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 2)
    plan = make_submitted_plan(make_spec([make_submitted_task()], "2024-05-01", "2024-05-09"))
    expand_plan(plan.pk)
    terminate_plans.one(actor=None, pk=plan.pk)
    plan.refresh_from_db()
    assert (plan.state, plan.expanded_count) == (PlanState.TERMINATED, 4)
    while expand_plan(plan.pk):
        pass
    plan.refresh_from_db()
    assert plan.state == PlanState.TERMINATED
    assert Skip.objects.filter(plan=plan).count() == 7
    assert states_of(plan) == [(State.FAILED, "TERMINATED")] * 2


@pytest.mark.feature("B23")
@pytest.mark.django_db(transaction=True)
def test_instances_of_a_chunk_that_is_being_made_are_stopped_as_well(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 2)
    plan = make_submitted_plan(make_spec([make_submitted_task()], "2024-05-01", "2024-05-06"))
    in_chunk, stopped = Event(), Event()
    original = expanding.create_instances

    def wait_for_the_stop(*args: Any, **kwargs: Any) -> list[int]:
        ids = original(*args, **kwargs)
        in_chunk.set()
        assert stopped.wait(timeout=60)
        return ids

    monkeypatch.setattr(expanding, "create_instances", wait_for_the_stop)

    def expand() -> None:
        try:
            while expand_plan(plan.pk):
                pass
        finally:
            connection.close()

    def stop_and_tell(batch_ids: Collection[int]) -> None:
        mark_stopped(batch_ids)
        stopped.set()

    monkeypatch.setattr("backfill.verbs.control.mark_stopped", stop_and_tell)
    thread = Thread(target=expand)
    thread.start()
    assert in_chunk.wait(timeout=60)
    terminate_plans.one(actor=None, pk=plan.pk)
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert states_of(plan) == [(State.FAILED, "TERMINATED")] * 2
    while expand_plan(plan.pk):
        pass
    plan.refresh_from_db()
    assert plan.state == PlanState.TERMINATED
    assert Skip.objects.filter(plan=plan).count() == 4


@pytest.mark.feature("B23", "P3")
@pytest.mark.item("2.44")
def test_several_plans_are_terminated_at_once_each_with_its_answer(engine: Engine) -> None:
    task, foreign = make_submitted_task(), make_submitted_task()
    user = make_member(task.project, Role.OPERATOR)
    make_member(foreign.project, Role.VIEWER, user=user)
    spec = make_spec([task])
    active, draft = make_expanded_plan(spec), make_plan(spec)
    closed, hidden = make_expanded_plan(make_spec([foreign])), 10**9
    result = terminate_plans(actor=user, ids=[active.pk, draft.pk, closed.pk, hidden, active.pk])
    assert [(one.id, one.ok, one.code) for one in result.outcomes] == [
        (active.pk, True, ""),
        (draft.pk, False, "wrong_state"),
        (closed.pk, False, "forbidden"),
        (hidden, False, "not_found"),
    ]
    assert [one.label for one in result.outcomes] == [active.name, draft.name, closed.name, ""]
    closed.refresh_from_db()
    assert closed.state == PlanState.RUNNING
    operation = Operation.objects.get(pk=result.operation_id)
    assert (operation.actor, operation.succeeded, operation.refused) == (user, 1, 3)
    assert OperationObject.objects.filter(operation=operation, ok=True).get().object_id == active.pk


@pytest.mark.feature("B23")
def test_only_an_active_plan_is_terminated_and_only_by_who_may(engine: Engine) -> None:
    task = make_submitted_task()
    draft = make_plan(make_spec([task]))
    with pytest.raises(Conflict, match="It is draft"):
        terminate_plans.one(actor=None, pk=draft.pk)
    plan = make_expanded_plan(make_spec([task]))
    with pytest.raises(NotFound):
        terminate_plans.one(actor=make_user(), pk=plan.pk)
    with pytest.raises(Forbidden):
        terminate_plans.one(actor=make_member(task.project, Role.VIEWER), pk=plan.pk)
    with pytest.raises(Invalid):
        terminate_plans(actor=None, ids=[])
    terminate_plans.one(actor=None, pk=plan.pk)
    with pytest.raises(Conflict, match="It is terminated"):
        terminate_plans.one(actor=None, pk=plan.pk)


@pytest.mark.feature("B23")
def test_of_several_plans_none_completes_by_being_terminated(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever settles plans in the middle of it finds none whose instances have all failed."""
    spec = make_spec([make_submitted_task()], "2024-05-01", "2024-05-02")
    plans = [make_expanded_plan(spec) for _ in range(3)]

    def mark_and_settle(batch_ids: Collection[int]) -> None:
        mark_stopped(batch_ids)
        settle_plans()

    monkeypatch.setattr("backfill.verbs.control.mark_stopped", mark_and_settle)
    result = terminate_plans(actor=None, ids=[plan.pk for plan in plans])
    assert len(result.succeeded) == 3
    settle_plans()
    assert set(Plan.objects.values_list("state", flat=True)) == {PlanState.TERMINATED}
    assert set(Instance.objects.values_list("state", "error_code")) == {("FAILED", "TERMINATED")}
