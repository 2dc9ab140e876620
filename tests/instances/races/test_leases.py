"""Leases at the moment they run out: the worker, rescue and the next worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial

from instances import transitions
from instances.engine.rescue import rescue
from instances.models import Execution, Instance
from instances.states import ExecutionState, State
from instances.verbs.terminate import terminate
from projects.ground import clock
from tests.factories import make_resource_group, make_submitted_task
from tests.instances.races.acting import claim, claim_instance, finish
from tests.support.engine import Engine, live_executions, state_of
from tests.support.racing import Racers, set_up_ahead
from workflows.models import Task

Wrong = Callable[[], list[str]]


def renew(execution_id: int) -> dict[int, str]:
    until = clock.now() + timedelta(hours=1)
    return transitions.renew_leases([execution_id], worker="worker", lease_until=until)


def all_sent(engine: Engine, task: Task, days: range) -> Iterable[tuple[Instance, int]]:
    """Set up rounds with a sent instance each."""
    (instances,) = engine.make_days(days, [task])
    return zip(instances, live_executions(instances), strict=True)


def let_expire(execution_id: int) -> datetime:
    """Let the execution's lease have ended; return the present."""
    now = clock.now()
    Execution.objects.filter(pk=execution_id).update(lease_until=now - timedelta(seconds=1))
    return now


def test_rescue_against_a_renewal_takes_the_execution_or_leaves_it(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    make_resource_group("wide", slots=100_000)
    task = make_submitted_task(resource_group="wide", retries={"limit": 0})
    seen: set[object] = set()
    for instance, execution in set_up_ahead(partial(all_sent, live_engine, task), seen):
        assert claim(execution) == [execution]
        now = let_expire(execution)
        renewed, (lost, _) = racers.race(partial(renew, execution), partial(rescue, now=now))
        assert (lost, bool(renewed)) in {(1, False), (0, True)}
        assert state_of(instance) == (State.WAITING_EXECUTION if lost else State.RUNNING)
        seen.add(lost)
        # What the worker reports counts exactly when it still holds the execution.
        assert finish(execution) == ([] if lost else [execution])
    assert wrong() == []
    assert seen == {0, 1}, "one side won every round: this was no race"


def test_rescue_against_the_end_and_a_termination_closes_the_execution_once(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    make_resource_group("wide", slots=100_000)
    task = make_submitted_task(resource_group="wide", retries={"limit": 0})
    for instance, execution in set_up_ahead(partial(all_sent, live_engine, task)):
        assert claim(execution) == [execution]
        now = let_expire(execution)
        ended, (lost, _), stopped = racers.race(
            partial(finish, execution),
            partial(rescue, now=now),
            partial(terminate, actor=None, ids=[instance.pk]),
        )
        assert len(ended) + lost == 1
        closed = ExecutionState(Execution.objects.get(pk=execution).state)
        if stopped.succeeded:
            # Terminated before it ended, or after it was lost and sent again.
            assert state_of(instance) == State.FAILED
            assert closed == ExecutionState.TERMINATED or (lost and closed == ExecutionState.LOST)
            assert claim_instance(instance) == []
        elif ended:
            assert (state_of(instance), closed) == (State.SUCCESS, ExecutionState.SUCCESS)
        else:
            assert (state_of(instance), closed) == (State.WAITING_EXECUTION, ExecutionState.LOST)
    assert wrong() == []
