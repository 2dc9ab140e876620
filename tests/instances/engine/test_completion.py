"""Completion: success, retry, failure, and results that count for nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.engine.completion import Result, complete
from instances.engine.rescue import rescue
from instances.engine.sweep import sweep
from instances.models import Execution
from instances.states import Cause, ExecutionState, State
from instances.verbs.terminate import terminate
from projects.ground import clock
from tests.factories import make_resource_group, make_submitted_task, make_submitted_tasks
from tests.support.engine import Engine, new_instance, state_of


@pytest.mark.feature("T13", "I14")
def test_a_failure_is_tried_again_until_its_retries_are_used_up(engine: Engine) -> None:
    task = make_submitted_task(retries={"limit": 2, "interval": 0})
    (instance,) = engine.make(new_instance(task))
    # Without an interval it is sent again at once.
    for expected in (State.WAITING_EXECUTION, State.WAITING_EXECUTION, State.FAILED):
        engine.run(instance, "EXIT_NONZERO")
        assert state_of(instance) == expected
    assert len(engine.sent) == 3
    instance.refresh_from_db()
    assert (instance.retry_count, instance.total_runs) == (2, 3)
    assert instance.error_code == "EXIT_NONZERO"
    assert list(instance.executions.order_by("number").values_list("cause", flat=True)) == [
        Cause.FIRST,
        Cause.RETRY,
        Cause.RETRY,
    ]


@pytest.mark.feature("T13")
def test_a_retry_waits_for_its_interval_with_back_off(engine: Engine) -> None:
    task = make_submitted_task(retries={"limit": 3, "interval": 60, "backoff": 2})
    (instance,) = engine.make(new_instance(task))
    engine.run(instance, "EXIT_NONZERO")
    instance.refresh_from_db()
    ended_at = Execution.objects.get(instance=instance).ended_at
    assert instance.not_before == ended_at + timedelta(seconds=60)
    with engine.committing():
        sweep(now=clock.now())
    assert state_of(instance) == State.RETRYING
    with engine.committing():
        sweep(now=instance.not_before)
    assert state_of(instance) == State.WAITING_EXECUTION


def test_a_failure_that_trying_again_cannot_mend_is_final(engine: Engine) -> None:
    task = make_submitted_task(retries={"limit": 5, "interval": 0})
    (instance,) = engine.make(new_instance(task))
    engine.run(instance, "BAD_CONFIG")
    assert state_of(instance) == State.FAILED


def test_a_late_result_changes_nothing(engine: Engine) -> None:
    task = make_submitted_task()
    (instance,) = engine.make(new_instance(task))
    first = engine.start(instance)
    assert first is not None
    with engine.committing():
        rescue(now=clock.now() + timedelta(minutes=5))
    assert state_of(instance) == State.WAITING_EXECUTION
    assert engine.finish(first) == []
    assert state_of(instance) != State.SUCCESS
    assert Execution.objects.get(pk=first).state == ExecutionState.LOST


def test_a_result_counts_once(engine: Engine) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    execution = engine.start(instance)
    assert execution is not None
    assert engine.finish(execution) == [execution]
    assert engine.finish(execution, "EXIT_NONZERO") == []
    assert state_of(instance) == State.SUCCESS


def test_an_execution_is_claimed_once_however_often_it_is_announced(engine: Engine) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    assert engine.start(instance) is not None
    assert engine.start(instance) is None
    instance.refresh_from_db()
    assert instance.total_runs == 1


def test_a_lost_worker_uses_up_no_retry_but_not_for_ever(engine: Engine) -> None:
    task = make_submitted_task(retries={"limit": 0})
    (instance,) = engine.make(new_instance(task))
    for _ in range(5):
        assert engine.start(instance) is not None
        with engine.committing():
            rescue(now=clock.now() + timedelta(minutes=1))
        assert state_of(instance) == State.WAITING_EXECUTION
    engine.start(instance)
    with engine.committing():
        rescue(now=clock.now() + timedelta(minutes=1))
    instance.refresh_from_db()
    assert (instance.state, instance.error_code) == (State.FAILED, "WORKER_LOST")


@pytest.mark.feature("I4")
def test_the_end_of_a_terminated_execution_is_terminated_whatever_it_says(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    a, b = engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    execution = engine.start(a)
    assert execution is not None
    with engine.committing():
        terminate(actor=None, ids=[a.pk])
    assert state_of(a) == State.TERMINATING
    assert engine.finish(execution) == [execution]  # its process had ended well just before
    a.refresh_from_db()
    assert (a.state, a.error_code) == (State.FAILED, "TERMINATED")
    assert Execution.objects.get(pk=execution).state == ExecutionState.TERMINATED
    assert state_of(b) == State.WAITING_UPSTREAM


def test_many_results_take_as_many_queries_as_few(engine: Engine) -> None:
    counts = []
    for many in (2, 8):
        group = make_resource_group(slots=100).name
        tasks = make_submitted_tasks(
            {"a": {"resource_group": group}, "b": {"depends_on": ["a"], "resource_group": group}}
        )
        rows = [new_instance(tasks["a"], day=day) for day in range(many)]
        rows += [
            new_instance(tasks["b"], day=day, waits_for=[(tasks["a"], day)]) for day in range(many)
        ]
        instances = engine.make(*rows)[:many]
        executions = [engine.start(instance) for instance in instances]
        results = [
            Result(pk, "" if index % 2 else "EXIT_NONZERO")
            for index, pk in enumerate(executions)
            if pk is not None
        ]
        with CaptureQueriesContext(connection) as captured, engine.committing():
            assert len(complete(results, now=clock.now())) == many
        counts.append(len(captured))
    assert counts[0] == counts[1]
