"""Ends at the same moment: of two upstreams, against operators, against later rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import pytest

from instances.engine.sweep import sweep
from instances.models import Execution, Instance
from instances.states import ExecutionState, State
from instances.verbs.mark_success import mark_success
from instances.verbs.rerun import rerun
from instances.verbs.terminate import terminate
from projects.ground import clock
from tests.factories import make_resource_group, make_submitted_task, make_submitted_tasks
from tests.instances.races.acting import finish
from tests.support.engine import Engine, new_instance, state_of, states_of
from tests.support.racing import ROUNDS, Racers, set_up_ahead
from workflows.models import Task

GROUP = {"resource_group": "wide"}

T = TypeVar("T")
Wrong = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def wide(live_engine: Engine) -> None:
    make_resource_group("wide", slots=100_000)


def running(engine: Engine, instance: Instance) -> int:
    execution = engine.start(instance)
    assert execution is not None
    return execution


def all_running(engine: Engine, task: Task, days: range) -> Iterable[tuple[Instance, int]]:
    """Set up rounds with a running instance each."""
    (instances,) = engine.make_days(days, [task])
    return zip(instances, engine.start_all(instances), strict=True)


def rows_of(columns: Iterable[list[T]]) -> list[list[T]]:
    return [list(row) for row in zip(*columns, strict=True)]


def test_two_upstreams_that_end_at_once_wake_their_downstream(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": GROUP, "b": GROUP, "c": {**GROUP, "depends_on": ["a", "b"]}})
    a, b, c = tasks.values()

    def set_up(days: range) -> Iterable[tuple[list[Instance], list[int]]]:
        made = live_engine.make_days(days, [a], [b], [c, a, b])
        begun = [live_engine.start_all(upstream) for upstream in made[:2]]
        return zip(rows_of(made), rows_of(begun), strict=True)

    for made, begun in set_up_ahead(set_up):
        racers.race(*[partial(finish, execution) for execution in begun])
        assert states_of(made) == [State.SUCCESS, State.SUCCESS, State.WAITING_EXECUTION]
        assert wrong() == []
    swept = sweep(now=clock.now())
    assert (swept.clocked, swept.woken, swept.dispatched) == (0, 0, 0)


def test_a_chain_of_upstreams_that_end_and_are_rerun_never_stops(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    """Downstream rerun against its upstream's end: whoever is second sees the first."""
    tasks = make_submitted_tasks({"a": GROUP, "b": {**GROUP, "depends_on": ["a"]}})
    a, b = live_engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    live_engine.run(a)
    live_engine.run(b)
    for _ in range(ROUNDS):
        rerun(actor=None, ids=[a.pk])
        end = partial(finish, running(live_engine, a))
        racers.race(end, partial(rerun, actor=None, ids=[b.pk]))
        assert wrong() == []
        assert states_of([a, b]) == [State.SUCCESS, State.WAITING_EXECUTION]
        live_engine.run(b)


@pytest.mark.feature("I4")
def test_terminate_against_the_end_leaves_one_of_the_two(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": GROUP, "b": {**GROUP, "depends_on": ["a"]}})
    upstream, downstream = tasks.values()

    def set_up(days: range) -> Iterable[tuple[Instance, Instance, int]]:
        a, b = live_engine.make_days(days, [upstream], [downstream, upstream])
        return zip(a, b, live_engine.start_all(a), strict=True)

    seen: set[object] = set()
    for a, b, execution in set_up_ahead(set_up, seen):
        ended, stopped = racers.race(
            partial(finish, execution), partial(terminate, actor=None, ids=[a.pk])
        )
        assert ended == [execution]  # it was the live one either way
        outcome = (bool(stopped.succeeded), *states_of([a, b]))
        assert outcome in {
            (True, State.FAILED, State.WAITING_UPSTREAM),
            (False, State.SUCCESS, State.WAITING_EXECUTION),
        }
        seen.add(outcome)
        assert wrong() == []
    assert len(seen) == 2, "one side won every round: this was no race"


@pytest.mark.feature("I6")
@pytest.mark.parametrize("error_code", ["", "EXIT_NONZERO"])
def test_mark_success_against_the_end_succeeds_whichever_is_first(
    live_engine: Engine, racers: Racers, wrong: Wrong, error_code: str
) -> None:
    task = make_submitted_task(**GROUP, retries={"limit": 0})
    for instance, execution in set_up_ahead(partial(all_running, live_engine, task)):
        ended, marked = racers.race(
            partial(finish, execution, error_code),
            partial(mark_success, actor=None, ids=[instance.pk]),
        )
        # A failure can be marked too, a success need not be.
        assert bool(marked.succeeded) or not error_code
        assert (ended, state_of(instance)) == ([execution], State.SUCCESS)
        closed = ExecutionState(Execution.objects.get(pk=execution).state)
        was_running = any(outcome.detail for outcome in marked.succeeded)
        assert (closed == ExecutionState.DISMISSED) is was_running
        assert wrong() == []


@pytest.mark.feature("I5")
def test_the_late_end_of_an_earlier_round_does_not_touch_the_next(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    task = make_submitted_task(**GROUP)
    (instance,) = live_engine.make(new_instance(task))
    for _ in range(ROUNDS):
        old = running(live_engine, instance)
        mark_success(actor=None, ids=[instance.pk])
        ended, again = racers.race(
            partial(finish, old, "EXIT_NONZERO"), partial(rerun, actor=None, ids=[instance.pk])
        )
        assert ended == [old]
        if not again.succeeded:  # it was still terminating
            assert rerun(actor=None, ids=[instance.pk]).succeeded
        new = running(live_engine, instance)
        counted, late = racers.race(partial(finish, new), partial(finish, old, "EXIT_NONZERO"))
        assert (counted, late) == ([new], [])
        assert state_of(instance) == State.SUCCESS
        rerun(actor=None, ids=[instance.pk])
        assert wrong() == []


def test_a_result_that_is_told_twice_at_once_counts_once(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    task = make_submitted_task(**GROUP, retries={"limit": 3, "interval": 0})
    for instance, execution in set_up_ahead(partial(all_running, live_engine, task)):
        told = racers.race(*[partial(finish, execution, "EXIT_NONZERO")] * 4)
        assert sorted(told) == [[], [], [], [execution]]
        instance.refresh_from_db()
        assert (instance.state, instance.retry_count) == (State.WAITING_EXECUTION, 1)
    assert wrong() == []
