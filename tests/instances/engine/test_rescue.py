"""Rescue: silent workers, forgotten announcements, work that is given back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings

from instances import transitions
from instances.engine.completion import Result, complete
from instances.engine.rescue import announce_all_sent, release_executions_of, rescue
from instances.engine.retries import LOST_LIMIT
from instances.error_codes import ErrorCode
from instances.models import Execution, Instance
from instances.states import ExecutionState, State
from projects.ground import clock
from tests.factories import make_submitted_task
from tests.support.engine import LEASE, Engine, new_instance, state_of, states_of


def test_an_execution_whose_lease_ran_out_is_lost_and_tried_again(engine: Engine) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    execution = engine.start(instance)
    assert execution is not None
    with engine.committing():
        assert rescue(now=clock.now() + LEASE - timedelta(seconds=5)) == (0, 0)
    assert state_of(instance) == State.RUNNING
    with engine.committing():
        assert rescue(now=clock.now() + LEASE + timedelta(seconds=5)) == (1, 0)
    assert state_of(instance) == State.WAITING_EXECUTION
    assert len(engine.sent) == 2
    lost = Execution.objects.get(pk=execution)
    assert (lost.state, lost.error_code) == (ExecutionState.LOST, "WORKER_LOST")
    assert "worker" in lost.error_message


def test_a_renewed_lease_keeps_an_execution_from_being_closed(engine: Engine) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    execution = engine.start(instance, worker="alive")
    assert execution is not None
    judged_at = clock.now() + LEASE + timedelta(seconds=5)
    # Rescue has found it silent; before it closes it, the worker is heard again.
    transitions.renew_leases([execution], worker="alive", lease_until=judged_at + LEASE)
    with engine.committing():
        closed = complete(
            [Result(execution, ErrorCode.WORKER_LOST)], now=judged_at, lease_before=judged_at
        )
    assert closed == []
    assert state_of(instance) == State.RUNNING


def test_a_worker_renews_only_what_it_holds(engine: Engine) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    execution = engine.start(instance, worker="first")
    assert execution is not None
    until = clock.now() + LEASE
    assert transitions.renew_leases([execution], worker="other", lease_until=until) == {}
    assert transitions.renew_leases([execution], worker="first", lease_until=until) == {
        execution: "RUNNING"
    }


def test_an_execution_that_nobody_started_is_announced_again_once_in_a_while(
    engine: Engine, settings: LazySettings
) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    (execution,) = engine.sent
    wait = timedelta(seconds=settings.DISPATCH_RESEND_SECONDS)
    with engine.committing():
        assert rescue(now=clock.now() + wait / 2) == (0, 0)
        assert rescue(now=clock.now() + wait * 1.1) == (0, 1)
        assert rescue(now=clock.now() + wait * 1.2) == (0, 0)
    assert engine.sent == [execution, execution]
    assert engine.start(instance) == execution


def test_everything_sent_is_announced_when_a_broker_has_forgotten_its_messages(
    engine: Engine,
) -> None:
    task = make_submitted_task()
    engine.make(*[new_instance(task, day=day) for day in range(3)])
    before = list(engine.sent)
    with engine.committing():
        assert announce_all_sent(now=clock.now()) == 3
    assert sorted(engine.sent[3:]) == before


def test_a_worker_that_ended_gives_back_what_it_held(engine: Engine) -> None:
    task = make_submitted_task(retries={"limit": 0})
    mine, other = engine.make(new_instance(task, day=0), new_instance(task, day=1))
    engine.start(mine, worker="host:1:abc")
    engine.start(other, worker="host:2:def")
    with engine.committing():
        assert release_executions_of("host:1:abc") == 1
    assert state_of(mine) == State.WAITING_EXECUTION
    assert state_of(other) == State.RUNNING
    mine.refresh_from_db()
    assert (mine.retry_count, mine.lost_count) == (0, 0)
    assert list(mine.executions.values_list("number", "cause")) == [(2, "RETRY"), (1, "FIRST")]


def test_all_lives_of_a_process_are_given_back_and_none_of_another_with_a_longer_number(
    engine: Engine,
) -> None:
    task = make_submitted_task()
    mine, other = engine.make(new_instance(task, day=0), new_instance(task, day=1))
    engine.start(mine, worker="host:12:abc")
    engine.start(other, worker="host:123:def")
    with engine.committing():
        assert release_executions_of("host:12") == 1
    assert states_of([mine, other]) == [State.WAITING_EXECUTION, State.RUNNING]


def test_a_worker_that_ends_in_order_gives_back_what_lost_workers_before(engine: Engine) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    Instance.objects.filter(pk=instance.pk).update(lost_count=LOST_LIMIT)
    engine.start(instance, worker="host:1:abc")
    with engine.committing():
        assert release_executions_of("host:1:abc") == 1
    assert state_of(instance) == State.WAITING_EXECUTION


@pytest.mark.feature("I4")
def test_a_terminating_execution_whose_worker_died_ends_terminated(engine: Engine) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    engine.start(instance)
    transitions.move([instance.pk], State.TERMINATING, now=clock.now())
    transitions.ask_to_stop([instance.pk], now=clock.now())
    with engine.committing():
        rescue(now=clock.now() + LEASE * 2)
    instance.refresh_from_db()
    assert (instance.state, instance.error_code) == (State.FAILED, "TERMINATED")
