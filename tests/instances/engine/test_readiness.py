"""Readiness: what lets a waiting instance go on, and what does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from instances.engine.settling import set_going
from instances.models import Batch, Edge
from instances.states import State
from tests.factories import make_submitted_tasks
from tests.support.engine import Engine, make_batch, new_instance, state_of, states_of


@pytest.mark.feature("I1")
def test_an_instance_without_upstreams_is_sent_at_once(engine: Engine) -> None:
    task = make_submitted_tasks({"a": {}})["a"]
    (instance,) = engine.make(new_instance(task))
    assert state_of(instance) == State.WAITING_EXECUTION
    assert engine.sent == list(instance.executions.values_list("pk", flat=True))


@pytest.mark.feature("I1")
def test_an_instance_waits_for_each_of_its_upstreams(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {}, "c": {"depends_on": ["a", "b"]}})
    a, b, c = engine.make(
        new_instance(tasks["a"]),
        new_instance(tasks["b"]),
        new_instance(tasks["c"], waits_for=[(tasks["a"], 0), (tasks["b"], 0)]),
    )
    assert state_of(c) == State.WAITING_UPSTREAM
    engine.run(a)
    assert state_of(c) == State.WAITING_UPSTREAM
    engine.run(b)
    assert states_of([a, b, c]) == [State.SUCCESS, State.SUCCESS, State.WAITING_EXECUTION]


def test_a_failed_upstream_holds_its_downstream_back(engine: Engine) -> None:
    tasks = make_submitted_tasks(
        {"a": {"retries": {"limit": 0}}, "b": {"depends_on": ["a"]}, "other": {}}
    )
    a, b = engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    engine.run(a, "EXIT_NONZERO")
    assert states_of([a, b]) == [State.FAILED, State.WAITING_UPSTREAM]


def test_an_edge_to_a_slot_without_an_instance_blocks_until_it_exists(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    (b,) = engine.make(new_instance(tasks["b"], waits_for=[(tasks["a"], 0)]))
    assert state_of(b) == State.WAITING_UPSTREAM
    (a,) = engine.make(new_instance(tasks["a"]))
    assert Edge.objects.get(instance=b).upstream == a
    engine.run(a)
    assert state_of(b) == State.WAITING_EXECUTION


def test_a_plan_that_fills_a_slot_lets_periodic_work_go_on(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    (b,) = engine.make(new_instance(tasks["b"], waits_for=[(tasks["a"], 0)]))
    batch = make_batch(tasks["a"])
    (filled,) = engine.make(new_instance(tasks["a"], batch=batch), batch=batch)
    assert state_of(b) == State.WAITING_UPSTREAM
    engine.run(filled)
    assert state_of(b) == State.WAITING_EXECUTION


def test_a_plan_waits_for_its_own_instance_and_not_for_the_periodic_one(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    (periodic,) = engine.make(new_instance(tasks["a"]))
    batch = make_batch(tasks["a"])
    a, b = engine.make(
        new_instance(tasks["a"], batch=batch),
        new_instance(tasks["b"], batch=batch, waits_for=[(tasks["a"], 0)]),
        batch=batch,
    )
    engine.run(periodic)
    assert state_of(b) == State.WAITING_UPSTREAM
    engine.run(a)
    assert state_of(b) == State.WAITING_EXECUTION


def test_an_upstream_of_a_later_chunk_of_the_plan_is_found(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    batch = make_batch(tasks["a"])
    (b,) = engine.make(
        new_instance(tasks["b"], batch=batch, waits_for=[(tasks["a"], 0)]), batch=batch
    )
    engine.make(new_instance(tasks["a"]))  # the periodic one is not what the plan waits for
    assert Edge.objects.get(instance=b).upstream is None
    (a,) = engine.make(new_instance(tasks["a"], batch=batch), batch=batch)
    assert Edge.objects.get(instance=b).upstream == a


def test_a_removed_edge_does_not_block(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    (b,) = engine.make(new_instance(tasks["b"], waits_for=[(tasks["a"], 0)]))
    Edge.objects.filter(instance=b).update(removed_at=timezone.now())
    with engine.committing():
        set_going([b.pk])
    assert state_of(b) == State.WAITING_EXECUTION


def test_an_instance_whose_time_has_not_come_is_not_run(engine: Engine) -> None:
    task = make_submitted_tasks({"a": {}})["a"]
    (instance,) = engine.make(new_instance(task, not_before=timezone.now() + timedelta(hours=1)))
    assert state_of(instance) == State.NOT_RUN
    assert engine.sent == []


def test_nothing_of_a_stopped_batch_goes_on(engine: Engine) -> None:
    task = make_submitted_tasks({"a": {}})["a"]
    batch = make_batch(task)
    with engine.committing(), transaction.atomic():
        Batch.objects.filter(pk=batch.pk).update(stopped_at=timezone.now() + timedelta(seconds=5))
    (instance,) = engine.make(new_instance(task, batch=batch), batch=batch)
    assert state_of(instance) == State.NOT_RUN
    assert engine.sent == []


@pytest.mark.parametrize("how", ["virtual", "dry"])
def test_inline_instances_succeed_without_an_execution_however_many_in_a_row(
    engine: Engine, how: str
) -> None:
    names = [f"t{number}" for number in range(6)]
    definitions = {
        name: {
            "type": "virtual" if how == "virtual" else "shell",
            "depends_on": names[index - 1 : index] if index else [],
        }
        for index, name in enumerate(names)
    }
    definitions["last"] = {"depends_on": [names[-1]]}
    tasks = make_submitted_tasks(definitions)
    rows = [
        new_instance(
            tasks[name],
            dry=how == "dry",
            waits_for=[(tasks[names[index - 1]], 0)] if index else [],
        )
        for index, name in enumerate(names)
    ]
    *chain, last = engine.make(
        *rows, new_instance(tasks["last"], waits_for=[(tasks[names[-1]], 0)])
    )
    assert set(states_of(chain)) == {State.SUCCESS}
    assert state_of(last) == State.WAITING_EXECUTION
    assert engine.sent == list(last.executions.values_list("pk", flat=True))
