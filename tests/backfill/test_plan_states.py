"""The state and the result of a plan: one expression, whoever asks, and who may write what."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from backfill import transitions
from backfill.filters import PlanFilter
from backfill.models import Plan
from backfill.models.shown import with_states
from backfill.reading.progress import progress_of, tasks_progress
from backfill.running.settling import settle_plans
from backfill.states import PlanResult, PlanState
from backfill.verbs.control import pause_plans, terminate_plans
from instances.models import BatchNote, Instance
from instances.states import State
from instances.verbs.mark_success import mark_success
from instances.verbs.rerun import rerun
from projects.ground import clock
from tests.factories import make_submitted_task
from tests.factories.plans import make_expanded_plan, make_plan, make_spec, make_submitted_plan
from tests.support.engine import Engine

pytestmark = pytest.mark.feature("B21")

Facts = tuple[PlanState, PlanResult]


def make(engine: Engine, name: str, *ends: str) -> Plan:
    """Make a plan of as many instances; they end so: "" is success, "-" goes on."""
    with engine.committing():
        task = make_submitted_task(retries={"limit": 0})
        spec = make_spec([task], "2024-05-01", f"2024-05-{len(ends):02}")
        plan = make_expanded_plan(spec, name=name)
    for instance, end in zip(instances_of(plan), ends, strict=True):
        if end != "-":
            engine.run(instance, end)
    return plan


def instances_of(plan: Plan) -> list[Instance]:
    return list(Instance.objects.filter(batch=plan.batch).order_by("scheduled_at"))


def facts_of(plan: Plan) -> Facts:
    progress = progress_of([plan.pk])[plan.pk]
    return progress.state, progress.result


def found(**wanted: str) -> set[str]:
    filtered = PlanFilter(wanted, queryset=Plan.objects.all())
    assert filtered.is_valid(), filtered.errors
    return set(filtered.qs.values_list("name", flat=True))


def make_one_of_each(engine: Engine) -> dict[str, Facts]:
    """Make a plan in each condition; return what is shown of each, by name."""
    make_plan(make_spec([make_submitted_task()]), name="draft")
    make_submitted_plan(make_spec([make_submitted_task()]), name="expanding")
    make(engine, "going", "", "-")
    paused = make(engine, "paused", "", "-")
    with engine.committing():
        pause_plans.one(actor=None, pk=paused.pk)
    engine.start(instances_of(make(engine, "with a slot", "", "-"))[1])
    make(engine, "good", "", "")
    make(engine, "partly", "", "EXIT_NONZERO")
    make(engine, "bad", "EXIT_NONZERO", "EXIT_NONZERO")
    with engine.committing():
        terminate_plans.one(actor=None, pk=make(engine, "stopped", "-", "-").pk)
        terminate_plans.one(actor=None, pk=make(engine, "stopped half way", "", "-").pk)
    again = make(engine, "again", "", "")
    settle_plans()
    with engine.committing():
        rerun(actor=None, ids=[instances_of(again)[0].pk])
    mended = make(engine, "mended", "", "EXIT_NONZERO")
    settle_plans()
    with engine.committing():
        mark_success(actor=None, ids=[instances_of(mended)[1].pk])
    make(engine, "done just now", "", "EXIT_NONZERO")
    waiting, pending = PlanResult.WAITING, PlanResult.PENDING
    return {
        "draft": (PlanState.DRAFT, pending),
        "expanding": (PlanState.EXPANDING, pending),
        "going": (PlanState.RUNNING, waiting),
        "paused": (PlanState.PAUSED, pending),
        "with a slot": (PlanState.RUNNING, pending),
        "good": (PlanState.COMPLETED, PlanResult.SUCCEEDED),
        "partly": (PlanState.COMPLETED, PlanResult.PARTLY),
        "bad": (PlanState.COMPLETED, PlanResult.FAILED),
        "stopped": (PlanState.TERMINATED, PlanResult.FAILED),
        "stopped half way": (PlanState.TERMINATED, PlanResult.PARTLY),
        "again": (PlanState.RUNNING, waiting),
        "mended": (PlanState.COMPLETED, PlanResult.SUCCEEDED),
        "done just now": (PlanState.COMPLETED, PlanResult.PARTLY),
    }


def test_list_filter_and_order_show_the_same_before_and_after_settling(engine: Engine) -> None:
    expected = make_one_of_each(engine)
    for _ in range(2):
        plans = list(Plan.objects.all())
        progress = progress_of([plan.pk for plan in plans])
        shown = {one.name: (progress[one.pk].state, progress[one.pk].result) for one in plans}
        assert shown == expected
        for state in PlanState:
            assert found(state=state.value) == {
                name for name, facts in expected.items() if facts[0] == state
            }
        for result in PlanResult:
            assert found(result=result.value) == {
                name for name, facts in expected.items() if facts[1] == result
            }
        ordered = with_states(Plan.objects.all()).order_by("shown_state", "result")
        assert [(one.shown_state, one.result) for one in ordered] == sorted(expected.values())
        settle_plans()
        assert not BatchNote.objects.exists()


def test_the_state_in_words_tells_of_failures(engine: Engine) -> None:
    words = {
        name: progress_of([make(engine, name, *ends).pk]).popitem()[1]
        for name, ends in (
            ("good", ["", ""]),
            ("partly", ["", "EXIT_NONZERO"]),
            ("bad", ["EXIT_NONZERO"]),
            ("going", ["EXIT_NONZERO", "-"]),
        )
    }
    assert {name: (one.spelled, one.tone) for name, one in words.items()} == {
        "good": ("Completed", "completed"),
        "partly": ("Completed with failures", "completed:partly"),
        "bad": ("Completed with failures", "completed:failed"),
        "going": ("Running", "running"),
    }


def test_a_task_has_a_result_before_its_plan(engine: Engine) -> None:
    with engine.committing():
        tasks = [make_submitted_task(retries={"limit": 0}) for _ in range(2)]
        plan = make_expanded_plan(make_spec(tasks, "2024-05-01", "2024-05-02"))
    first, second = Instance.objects.filter(batch=plan.batch, task=tasks[0])
    engine.run(first, "EXIT_NONZERO")
    engine.run(second)
    assert [(one.state, one.result) for one in tasks_progress(plan.pk).values()] == [
        (PlanState.COMPLETED, PlanResult.PARTLY),
        (PlanState.RUNNING, PlanResult.PENDING),
    ]


def test_the_result_stays_when_the_instances_are_deleted(engine: Engine) -> None:
    plan = make(engine, "old", "", "EXIT_NONZERO")
    settle_plans()
    Instance.objects.filter(batch=plan.batch).delete()
    assert facts_of(plan) == (PlanState.COMPLETED, PlanResult.PARTLY)
    plan.refresh_from_db()
    assert (plan.succeeded_count, plan.failed_count) == (1, 1)


def test_a_plan_that_is_over_is_not_terminated_behind_somebodys_back(engine: Engine) -> None:
    plan = make(engine, "over", "")
    settle_plans()
    stale = Plan.objects.get(pk=plan.pk)
    assert not transitions.terminate(stale, now=clock.now())
    plan.refresh_from_db()
    assert (stale.state, plan.state) == (PlanState.COMPLETED, PlanState.COMPLETED)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("going", {"state": PlanState.PAUSED}),
        ("going", {"state": PlanState.COMPLETED}),
        ("going", {"state": PlanState.DRAFT}),
        ("going", {"expanded_count": 1}),
        ("going", {"expanded_count": 9}),
        ("going", {"failed_count": 1}),
        ("over", {"ended_at": None}),
        ("over", {"state": PlanState.RUNNING}),
        ("over", {"submitted_at": None}),
    ],
    ids=str,
)
def test_the_database_refuses_a_state_that_the_other_columns_contradict(
    engine: Engine, name: str, change: dict[str, object]
) -> None:
    plan = make(engine, name, "", "" if name == "over" else "-")
    settle_plans()
    with pytest.raises(IntegrityError), transaction.atomic():
        Plan.objects.filter(pk=plan.pk).update(**change)


def test_a_paused_plan_goes_on_to_its_end_when_its_last_instance_ends(engine: Engine) -> None:
    plan = make(engine, "paused", "", "-")
    last = instances_of(plan)[1]
    execution = engine.start(last)
    with engine.committing():
        pause_plans.one(actor=None, pk=plan.pk)
    assert facts_of(plan)[0] == PlanState.PAUSED
    assert execution is not None
    engine.finish(execution)
    assert facts_of(plan)[0] == PlanState.COMPLETED
    settle_plans()
    plan.refresh_from_db()
    assert plan.batch is not None
    assert plan.batch.paused_at is None
    assert Instance.objects.get(pk=last.pk).state == State.SUCCESS


def test_the_result_stays_when_some_instances_are_deleted_and_others_change(
    engine: Engine,
) -> None:
    plan = make(engine, "old", "", "", "EXIT_NONZERO")
    settle_plans()
    kept, *_ = instances_of(plan)
    Instance.objects.filter(batch=plan.batch).exclude(pk=kept.pk).delete()
    BatchNote.objects.create(batch=plan.batch)
    settle_plans()
    plan.refresh_from_db()
    assert (plan.succeeded_count, plan.failed_count) == (2, 1)
