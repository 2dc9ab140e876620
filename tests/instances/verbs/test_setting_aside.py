"""Freezing, removing dependencies, and pausing a batch, one step after the other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from instances.engine.batches import hold_all_paused
from instances.engine.creation import create_instances, with_removals
from instances.engine.settling import set_going
from instances.engine.sweep import sweep
from instances.models import Edge, Execution, Instance, RemovedDependency
from instances.reading.waiting import why_waiting
from instances.states import State
from instances.verbs.freezing import freeze, unfreeze
from instances.verbs.remove_dependencies import remove_dependencies
from instances.verbs.rerun import rerun
from projects.ground import clock
from projects.ground.refusals import Invalid
from projects.models import ResourceGroup
from tests.factories import make_resource_group, make_submitted_tasks
from tests.support.engine import (
    Engine,
    make_batch,
    new_instance,
    pause_batch,
    resume_batch,
    state_of,
    states_of,
    terminate_batch,
)
from tests.support.invariants import violations
from workflows.models import Task


@pytest.fixture
def tasks() -> dict[str, Task]:
    return make_submitted_tasks(
        {
            "a": {"retries": {"limit": 0}},
            "b": {"depends_on": ["a"]},
            "c": {"depends_on": ["a", "b"]},
        }
    )


@pytest.fixture
def pair(engine: Engine, tasks: dict[str, Task]) -> tuple[Instance, Instance]:
    a, b = engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    return a, b


@pytest.mark.feature("I8")
def test_a_frozen_instance_is_not_scheduled_when_its_upstream_succeeds(
    engine: Engine, pair: tuple[Instance, Instance]
) -> None:
    a, b = pair
    with engine.committing():
        freeze(actor=None, ids=[b.pk])
    engine.run(a)
    with engine.committing():
        sweep(now=clock.now())
    assert (state_of(b), engine.start(b)) == (State.FROZEN, None)
    b.refresh_from_db()
    assert [one.reason for one in why_waiting(b, actor=None, now=clock.now())] == ["frozen"]
    with engine.committing():
        unfreeze(actor=None, ids=[b.pk])
    engine.run(b)


@pytest.mark.feature("I8")
def test_a_frozen_success_holds_its_downstream_back_and_unfrozen_lets_it_go(
    engine: Engine, pair: tuple[Instance, Instance]
) -> None:
    a, b = pair
    engine.run(a)
    ended_at = Instance.objects.get(pk=a.pk).ended_at
    with engine.committing():
        freeze(actor=None, ids=[a.pk])
    assert states_of(pair) == [State.FROZEN, State.WAITING_UPSTREAM]
    assert engine.start(b) is None, "what was sent is taken back"
    assert violations() == []
    with engine.committing():
        unfreeze(actor=None, ids=[a.pk])
    assert states_of(pair) == [State.SUCCESS, State.WAITING_EXECUTION]
    a.refresh_from_db()
    assert (a.ended_at, a.total_runs) == (ended_at, 1), "it did not run again"
    engine.run(b)


@pytest.mark.feature("I8", "I12")
def test_a_failure_keeps_its_diagnosis_while_it_is_frozen(
    engine: Engine, pair: tuple[Instance, Instance]
) -> None:
    a, _ = pair
    engine.run(a, "EXIT_NONZERO")
    freeze(actor=None, ids=[a.pk])
    (refused,) = rerun(actor=None, ids=[a.pk]).outcomes
    assert (refused.code, state_of(a)) == ("wrong_state", State.FROZEN)
    unfreeze(actor=None, ids=[a.pk])
    a.refresh_from_db()
    assert (a.state, a.error_code, a.frozen_from) == (State.FAILED, "EXIT_NONZERO", "")
    assert a.ended_at is not None


@pytest.mark.feature("I8")
def test_an_instance_that_is_unfrozen_after_the_end_of_its_plan_goes_on(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    batch = make_batch(tasks["a"])
    a, b = engine.make(
        new_instance(tasks["a"], batch=batch),
        new_instance(tasks["b"], batch=batch, waits_for=[(tasks["a"], 0)]),
        batch=batch,
    )
    engine.run(a)
    b2 = engine.make(
        new_instance(tasks["c"], batch=batch, waits_for=[(tasks["b"], 0)]), batch=batch
    )[0]
    freeze(actor=None, ids=[b2.pk])
    terminate_batch(batch_id=batch.pk)
    assert states_of([b, b2]) == [State.FAILED, State.FROZEN]
    with engine.committing():
        unfreeze(actor=None, ids=[b2.pk])
    assert state_of(b2) == State.WAITING_UPSTREAM
    with engine.committing():
        remove_dependencies(actor=None, ids=[b2.pk])
    engine.run(b2)


@pytest.mark.feature("I7")
@pytest.mark.item("1.30")
def test_a_chosen_dependency_is_removed_and_the_others_go_on_to_hold_back(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    a, b, c = engine.make(
        new_instance(tasks["a"]),
        new_instance(tasks["b"]),
        new_instance(tasks["c"], waits_for=[(tasks["a"], 0), (tasks["b"], 0)]),
    )
    edge = Edge.objects.get(instance=c, upstream=a)
    with engine.committing():
        remove_dependencies(actor=None, ids=[c.pk], edges=[edge.pk])
    assert state_of(c) == State.WAITING_UPSTREAM
    engine.run(b)
    assert state_of(c) == State.WAITING_EXECUTION
    engine.run(c)
    with engine.committing():
        rerun(actor=None, ids=[c.pk])
    assert state_of(c) == State.WAITING_EXECUTION, "a rerun does not check it either"
    assert Edge.objects.filter(instance=c).count() == 2, "it is still there to be drawn"


@pytest.mark.feature("I7")
@pytest.mark.item("1.30")
def test_a_later_instance_of_the_slot_does_not_wait_for_what_was_removed(
    engine: Engine, pair: tuple[Instance, Instance], tasks: dict[str, Task]
) -> None:
    _, b = pair
    remove_dependencies(actor=None, ids=[b.pk])
    b.delete()  # as retention does
    batch = make_batch(tasks["a"])
    later = [
        new_instance(tasks["a"], batch=batch),
        new_instance(tasks["b"], batch=batch, waits_for=[(tasks["a"], 0)]),
        new_instance(tasks["a"], day=1, batch=batch),
        new_instance(tasks["b"], day=1, batch=batch, waits_for=[(tasks["a"], 1)]),
    ]
    _, again, _, other_day = engine.make(*later, batch=batch)
    assert states_of([again, other_day]) == [State.WAITING_EXECUTION, State.WAITING_UPSTREAM]
    assert Edge.objects.get(instance=again).removed_at is not None
    assert violations() == []


@pytest.mark.feature("I7")
def test_with_removals_asks_once_however_many_rows_there_are(
    engine: Engine, tasks: dict[str, Task], django_assert_num_queries: object
) -> None:
    rows = [new_instance(tasks["b"], day=day, waits_for=[(tasks["a"], day)]) for day in range(50)]
    RemovedDependency.objects.create(
        task=tasks["b"],
        scheduled_at=rows[7].scheduled_at,
        upstream_task=tasks["a"],
        upstream_scheduled_at=rows[7].scheduled_at,
        removed_at=clock.now(),
    )
    with django_assert_num_queries(1):  # type: ignore[operator]
        marked = with_removals(rows)
    assert [day for day, row in enumerate(marked) if row.edges[0].removed] == [7]
    assert with_removals([]) == []


@pytest.mark.feature("I7")
def test_an_edge_of_another_instance_is_refused_and_nothing_is_removed(
    engine: Engine, pair: tuple[Instance, Instance], tasks: dict[str, Task]
) -> None:
    a, b = pair
    (c,) = engine.make(new_instance(tasks["c"], waits_for=[(tasks["a"], 0)]))
    own, foreign = Edge.objects.get(instance=b), Edge.objects.get(instance=c)
    with pytest.raises(Invalid) as caught:
        remove_dependencies(actor=None, ids=[b.pk], edges=[own.pk, foreign.pk])
    assert list(caught.value.fields) == ["edges"]
    assert not Edge.objects.filter(removed_at__isnull=False).exists()
    (outcome,) = remove_dependencies(actor=None, ids=[10**9], edges=[10**30]).outcomes
    assert (outcome.ok, outcome.code) == (False, "not_found")
    (outcome,) = remove_dependencies(actor=None, ids=[a.pk]).outcomes
    assert (outcome.ok, outcome.code) == (False, "nothing_to_remove")


@pytest.mark.feature("B25")
def test_a_paused_batch_starts_nothing_and_goes_on_where_it_was(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    batch = make_batch(tasks["a"])
    a, b, other = engine.make(
        new_instance(tasks["a"], batch=batch),
        new_instance(tasks["b"], batch=batch, waits_for=[(tasks["a"], 0)]),
        new_instance(tasks["a"], day=1, batch=batch),
        batch=batch,
    )
    execution = engine.start(a)
    assert execution is not None
    with engine.committing():
        pause_batch(batch_id=batch.pk)
    assert engine.finish(execution) == [execution], "what runs goes on"
    with engine.committing():
        sweep(now=clock.now())
    assert states_of([a, b, other]) == [
        State.SUCCESS,
        State.WAITING_UPSTREAM,
        State.WAITING_UPSTREAM,
    ]
    assert [engine.start(one) for one in (b, other)] == [None, None]
    for one in (b, other):
        one.refresh_from_db()
        reasons = [blocker.reason for blocker in why_waiting(one, actor=None, now=clock.now())]
        assert reasons == ["paused"]
    assert violations() == []
    with engine.committing():
        resume_batch(batch_id=batch.pk)
    assert violations() == []
    engine.run(b)
    engine.run(other)


@pytest.mark.feature("B25")
def test_a_pause_gives_the_slots_of_what_was_sent_to_others(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    group = make_resource_group("one_slot", slots=1)
    batch = make_batch(tasks["a"])
    of_group = {"resource_group_id": group.pk}
    (held,) = engine.make(new_instance(tasks["a"], batch=batch, **of_group), batch=batch)
    (waiting,) = engine.make(new_instance(tasks["a"], day=1, **of_group))
    with engine.committing():
        pause_batch(batch_id=batch.pk)
    assert engine.start(held) is None
    engine.run(waiting)
    with engine.committing():
        resume_batch(batch_id=batch.pk)
    engine.run(held)
    assert list(
        Execution.objects.filter(instance=held).order_by("pk").values_list("state", flat=True)
    ) == ["DISMISSED", "SUCCESS"]
    held.refresh_from_db()
    assert held.total_runs == 1


@pytest.mark.feature("B25")
def test_what_is_made_or_run_again_in_a_paused_batch_waits_too(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    batch = make_batch(tasks["a"])
    (a,) = engine.make(new_instance(tasks["a"], batch=batch), batch=batch)
    engine.run(a)
    pause_batch(batch_id=batch.pk)
    (late, dry) = engine.make(
        new_instance(tasks["a"], day=1, batch=batch),
        new_instance(tasks["a"], day=2, batch=batch, dry=True),
        batch=batch,
    )
    with engine.committing():
        rerun(actor=None, ids=[a.pk])
        sweep(now=clock.now() + timedelta(seconds=5))
    assert states_of([a, late, dry]) == [State.NOT_RUN] * 3
    with engine.committing():
        resume_batch(batch_id=batch.pk)
    assert states_of([a, late, dry]) == [
        State.WAITING_EXECUTION,
        State.WAITING_EXECUTION,
        State.SUCCESS,
    ]


@pytest.mark.feature("B25")
def test_the_sweep_takes_back_what_a_dispatcher_sent_beside_the_pause(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    batch = make_batch(tasks["a"])
    (a,) = engine.make(new_instance(tasks["a"], batch=batch), batch=batch)
    batch.paused_at = clock.now()
    batch.save()
    assert engine.start(a) is None
    with engine.committing():
        assert hold_all_paused() == 1
    assert violations() == []
    with engine.committing():
        sweep(now=clock.now())
    assert violations() == []


@pytest.mark.feature("B25")
def test_resuming_takes_a_number_of_queries_that_does_not_grow(
    engine: Engine, tasks: dict[str, Task], django_assert_max_num_queries: object
) -> None:
    ResourceGroup.objects.update(slots=0)
    batch = make_batch(tasks["a"])
    rows = [new_instance(tasks["a"], day=day, batch=batch) for day in range(200)]
    pause_batch(batch_id=batch.pk)
    ids = create_instances(rows, now=clock.now(), batch_id=batch.pk)
    set_going(ids)
    with django_assert_max_num_queries(25):  # type: ignore[operator]
        resume_batch(batch_id=batch.pk)
    assert set(states_of(Instance.objects.filter(batch=batch))) == {State.WAITING_EXECUTION}
