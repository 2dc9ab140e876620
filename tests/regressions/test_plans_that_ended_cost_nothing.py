"""What is done every few seconds does not grow with the plans that ever ended."""

from __future__ import annotations

import pytest
from django.db import connection

from backfill.models import Plan
from backfill.running.settling import settle_plans
from backfill.states import PlanState
from backfill.verbs.control import terminate_plans
from instances.engine.batches import note_batches
from instances.models import Batch, BatchNote, Instance
from instances.verbs.freezing import freeze, unfreeze
from instances.verbs.rerun import rerun
from projects.ground import clock
from tests.factories import make_submitted_task, make_submitted_tasks
from tests.factories.plans import make_expanded_plan, make_spec
from tests.regressions.test_no_statistics_make_a_statement_slow import reading
from tests.support.engine import Engine

pytestmark = pytest.mark.feature("B21")


MANY = 10_000
ENDED = (PlanState.COMPLETED, PlanState.TERMINATED)


def make_plan(engine: Engine) -> Plan:
    with engine.committing():
        task = make_submitted_task(retries={"limit": 0})
        return make_expanded_plan(make_spec([task], "2024-05-01", "2024-05-02"))


def end(engine: Engine, plan: Plan) -> None:
    for instance in Instance.objects.filter(batch=plan.batch):
        engine.run(instance)


def state_of(plan: Plan) -> PlanState:
    return PlanState(Plan.objects.get(pk=plan.pk).state)


def rows_of_a_look() -> dict[str, int]:
    """The rows that each statement of settling reads, of those that read any."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # the tables are small: an index would do
    with reading() as read:
        assert settle_plans() == (0, 0)
    return {sql: number for sql, number in read.items() if number}


def test_settling_reads_no_plan_that_ended_and_none_of_which_nothing_changed(
    engine: Engine,
) -> None:
    project = make_plan(engine).project
    settle_plans()  # takes the notes of the plan's making
    now = clock.now()
    batches = Batch.objects.bulk_create(
        Batch(project=project, name=f"plan {number}") for number in range(MANY + 100)
    )
    Plan.objects.bulk_create(
        Plan(
            project=project,
            name=batch.name,
            batch=batch,
            submitted_at=now,
            state=PlanState.RUNNING if number >= MANY else ENDED[number % 2],
            ended_at=None if number >= MANY else now,
        )
        for number, batch in enumerate(batches)
    )
    with connection.cursor() as cursor:  # what autovacuum knows of them is of another test
        cursor.execute("ANALYZE backfill_plan, instances_batch")
    assert rows_of_a_look() == {}
    note_batches([batches[0].pk])  # one of those that ended
    read = rows_of_a_look()
    assert read
    assert {sql: number for sql, number in read.items() if number > 10} == {}


def test_a_plan_that_was_run_again_goes_on_and_ends_again(engine: Engine) -> None:
    plan, other = make_plan(engine), make_plan(engine)
    for one in (plan, other):
        end(engine, one)
    assert settle_plans() == (2, 0)
    (first, _) = Instance.objects.filter(batch=plan.batch)
    with engine.committing():
        rerun(actor=None, ids=[first.pk])
    assert settle_plans() == (0, 1)
    assert (state_of(plan), state_of(other)) == (PlanState.RUNNING, PlanState.COMPLETED)
    assert not BatchNote.objects.exists()
    engine.run(first)
    assert settle_plans() == (1, 0)


def test_what_was_run_again_while_its_plan_ran_is_no_news_later(engine: Engine) -> None:
    plan = make_plan(engine)
    (first, _) = Instance.objects.filter(batch=plan.batch)
    engine.run(first)
    with engine.committing():
        rerun(actor=None, ids=[first.pk])
    assert settle_plans() == (0, 0)
    assert not BatchNote.objects.exists()
    end(engine, plan)
    assert settle_plans() == (1, 0)
    assert settle_plans() == (0, 0)


def test_a_frozen_instance_that_is_taken_up_sets_its_terminated_plan_going(
    engine: Engine,
) -> None:
    with engine.committing():
        tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
        plan = make_expanded_plan(make_spec(list(tasks.values()), "2024-05-01"))
    waiting = Instance.objects.get(batch=plan.batch, task=tasks["b"])
    freeze(actor=None, ids=[waiting.pk])
    with engine.committing():
        terminate_plans.one(actor=None, pk=plan.pk)
    assert settle_plans() == (0, 0)
    with engine.committing():
        unfreeze(actor=None, ids=[waiting.pk])
    assert settle_plans() == (0, 1)
    assert state_of(plan) == PlanState.RUNNING
