"""Days that end, are made whole, run again and stopped at the same moment: each opens once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from backfill.running.expanding import expand_plan
from instances.engine import days
from instances.engine.settling import go_on_with_days
from instances.engine.sweep import sweep
from instances.models import Batch, BatchDay, Execution, Instance
from instances.states import State
from instances.verbs.mark_success import mark_success
from instances.verbs.rerun import rerun
from projects.ground import clock
from tests.factories import make_resource_group, make_submitted_task, make_submitted_tasks
from tests.factories.plans import make_spec, make_submitted_plan
from tests.instances.races.acting import claim_instance, finish
from tests.support.engine import (
    Engine,
    day_of,
    make_batch,
    new_instance,
    state_of,
    states_of,
    terminate_batch,
)
from tests.support.racing import ROUNDS, Racers, rounds
from workflows.models import Task

pytestmark = pytest.mark.feature("B10")

GROUP = {"resource_group": "wide"}

Wrong = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def wide(live_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.running.nudging.nudge", lambda *args, **options: None)
    make_resource_group("wide", slots=100_000)


def running(engine: Engine, instance: Instance) -> int:
    execution = engine.start(instance)
    assert execution is not None
    return execution


def make(
    engine: Engine, tasks: list[Task], lanes: list[list[int]], number: int
) -> tuple[Batch, list[Instance]]:
    """A batch with an instance of each task on each of its days, all made whole."""
    batch = make_batch(tasks[0], f"plan {number}", lanes)
    rows = [
        new_instance(task, day=day, batch=batch) for lane in lanes for day in lane for task in tasks
    ]
    made = engine.make(*rows, batch=batch)
    engine.make_whole(batch)
    return batch, made


def test_the_last_two_of_a_day_that_end_at_once_open_the_next_one_once(
    live_engine: Engine, racers: Racers, wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    open_next = days.open_next

    def note(*args: object, **options: object) -> list[int]:
        found = open_next(*args, **options)  # type: ignore[arg-type]
        opened.extend(found)
        return found

    monkeypatch.setattr(days, "open_next", note)
    tasks = list(make_submitted_tasks({"a": GROUP, "b": GROUP}).values())
    for number in range(ROUNDS):
        opened.clear()
        batch, made = make(live_engine, tasks, [[0, 1]], number)
        racers.race(*[partial(finish, running(live_engine, one)) for one in made[:2]])
        assert states_of(made) == [State.SUCCESS] * 2 + [State.WAITING_EXECUTION] * 2
        assert opened == [day_of(batch, 1).pk]
        sent = Execution.objects.filter(instance__in=made[2:])
        assert sorted(sent.values_list("pk", flat=True)) == sorted(live_engine.sent[-2:])
        assert wrong() == []
    swept = sweep(now=clock.now())
    assert (swept.clocked, swept.woken, swept.dispatched) == (0, 0, 0)


def test_lanes_that_end_their_days_at_once_do_not_wait_for_each_other(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = list(make_submitted_tasks({"a": GROUP, "b": GROUP}).values())
    lanes = [[0, 1], [2, 3]]
    for number in range(ROUNDS):
        _, made = make(live_engine, tasks, lanes, number)
        first = [made[0], made[1], made[4], made[5]]
        racers.race(*[partial(finish, running(live_engine, one)) for one in first])
        later = [made[2], made[3], made[6], made[7]]
        assert set(states_of(later)) == {State.WAITING_EXECUTION}
        assert wrong() == []


@pytest.mark.feature("B23")
def test_of_a_plan_that_is_stopped_while_a_day_ends_the_next_day_does_not_start(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    task = make_submitted_task(**GROUP)
    seen: set[object] = set()
    for number in rounds(seen):
        batch, (first, second) = make(live_engine, [task], [[0, 1]], number)
        execution = running(live_engine, first)
        racers.race(partial(finish, execution), partial(terminate_batch, batch_id=batch.pk))
        assert claim_instance(second) == []
        assert state_of(second) == State.FAILED
        seen.add(state_of(first))
        finish(execution)
        assert wrong() == []
    assert len(seen) == 2, "one side won every round: this was no race"


def test_a_day_that_is_made_whole_while_its_last_instance_ends_opens_the_next_one(
    live_engine: Engine, racers: Racers, wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.running.expanding.CELLS_AT_ONCE", 1)
    task = make_submitted_task(**GROUP)
    spec = make_spec([task], "2024-05-01", "2024-05-02", run_mode="day_by_day")
    for _ in range(ROUNDS):
        plan = make_submitted_plan(spec)
        expand_plan(plan.pk)
        first = Instance.objects.get(batch=plan.batch)
        execution = running(live_engine, first)
        racers.race(partial(finish, execution), partial(expand_plan, plan.pk))
        second = Instance.objects.exclude(pk=first.pk).get(batch=plan.batch)
        assert states_of([first, second]) == [State.SUCCESS, State.WAITING_EXECUTION]
        assert wrong() == []


def test_instances_that_are_made_while_their_day_opens_are_let_go_on(
    live_engine: Engine, racers: Racers, wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.running.expanding.CELLS_AT_ONCE", 2)
    tasks = make_submitted_tasks({"a": GROUP, "b": {**GROUP, "depends_on": ["a"]}})
    spec = make_spec(list(tasks.values()), "2024-05-01", "2024-05-03", run_mode="day_by_day")
    for _ in range(ROUNDS):
        plan = make_submitted_plan(spec)
        expand_plan(plan.pk)
        a, b = Instance.objects.filter(batch=plan.batch).order_by("pk")
        live_engine.run(a)
        # The chunk that makes the second day says that the first is whole.
        racers.race(
            partial(finish, running(live_engine, b)),
            partial(expand_plan, plan.pk),
        )
        day = BatchDay.objects.filter(batch=plan.batch).order_by("day")[1]
        second = Instance.objects.filter(day=day).order_by("pk")
        racers.race(partial(expand_plan, plan.pk), partial(go_on_with_days, [day.pk]))
        assert states_of(second) == [State.WAITING_EXECUTION, State.WAITING_UPSTREAM]
        assert wrong() == []


def test_a_day_that_is_marked_success_while_it_is_run_again_opens_the_next_one_or_not(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    tasks = list(make_submitted_tasks({"a": GROUP, "b": GROUP}).values())
    seen: set[object] = set()
    for number in rounds(seen):
        batch, (a, b, *later) = make(live_engine, tasks, [[0, 1]], number)
        live_engine.run(a)
        racers.race(
            partial(mark_success, actor=None, ids=[b.pk]), partial(rerun, actor=None, ids=[a.pk])
        )
        is_open = day_of(batch, 1).opened_at is not None
        expected = State.WAITING_EXECUTION if is_open else State.NOT_RUN
        assert set(states_of(later)) == {expected}
        seen.add(is_open)
        assert wrong() == []
    assert len(seen) == 2, "one side won every round: this was no race"


@pytest.mark.feature("I5")
def test_what_is_run_again_while_its_day_opens_is_let_go_on(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    """The rerun saw the day closed, the opening saw the instance before its new round."""
    task = make_submitted_task(**GROUP)
    batch, (first, second) = make(live_engine, [task], [[0, 1]], 0)
    terminate_batch(batch_id=batch.pk)
    rerun(actor=None, ids=[first.pk])
    end = partial(finish, running(live_engine, first))
    racers.overtake(partial(rerun, actor=None, ids=[second.pk]), end)
    assert states_of([first, second]) == [State.SUCCESS, State.WAITING_EXECUTION]
    assert wrong() == []


def test_the_end_of_the_last_instance_waits_for_no_chunk_that_is_being_made(
    live_engine: Engine, racers: Racers, wrong: Wrong
) -> None:
    """A day is said to be whole in a transaction that is not committed when its work ends."""
    task = make_submitted_task(**GROUP)
    batch = make_batch(task, lanes=[[0, 1]])
    first, second = live_engine.make(
        *[new_instance(task, day=day, batch=batch) for day in range(2)], batch=batch
    )
    day = day_of(batch, 0).pk
    end = partial(finish, running(live_engine, first))
    racers.overtake(partial(days.mark_made, [day], now=clock.now()), end)
    assert state_of(second) == State.NOT_RUN  # who says it is whole looks after the commit
    go_on_with_days([day])
    assert states_of([first, second]) == [State.SUCCESS, State.WAITING_EXECUTION]
    assert wrong() == []
