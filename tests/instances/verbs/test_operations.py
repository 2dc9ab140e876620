"""Terminate, rerun and mark success: which states, whose rights, what follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.engine.rescue import rescue
from instances.engine.sweep import sweep
from instances.models import Execution, Instance
from instances.states import FREEZABLE, MARKABLE, RERUNNABLE, TERMINABLE, ExecutionState, State
from instances.verbs.freezing import freeze, unfreeze
from instances.verbs.mark_success import mark_success
from instances.verbs.rerun import rerun
from instances.verbs.terminate import terminate
from projects.ground import clock
from projects.ground.refusals import Invalid
from projects.models import Operation, OperationObject
from projects.roles import Role
from projects.verbs.recording import BatchResult
from tests.factories import (
    make_member,
    make_resource_group,
    make_submitted_task,
    make_submitted_tasks,
    make_user,
)
from tests.support.engine import (
    Engine,
    make_batch,
    new_instance,
    state_of,
    states_of,
    terminate_batch,
)

VERBS: list[tuple[Callable[..., BatchResult], frozenset[State]]] = [
    (terminate, TERMINABLE),
    (rerun, RERUNNABLE),
    (mark_success, MARKABLE),
    (freeze, FREEZABLE),
    (unfreeze, frozenset({State.FROZEN})),
]


def instance_in(engine: Engine, state: State) -> Instance:
    """Bring a new instance into the state by the ways of the engine."""
    later = clock.now() + timedelta(hours=1)
    name = f"closed_{state.value.lower()}"
    group = make_resource_group(name, slots=0 if state == State.WAITING_EXECUTION else 8)
    tasks = make_submitted_tasks(
        {
            "up": {"resource_group": group.name},
            "it": {
                "resource_group": group.name,
                "depends_on": ["up"],
                "retries": {"limit": int(state == State.RETRYING)},
            },
        }
    )
    if state == State.NOT_RUN:
        return engine.make(new_instance(tasks["it"], not_before=later))[0]
    if state in {State.WAITING_UPSTREAM, State.FROZEN}:
        (instance,) = engine.make(new_instance(tasks["it"], waits_for=[(tasks["up"], 0)]))
        if state == State.FROZEN:
            freeze(actor=None, ids=[instance.pk])
        return instance
    (instance,) = engine.make(new_instance(tasks["it"]))
    if state == State.WAITING_EXECUTION:
        return instance
    execution = engine.start(instance)
    assert execution is not None
    if state == State.TERMINATING:
        terminate(actor=None, ids=[instance.pk])
    elif state != State.RUNNING:
        engine.finish(execution, "" if state == State.SUCCESS else "EXIT_NONZERO")
    return instance


REACHABLE = [state for state in State if state != State.WAITING_EVENT]


@pytest.mark.feature("I4", "I5", "I6", "I8")
@pytest.mark.parametrize(("verb", "allowed"), VERBS)
@pytest.mark.parametrize("state", REACHABLE)
@pytest.mark.item("1.22", "1.29", "2.55", "2.57")
def test_an_operation_acts_in_its_states_and_nowhere_else(
    engine: Engine, state: State, verb: Callable[..., BatchResult], allowed: frozenset[State]
) -> None:
    instance = instance_in(engine, state)
    assert state_of(instance) == state
    with engine.committing():
        result = verb(actor=None, ids=[instance.pk])
    (outcome,) = result.outcomes
    assert outcome.ok is (state in allowed), outcome.detail
    if state not in allowed:
        assert (outcome.code, state_of(instance)) == ("wrong_state", state)


@pytest.mark.feature("I4")
@pytest.mark.parametrize("state", [State.WAITING_UPSTREAM, State.WAITING_EXECUTION])
def test_a_waiting_instance_is_terminated_at_once(engine: Engine, state: State) -> None:
    instance = instance_in(engine, state)
    with engine.committing():
        terminate(actor=None, ids=[instance.pk])
    instance.refresh_from_db()
    assert (instance.state, instance.error_code) == (State.FAILED, "TERMINATED")


@pytest.mark.feature("I4")
def test_what_was_sent_and_terminated_never_starts_and_gives_its_slot_to_others(
    engine: Engine,
) -> None:
    make_resource_group("one_slot", slots=1)
    task = make_submitted_task(resource_group="one_slot")
    first, second = engine.make(new_instance(task, day=0), new_instance(task, day=1))
    sent = Execution.objects.get(instance=first)
    with engine.committing():
        terminate(actor=None, ids=[first.pk])
    assert engine.start(first) is None
    sent.refresh_from_db()
    assert sent.state == ExecutionState.TERMINATED
    assert engine.start(second) is not None


@pytest.mark.feature("I5", "I14")
@pytest.mark.item("1.16")
def test_a_rerun_begins_a_new_round_and_holds_back_what_has_not_started(engine: Engine) -> None:
    tasks = make_submitted_tasks(
        {
            "a": {},
            "started": {"depends_on": ["a"]},
            "sent": {"depends_on": ["a"]},
        }
    )
    a, started, sent = engine.make(
        new_instance(tasks["a"]),
        new_instance(tasks["started"], waits_for=[(tasks["a"], 0)]),
        new_instance(tasks["sent"], waits_for=[(tasks["a"], 0)]),
    )
    engine.run(a)
    engine.start(started)
    with engine.committing():
        rerun(actor=None, ids=[a.pk])
    assert states_of([a, started, sent]) == [
        State.WAITING_EXECUTION,
        State.RUNNING,
        State.WAITING_UPSTREAM,
    ]
    assert engine.start(sent) is None
    engine.run(a)
    assert state_of(sent) == State.WAITING_EXECUTION
    a.refresh_from_db()
    assert (a.retry_count, a.total_runs) == (0, 2)
    assert list(a.executions.order_by("number").values_list("cause", flat=True)) == [
        "FIRST",
        "RERUN",
    ]


@pytest.mark.feature("I5")
def test_a_rerun_waits_for_upstreams_that_are_not_successful(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    a, b = engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    engine.run(a)
    engine.run(b)
    with engine.committing():
        rerun(actor=None, ids=[a.pk, b.pk])
    assert states_of([a, b]) == [State.WAITING_EXECUTION, State.WAITING_UPSTREAM]


@pytest.mark.feature("I6")
@pytest.mark.parametrize("end", ["", "EXIT_NONZERO", "TERMINATED", "WORKER_LOST"])
def test_what_was_marked_success_while_it_ran_is_one_when_its_process_has_ended(
    engine: Engine, end: str
) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    a, b = engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    execution = engine.start(a)
    assert execution is not None
    with engine.committing():
        (outcome,) = mark_success(actor=None, ids=[a.pk]).outcomes
        assert outcome.ok and "as soon as its process has ended" in outcome.detail
        sweep(now=clock.now())
    a.refresh_from_db()
    assert (a.state, a.marked, state_of(b)) == (State.TERMINATING, True, State.WAITING_UPSTREAM)
    assert engine.finish(execution, end) == [execution]
    a.refresh_from_db()
    assert (a.state, a.marked, a.error_code) == (State.SUCCESS, False, "")
    assert (a.retry_count, a.lost_count, a.total_runs) == (0, 0, 1)
    assert state_of(b) == State.WAITING_EXECUTION
    ended = Execution.objects.get(pk=execution)
    assert (ended.state, ended.error_code, ended.error_message) == ("DISMISSED", "", "")
    assert engine.finish(execution, "EXIT_NONZERO") == []
    assert state_of(a) == State.SUCCESS


@pytest.mark.feature("I4", "I6")
@pytest.mark.parametrize(
    ("first", "state"), [(mark_success, State.SUCCESS), (terminate, State.FAILED)]
)
@pytest.mark.parametrize("second", [mark_success, terminate, rerun, freeze])
def test_who_stops_a_running_instance_first_decides_what_it_becomes(
    engine: Engine,
    first: Callable[..., BatchResult],
    second: Callable[..., BatchResult],
    state: State,
) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    execution = engine.start(instance)
    assert execution is not None
    with engine.committing():
        assert first(actor=None, ids=[instance.pk]).succeeded
        (outcome,) = second(actor=None, ids=[instance.pk]).outcomes
    assert (outcome.ok, outcome.code) == (False, "wrong_state")
    engine.finish(execution)
    assert state_of(instance) == state


@pytest.mark.feature("I6")
def test_a_slot_is_kept_until_the_process_of_what_was_marked_success_has_ended(
    engine: Engine,
) -> None:
    make_resource_group("one_slot", slots=1)
    first, second = engine.make(
        *[new_instance(make_submitted_task(resource_group="one_slot")) for _ in range(2)]
    )
    execution = engine.start(first)
    assert execution is not None
    with engine.committing():
        mark_success(actor=None, ids=[first.pk])
    assert engine.start(second) is None
    engine.finish(execution)
    assert engine.start(second) is not None


@pytest.mark.feature("I6")
def test_what_was_marked_success_is_one_when_the_lease_of_its_lost_worker_has_ended(
    engine: Engine,
) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    engine.start(instance)
    with engine.committing():
        mark_success(actor=None, ids=[instance.pk])
        rescue(now=clock.now())
    assert state_of(instance) == State.TERMINATING
    with engine.committing():
        assert rescue(now=clock.now() + timedelta(minutes=1)) == (1, 0)
    instance.refresh_from_db()
    assert (instance.state, instance.error_code) == (State.SUCCESS, "")


@pytest.mark.feature("I4", "P2")
@pytest.mark.parametrize("verb", [terminate, rerun, mark_success])
def test_an_operation_touches_nothing_of_a_foreign_project(
    engine: Engine, verb: Callable[..., BatchResult]
) -> None:
    instance = instance_in(engine, State.WAITING_EXECUTION)
    result = verb(actor=make_user(), ids=[instance.pk])
    (outcome,) = result.outcomes
    assert (outcome.ok, outcome.code, outcome.label) == (False, "not_found", "")
    assert state_of(instance) == State.WAITING_EXECUTION


@pytest.mark.feature("P1")
@pytest.mark.parametrize("verb", [terminate, rerun, mark_success])
def test_a_viewer_may_not_operate(engine: Engine, verb: Callable[..., BatchResult]) -> None:
    instance = instance_in(engine, State.WAITING_EXECUTION)
    viewer = make_member(instance.project, Role.VIEWER)
    (outcome,) = verb(actor=viewer, ids=[instance.pk]).outcomes
    assert (outcome.ok, outcome.code) == (False, "forbidden")
    assert state_of(instance) == State.WAITING_EXECUTION


@pytest.mark.parametrize("ids", [[], range(1, 10_002)])
@pytest.mark.parametrize("verb", [terminate, rerun, mark_success])
def test_no_ids_or_too_many_are_refused(
    db: None, verb: Callable[..., BatchResult], ids: range
) -> None:
    with pytest.raises(Invalid) as refusal:
        verb(actor=None, ids=ids)
    assert list(refusal.value.fields) == ["ids"]
    assert not Operation.objects.exists()


@pytest.mark.feature("P3", "I10")
def test_an_operation_is_recorded_under_one_id_with_each_outcome(engine: Engine) -> None:
    task = make_submitted_task()
    operator = make_member(task.project, Role.OPERATOR)
    done, waiting = engine.make(new_instance(task, day=0), new_instance(task, day=1))
    engine.run(done)
    with engine.committing():
        result = terminate(actor=operator, ids=[waiting.pk, done.pk, 999_999_999])
    operation = Operation.objects.get(pk=result.operation_id)
    assert (operation.actor, operation.verb, operation.project) == (
        operator,
        "instances.terminate",
        task.project,
    )
    assert (operation.succeeded, operation.refused) == (1, 2)
    rows = OperationObject.objects.filter(operation=operation)
    assert {(row.object_id, row.ok, row.code) for row in rows} == {
        (waiting.pk, True, ""),
        (done.pk, False, "wrong_state"),
        (999_999_999, False, "not_found"),
    }


@pytest.mark.parametrize("verb", [terminate, rerun, mark_success])
def test_many_take_as_many_queries_as_few(engine: Engine, verb: Callable[..., BatchResult]) -> None:
    counts = []
    for many in (2, 20):
        group = make_resource_group(slots=100).name
        tasks = make_submitted_tasks(
            {"a": {"resource_group": group}, "b": {"depends_on": ["a"], "resource_group": group}}
        )
        rows = [new_instance(tasks["a"], day=day) for day in range(many)]
        rows += [
            new_instance(tasks["b"], day=day, waits_for=[(tasks["a"], day)]) for day in range(many)
        ]
        ids = [instance.pk for instance in engine.make(*rows)[:many]]
        with CaptureQueriesContext(connection) as captured, engine.committing():
            assert len(verb(actor=None, ids=ids).succeeded) == many
        counts.append(len(captured))
    assert counts[0] == counts[1]


@pytest.mark.feature("B23")
def test_terminating_a_batch_ends_all_that_waits_and_stops_what_runs(engine: Engine) -> None:
    tasks = make_submitted_tasks(
        {"a": {"retries": {"limit": 3, "interval": 600}}, "b": {"depends_on": ["a"]}}
    )
    batch = make_batch(tasks["a"])
    later = clock.now() + timedelta(hours=1)
    running, retrying, done, waiting, future = engine.make(
        new_instance(tasks["a"], day=0, batch=batch),
        new_instance(tasks["a"], day=1, batch=batch),
        new_instance(tasks["a"], day=2, batch=batch),
        new_instance(tasks["b"], day=0, batch=batch, waits_for=[(tasks["a"], 0)]),
        new_instance(tasks["a"], day=3, batch=batch, not_before=later),
        batch=batch,
    )
    (other,) = engine.make(new_instance(tasks["a"], day=7))
    execution = engine.start(running)
    engine.run(retrying, "EXIT_NONZERO")
    engine.run(done)
    with engine.committing():
        assert terminate_batch(batch_id=batch.pk) == 4
    assert states_of([running, retrying, done, waiting, future]) == [
        State.TERMINATING,
        State.FAILED,
        State.SUCCESS,
        State.FAILED,
        State.FAILED,
    ]
    assert execution is not None
    engine.finish(execution)
    assert state_of(running) == State.FAILED
    assert state_of(other) == State.WAITING_EXECUTION
    # One of them can be run again; the others stay as they are.
    with engine.committing():
        rerun(actor=None, ids=[running.pk])
        sweep(now=clock.now())
    assert states_of([running, retrying]) == [State.WAITING_EXECUTION, State.FAILED]


def test_the_rerun_of_what_waits_for_a_retry_does_not_wait_for_its_clock(engine: Engine) -> None:
    task = make_submitted_task(retries={"limit": 1, "interval": 3600})
    (instance,) = engine.make(new_instance(task))
    engine.run(instance, "EXIT_NONZERO")
    assert state_of(instance) == State.RETRYING
    with engine.committing():
        rerun(actor=None, ids=[instance.pk])
    assert state_of(instance) == State.WAITING_EXECUTION


@pytest.mark.feature("B23")
def test_the_sweep_ends_what_a_termination_that_broke_off_has_left(engine: Engine) -> None:
    task = make_submitted_task(retries={"limit": 1, "interval": 3600})
    batch = make_batch(task)
    waiting, again = engine.make(
        new_instance(task, day=0, batch=batch), new_instance(task, day=1, batch=batch), batch=batch
    )
    engine.run(again)
    batch.stopped_at = clock.now()
    batch.save()
    with engine.committing():
        rerun(actor=None, ids=[again.pk])
        sweep(now=clock.now())
    assert states_of([waiting, again]) == [State.WAITING_EXECUTION] * 2  # its maker is at it
    with engine.committing():
        assert sweep(now=clock.now() + timedelta(minutes=5)).ended == 1
    assert states_of([waiting, again]) == [State.FAILED, State.WAITING_EXECUTION]
