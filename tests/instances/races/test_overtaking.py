"""Two transactions that overlap, one way after the other: the races that were thought through."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from instances.engine.dispatch import _lock_limited, dispatch
from instances.engine.generation import generate
from instances.engine.sweep import sweep
from instances.ground.locking import lock_instances
from instances.models import Edge, Instance
from instances.states import State
from instances.verbs.mark_success import mark_success
from instances.verbs.rerun import rerun
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import (
    make_resource_group,
    make_submitted_task,
    make_submitted_tasks,
    make_user,
    mapping,
)
from tests.instances.races.acting import claim, create, finish
from tests.support.engine import (
    Engine,
    make_batch,
    new_instance,
    state_of,
    states_of,
    terminate_batch,
)
from tests.support.racing import Racers
from workflows.editing.drafts import save_draft
from workflows.models import Task
from workflows.verbs.submit import submit_tasks
from workflows.verbs.task_status import pause, take_offline

Wrong = Callable[[], list[str]]


def test_an_upstream_that_ends_while_its_downstream_is_rerun_wakes_it(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    a, b = live_engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    live_engine.run(a)
    live_engine.run(b)
    rerun(actor=None, ids=[a.pk])
    execution = live_engine.start(a)
    assert execution is not None
    racers.overtake(partial(rerun, actor=None, ids=[b.pk]), partial(finish, execution))
    assert wrong() == []
    assert states_of([a, b]) == [State.SUCCESS, State.WAITING_EXECUTION]


def test_what_a_plan_lets_go_on_is_held_back_by_the_rerun_of_that_plans_instance(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    (b,) = live_engine.make(new_instance(tasks["b"], waits_for=[(tasks["a"], 0)]))
    batch = make_batch(tasks["a"])
    (a,) = live_engine.make(new_instance(tasks["a"], batch=batch), batch=batch)
    execution = live_engine.start(a)
    assert execution is not None
    racers.overtake(partial(finish, execution), partial(rerun, actor=None, ids=[a.pk]))
    assert wrong() == []
    assert states_of([a, b]) == [State.WAITING_EXECUTION, State.WAITING_UPSTREAM]


def test_instances_made_at_the_same_moment_find_each_other(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    upstream = new_instance(tasks["a"])
    downstream = new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    later = new_instance(tasks["a"], day=1)
    before = new_instance(tasks["b"], day=1, waits_for=[(tasks["a"], 1)])
    racers.overtake(partial(create, upstream), partial(create, downstream))
    assert wrong() == []
    racers.overtake(partial(create, before), partial(create, later))
    assert wrong() == []


def test_an_edge_that_nobody_pointed_is_found_by_the_sweep(
    live_engine: Engine, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    a, b = live_engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    Edge.objects.filter(instance=b).update(upstream=None)  # its maker died right after its commit
    live_engine.run(a)
    sweep(now=clock.now())
    assert wrong() == []
    assert state_of(b) == State.WAITING_EXECUTION


def test_a_plan_that_fills_a_slot_while_its_downstream_is_made_lets_it_go_on(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    batch = make_batch(tasks["a"])
    waiting = [new_instance(tasks["b"], day=day, waits_for=[(tasks["a"], day)]) for day in (0, 1)]
    filling = live_engine.make(
        *[new_instance(tasks["a"], day=day, batch=batch) for day in (0, 1)], batch=batch
    )
    first, second = (live_engine.start(instance) for instance in filling)
    assert first is not None and second is not None
    racers.overtake(partial(create, waiting[0]), partial(finish, first))
    sweep(now=clock.now())
    assert wrong() == []
    racers.overtake(partial(finish, second), partial(create, waiting[1]))
    sweep(now=clock.now())
    assert wrong() == []
    made = Instance.objects.filter(task=tasks["b"])
    assert set(states_of(made)) == {State.WAITING_EXECUTION}


def test_a_downstream_made_while_its_upstream_is_rerun_does_not_start(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    (a,) = live_engine.make(new_instance(tasks["a"]))
    live_engine.run(a)
    row = new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    (pk,) = racers.overtake(partial(rerun, actor=None, ids=[a.pk]), partial(create, row))
    b = Instance.objects.get(pk=pk)
    assert live_engine.start(b) is None
    assert state_of(b) == State.WAITING_UPSTREAM
    assert wrong() == []
    live_engine.run(a)
    assert live_engine.start(b) is not None
    assert wrong() == []


def test_a_claim_that_waited_while_its_batch_was_stopped_starts_nothing(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    task = make_submitted_task()
    batch = make_batch(task)
    (instance,) = live_engine.make(new_instance(task, batch=batch), batch=batch)
    (execution,) = live_engine.sent

    def stop() -> None:
        list(Instance.objects.select_for_update().filter(pk=instance.pk))
        batch.stopped_at = clock.now()
        batch.save(update_fields=["stopped_at"])

    assert racers.overtake(stop, partial(claim, execution)) == []
    terminate_batch(batch_id=batch.pk)
    assert wrong() == []
    assert state_of(instance) == State.FAILED


def test_generators_at_once_wait_for_nothing_that_will_not_come(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    hourly = {"schedule": {"cycle": "hour", "every": 1}}
    tasks = make_submitted_tasks(
        {"a": {**hourly, "catch_up": "latest"}, "b": {**hourly, "depends_on": ["a"]}}
    )
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    start = now - timedelta(hours=4)
    Task.objects.update(scheduling_since=start, generated_until=start, next_fire_at=now)
    only_a = now - timedelta(minutes=1)
    Task.objects.filter(pk=tasks["a"].pk).update(next_fire_at=only_a)
    racers.overtake(partial(generate, now=only_a), partial(generate, now=now))
    generate(now=now)
    for instance in Instance.objects.filter(task=tasks["a"]):
        live_engine.run(instance)
    waiting = Instance.objects.filter(task=tasks["b"]).exclude(state=State.WAITING_EXECUTION)
    assert [str(instance) for instance in waiting] == []
    assert wrong() == []


def test_a_limit_that_is_lowered_while_a_dispatcher_waits_counts(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    task = make_submitted_task(max_parallel=3)
    group = ResourceGroup.objects.get()
    ResourceGroup.objects.update(slots=0)
    live_engine.make(*[new_instance(task, day=day) for day in range(3)])
    ResourceGroup.objects.update(slots=8)

    def lower() -> None:
        _lock_limited({task.pk})  # as another group's dispatcher does
        Task.objects.filter(pk=task.pk).update(max_parallel=1)

    assert racers.overtake(lower, lambda: dispatch([group.pk], now=clock.now())) == 1
    assert wrong() == []


@pytest.mark.parametrize("verb", [submit_tasks, pause, take_offline])
def test_who_changes_a_task_holds_nobody_up_who_makes_or_sends_its_instances(
    live_engine: Engine, racers: Racers, wrong: Wrong, verb: Callable[..., object]
) -> None:
    task = make_submitted_task(retries={"limit": 1})
    group = ResourceGroup.objects.get()
    ResourceGroup.objects.update(slots=0)
    live_engine.make(new_instance(task))
    ResourceGroup.objects.update(slots=8)
    save_draft(actor=None, task_id=task.pk, draft=mapping(retries={"limit": 2}))
    change = partial(verb, actor=None, ids=[task.pk])
    changed = Task.objects.get(pk=task.pk)

    def work() -> int:
        create(new_instance(changed, day=1))
        return dispatch([group.pk], now=clock.now())

    assert racers.beside(change, work) == 0  # both were sent when the second was made
    assert len(live_engine.sent) == 2
    assert wrong() == []


def test_a_ready_instance_that_somebody_holds_for_nothing_is_sent_all_the_same(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    group = make_resource_group("narrow", slots=0)
    task = make_submitted_task(resource_group="narrow")
    (instance,) = live_engine.make(new_instance(task))
    ResourceGroup.objects.filter(pk=group.pk).update(slots=1)
    hold = partial(lock_instances, [instance.pk])
    assert racers.overtake(hold, lambda: dispatch([group.pk], now=clock.now())) == 1
    assert wrong() == []


@pytest.mark.parametrize("verb", [rerun, mark_success])
def test_a_refused_operation_holds_nothing_back(
    live_engine: Engine, wrong: Wrong, verb: Callable[..., object]
) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    a, b = live_engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    live_engine.run(a)
    verb(actor=make_user(), ids=[a.pk])
    assert wrong() == []
    assert states_of([a, b]) == [State.SUCCESS, State.WAITING_EXECUTION]
