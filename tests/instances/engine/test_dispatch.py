"""Dispatch: limits are never exceeded, and the order is priority, plan, planned time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.engine.dispatch import dispatch
from instances.models import Execution, Instance
from instances.states import LIVE, Cause, State
from instances.verbs.mark_success import mark_success
from instances.verbs.terminate import terminate
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import (
    make_resource_group,
    make_submitted_task,
    make_submitted_tasks,
    make_workflow,
)
from tests.support.engine import Engine, make_batch, new_instance, state_of, states_of
from tests.support.invariants import violations
from workflows.models import Task


def sent_instances(engine: Engine) -> list[Instance]:
    rows = Execution.objects.select_related("instance").in_bulk(engine.sent)
    return [rows[pk].instance for pk in engine.sent]


@pytest.mark.feature("T13")
def test_no_more_executions_are_live_than_the_group_has_slots(engine: Engine) -> None:
    make_resource_group("narrow", slots=2)
    task = make_submitted_task(resource_group="narrow")
    instances = engine.make(*[new_instance(task, day=day) for day in range(5)])
    assert sent_instances(engine) == instances[:2]
    engine.run(instances[0])
    assert sent_instances(engine) == instances[:3]
    assert Execution.objects.filter(state__in=LIVE).count() == 2


def test_a_group_without_slots_holds_everything_back(engine: Engine) -> None:
    make_resource_group("closed", slots=0)
    task = make_submitted_task(resource_group="closed")
    (instance,) = engine.make(new_instance(task))
    assert state_of(instance) == State.WAITING_EXECUTION
    assert engine.sent == []


@pytest.mark.feature("T13")
def test_the_order_is_priority_then_plan_order_then_planned_time(engine: Engine) -> None:
    group = make_resource_group("one", slots=0)
    tasks = make_submitted_tasks(
        {
            "low": {"resource_group": "one", "priority": 1},
            "normal": {"resource_group": "one"},
            "high": {"resource_group": "one", "priority": 8},
        }
    )
    batch = make_batch(tasks["normal"])
    low, periodic, high = engine.make(
        new_instance(tasks["low"], day=0),
        new_instance(tasks["normal"], day=9),
        new_instance(tasks["high"], day=9),
    )
    late, early, late_but_first = engine.make(
        new_instance(tasks["normal"], day=2, batch=batch, sort_key=5),
        new_instance(tasks["normal"], day=1, batch=batch, sort_key=5),
        new_instance(tasks["normal"], day=3, batch=batch, sort_key=2),
        batch=batch,
    )
    for _ in range(6):
        ResourceGroup.objects.filter(pk=group.pk).update(slots=Execution.objects.count() + 1)
        with engine.committing():
            dispatch([group.pk], now=clock.now())
    assert sent_instances(engine) == [high, periodic, late_but_first, early, late, low]


def test_a_task_never_runs_more_often_at_a_time_than_it_may(engine: Engine) -> None:
    tasks = make_submitted_tasks({"limited": {"max_parallel": 2}, "free": {}})
    rows = [new_instance(tasks["limited"], day=day) for day in range(4)]
    *limited, free = engine.make(*rows, new_instance(tasks["free"], day=9))
    assert sent_instances(engine) == [*limited[:2], free]
    engine.run(limited[1])
    assert sent_instances(engine)[-1] == limited[2]


def test_a_task_limit_counts_over_resource_groups(engine: Engine) -> None:
    other = make_resource_group("other")
    task = make_submitted_task(max_parallel=1)
    first, second = engine.make(
        new_instance(task, day=0), new_instance(task, day=1, resource_group_id=other.pk)
    )
    assert sent_instances(engine) == [first]
    engine.run(first)
    assert sent_instances(engine) == [first, second]


def test_what_was_limited_gets_every_free_slot_when_its_task_has_lost_its_limit(
    engine: Engine,
) -> None:
    group = make_resource_group(slots=4)
    task = make_submitted_task(resource_group=group.name, max_parallel=2)
    instances = engine.make(*[new_instance(task, day=day) for day in range(5)])
    assert sent_instances(engine) == instances[:2]
    Task.objects.filter(pk=task.pk).update(max_parallel=None)
    with engine.committing():
        dispatch([group.pk], now=clock.now())
    assert sent_instances(engine) == instances[:4]


@pytest.mark.feature("T13")
@pytest.mark.parametrize("verb", [terminate, mark_success])
def test_what_an_operator_takes_out_of_a_limit_wakes_other_groups(
    engine: Engine, verb: Callable[..., object]
) -> None:
    other = make_resource_group("other")
    task = make_submitted_task(max_parallel=1)
    first, second = engine.make(
        new_instance(task, day=0), new_instance(task, day=1, resource_group_id=other.pk)
    )
    with engine.committing():
        verb(actor=None, ids=[first.pk])
    assert sent_instances(engine) == [first, second]


def test_full_tasks_in_front_of_a_queue_cost_no_query_each(engine: Engine) -> None:
    counts = []
    for many in (2, 60):
        workflow = make_workflow()
        group = make_resource_group(slots=0)
        limited = make_submitted_tasks(
            {
                f"t{number}": {"resource_group": group.name, "priority": 8, "max_parallel": 1}
                for number in range(many)
            },
            workflow=workflow,
        )
        free = make_submitted_task(resource_group=group.name, workflow=workflow)
        # Ordered so that each of the limited tasks crowds out the next.
        rows = [
            new_instance(task, day=5 * number + day)
            for number, task in enumerate(limited.values())
            for day in range(5)
        ]
        *_, last = engine.make(*rows, new_instance(free))
        ResourceGroup.objects.filter(pk=group.pk).update(slots=many + 1)
        with engine.committing(), CaptureQueriesContext(connection) as captured:
            assert dispatch([group.pk], now=clock.now()) == many + 1
        counts.append(len(captured))
        assert sent_instances(engine)[-1] == last
        with engine.committing(), CaptureQueriesContext(connection) as captured:
            ResourceGroup.objects.filter(pk=group.pk).update(slots=many + 3)
            assert dispatch([group.pk], now=clock.now()) == 0
        counts.append(len(captured))
    assert counts[:2] == counts[2:]
    assert violations() == []


def test_a_crowd_of_one_limited_task_does_not_keep_others_from_free_slots(engine: Engine) -> None:
    group = make_resource_group("crowded", slots=3)
    tasks = make_submitted_tasks(
        {
            "crowd": {"resource_group": "crowded", "priority": 8, "max_parallel": 1},
            "second": {"resource_group": "crowded", "priority": 7, "max_parallel": 1},
            "rest": {"resource_group": "crowded", "priority": 1},
        }
    )
    rows = [new_instance(tasks["crowd"], day=day) for day in range(10)]
    rows += [new_instance(tasks["second"], day=day) for day in range(10)]
    made = engine.make(*rows, new_instance(tasks["rest"]))
    assert sent_instances(engine) == [made[0], made[10], made[20]]
    assert group.slots == 3


@pytest.mark.feature("I11")
def test_executions_are_numbered_and_say_why_they_were_started(engine: Engine) -> None:
    task = make_submitted_task(retries={"limit": 1, "interval": 0})
    batch = make_batch(task)
    (instance,) = engine.make(new_instance(task, batch=batch), batch=batch)
    assert list(instance.executions.values_list("number", "cause")) == [(1, Cause.BACKFILL)]


def test_the_number_of_queries_does_not_depend_on_the_number_of_instances(
    engine: Engine,
) -> None:
    counts = []
    for many in (2, 40):
        group = make_resource_group(slots=100)
        task = make_submitted_task(resource_group=group.name, max_parallel=90)
        rows = [new_instance(task, day=day) for day in range(many)]
        with CaptureQueriesContext(connection) as captured:
            instances = engine.make(*rows)
        counts.append(len(captured))
        assert set(states_of(instances)) == {State.WAITING_EXECUTION}
    assert counts[0] == counts[1]


def test_workers_hear_of_executions_in_the_order_of_their_priority(engine: Engine) -> None:
    group = make_resource_group("many", slots=0)
    tasks = make_submitted_tasks(
        {
            "low": {"resource_group": "many", "priority": 1},
            "high": {"resource_group": "many", "priority": 8},
        }
    )
    low, high = engine.make(new_instance(tasks["low"]), new_instance(tasks["high"]))
    ResourceGroup.objects.filter(pk=group.pk).update(slots=2)
    with engine.committing():
        dispatch([group.pk], now=clock.now())
    assert sent_instances(engine) == [high, low]


def test_all_free_slots_are_filled_whatever_fits_into_one_transaction(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.engine.dispatch.BATCH_SIZE", 2)
    make_resource_group("wide", slots=5)
    task = make_submitted_task(resource_group="wide")
    instances = engine.make(*[new_instance(task, day=day) for day in range(6)])
    assert sent_instances(engine) == instances[:5]
