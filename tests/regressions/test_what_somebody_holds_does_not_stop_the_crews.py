"""A row or a lock that somebody holds, as a frozen process does, stops nothing but itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connections
from psycopg.errors import LockNotAvailable

from instances.engine import generation
from instances.engine.batches import mark_paused, mark_resumed
from instances.engine.completion import Result
from instances.engine.dispatch import dispatch
from instances.engine.generation import generate
from instances.engine.rescue import rescue
from instances.engine.settling import set_going
from instances.engine.stopping import RESUMED_AFTER, end_stopped
from instances.engine.sweep import sweep
from instances.ground.locking import in_parts
from instances.models import Batch, Edge, Execution, Instance
from instances.states import ExecutionState, State
from instances.worker.crew import Crew
from instances.worker.execution import Attempt, claim
from instances.worker.life import Life
from instances.worker.pulse import Pulse
from projects.ground import clock
from projects.models import ResourceGroup
from projects.rest.errors import exception_handler
from tests.factories import make_resource_group, make_submitted_task, make_submitted_tasks
from tests.support.engine import (
    LEASE,
    Engine,
    live_executions,
    make_batch,
    new_instance,
    pause_batch,
    state_of,
    states_of,
)
from tests.support.waiting import wait_for
from workflows.definitions.version_loading import load_definitions
from workflows.models import Task
from workflows.schedules import next_fire

# What a verb may take that finds something held, on a busy machine; it waited for ever.
MOMENT = 40.0


@pytest.fixture(autouse=True)
def impatient(settings: LazySettings) -> None:
    settings.ENGINE_LOCK_SECONDS = settings.HELD_LOCK_SECONDS = 0.1
    # What is bounded here is not bounded by these.
    settings.DATABASE_LOCK_SECONDS = 120
    settings.DATABASE_IDLE_SECONDS = 300


@contextmanager
def held(statement: str, *arguments: object) -> Iterator[None]:
    """In the block somebody else has done this in a transaction that does not end."""
    other: Any = connections.create_connection("default")
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute(statement, arguments)
        yield
        other.rollback()  # here and now: the server notices a closed connection a moment later
    finally:
        other.close()


def mark_stopped(batch_ids: list[int]) -> None:
    """As a termination that broke off after its first commit, some time ago."""
    long_ago = clock.now() - 2 * RESUMED_AFTER
    Batch.objects.filter(pk__in=batch_ids).update(stopped_at=long_ago)
    Instance.objects.filter(batch__in=batch_ids).update(waiting_since=long_ago)


def held_instance(instance: Instance) -> Any:
    return held("SELECT FROM instances_instance WHERE id = %s FOR UPDATE", instance.pk)


def test_a_report_comes_back_though_a_ready_instance_is_held(live_engine: Engine) -> None:
    group = make_resource_group(slots=10)
    task = make_submitted_task(resource_group=group.name)
    running, *_ = live_engine.make(new_instance(task, day=0))
    execution = live_engine.start(running)
    assert execution is not None
    ResourceGroup.objects.filter(pk=group.pk).update(slots=0)
    ready, other = live_engine.make(*[new_instance(task, day=day) for day in (1, 2)])
    ResourceGroup.objects.filter(pk=group.pk).update(slots=10)
    with held_instance(ready):
        began = time.monotonic()
        live_engine.finish(execution)
        assert time.monotonic() - began < MOMENT
        assert state_of(running) == State.SUCCESS
        assert [Execution.objects.filter(instance=one).count() for one in (ready, other)] == [0, 1]
    sweep(now=clock.now())
    assert Execution.objects.filter(instance=ready).count() == 1


def test_a_report_comes_back_though_its_group_is_held(live_engine: Engine) -> None:
    group = make_resource_group(slots=10)
    task = make_submitted_task(resource_group=group.name)
    running, *_ = live_engine.make(new_instance(task, day=0))
    execution = live_engine.start(running)
    assert execution is not None
    elsewhere = make_submitted_task()
    ResourceGroup.objects.update(slots=0)
    ready, free = live_engine.make(new_instance(task, day=1), new_instance(elsewhere))
    ResourceGroup.objects.update(slots=10)
    with held("SELECT FROM projects_resourcegroup WHERE id = %s FOR UPDATE", group.pk):
        began = time.monotonic()
        live_engine.finish(execution)
        assert state_of(running) == State.SUCCESS
        sweep(now=clock.now())
        assert time.monotonic() - began < MOMENT
        assert [Execution.objects.filter(instance=one).count() for one in (ready, free)] == [0, 1]
    dispatch([group.pk], now=clock.now())
    assert Execution.objects.filter(instance=ready).count() == 1


def test_a_crew_reports_the_others_and_comes_back_to_what_is_held(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "instances.worker.crew.run", lambda attempt, life: Result(attempt.execution_id)
    )
    monkeypatch.setattr("instances.worker.crew.HELD_AGAIN_SECONDS", 0.1)
    group = make_resource_group(slots=10)
    tasks = make_submitted_tasks(
        {
            "above": {"resource_group": group.name},
            "below": {"resource_group": group.name, "depends_on": ["above"]},
            "beside": {"resource_group": group.name},
        }
    )
    above, below, *beside = live_engine.make(
        new_instance(tasks["above"]),
        new_instance(tasks["below"], waits_for=[(tasks["above"], 0)]),
        *[new_instance(tasks["beside"], day=day) for day in range(5)],
    )
    crew = Crew(Life("worker"), room=20)
    with held_instance(below):
        crew.serve([group.queue])
        wait_for(lambda: set(states_of(beside)) == {State.SUCCESS})
        assert state_of(above) == State.RUNNING
        late, *_ = live_engine.make(new_instance(tasks["beside"], day=9))
        crew.nudge(group.queue)
        wait_for(lambda: state_of(late) == State.SUCCESS)
    wait_for(lambda: states_of([above, below]) == [State.SUCCESS, State.SUCCESS])
    assert crew.drain(60)


def held_execution(execution_id: int) -> Any:
    return held("SELECT FROM instances_execution WHERE id = %s FOR UPDATE", execution_id)


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Executions that take no time."""
    monkeypatch.setattr(
        "instances.worker.execution._run", lambda attempt, life: Result(attempt.execution_id)
    )


def test_a_crew_claims_the_others_though_the_oldest_execution_is_held(
    live_engine: Engine, instant: None
) -> None:
    group = make_resource_group(slots=10)
    task = make_submitted_task(resource_group=group.name)
    first, *others = live_engine.make(*[new_instance(task, day=day) for day in range(3)])
    crew = Crew(Life("worker"), room=5)
    with held_execution(live_executions([first])[0]):
        crew.serve([group.queue])
        wait_for(lambda: states_of(others) == [State.SUCCESS] * 2)
        assert state_of(first) == State.WAITING_EXECUTION
    wait_for(lambda: state_of(first) == State.SUCCESS)
    assert crew.drain(60)


def test_a_crew_starts_the_others_though_one_that_it_claimed_is_held(
    live_engine: Engine, instant: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_resource_group(slots=10)
    task = make_submitted_task(resource_group=group.name, code="true")
    instances = live_engine.make(*[new_instance(task, day=day) for day in range(3)])
    ids = live_executions(instances)
    claimed, go_on = Event(), Event()

    def claim_and_wait(*given: Any, **named: Any) -> list[int]:
        found = claim(*given, **named)
        if found and not claimed.is_set():
            claimed.set()
            assert go_on.wait(60)
        return found

    monkeypatch.setattr("instances.worker.crew.claim", claim_and_wait)
    crew = Crew(Life("worker"), room=5)
    crew.serve([group.queue])
    assert claimed.wait(60)
    with held_execution(ids[1]):
        go_on.set()
        wait_for(lambda: states_of(instances)[::2] == [State.SUCCESS] * 2)
        assert state_of(instances[1]) == State.RUNNING
    wait_for(lambda: state_of(instances[1]) == State.SUCCESS)
    assert crew.drain(60)
    assert {one.code for one in Execution.objects.all()} == {"true"}


def test_a_first_run_is_noted_though_the_task_was_held_when_it_began(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_submitted_task()
    (instance,) = live_engine.make(new_instance(task))
    began, go_on = Event(), Event()

    def run_until_told(attempt: Attempt, life: Life) -> Result:
        began.set()
        assert go_on.wait(60)
        return Result(attempt.execution_id)

    monkeypatch.setattr("instances.worker.execution._run", run_until_told)
    crew = Crew(Life("worker"), room=5)
    with held("SELECT FROM workflows_task WHERE id = %s FOR UPDATE", task.pk):
        crew.serve([instance.resource_group.queue])
        assert began.wait(60)
    go_on.set()
    wait_for(lambda: state_of(instance) == State.SUCCESS)
    assert crew.drain(60)
    task.refresh_from_db()
    assert task.first_run_at == Execution.objects.get(instance=instance).started_at


def test_rescue_closes_the_others(live_engine: Engine) -> None:
    task = make_submitted_task()
    instances = live_engine.make(*[new_instance(task, day=day) for day in range(3)])
    live_engine.start_all(instances)
    later = clock.now() + 2 * LEASE
    with held_instance(instances[1]):
        began = time.monotonic()
        assert rescue(now=later)[0] == 2
        assert time.monotonic() - began < MOMENT
    assert rescue(now=later)[0] == 1


def test_the_leases_of_the_others_are_renewed(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pulse, "_watch_once", lambda self: True)
    task = make_submitted_task()
    instances = live_engine.make(*[new_instance(task, day=day) for day in range(2)])
    first, second = live_engine.start_all(instances)
    pulse = Pulse("worker")
    pulse.watch([first, second], since=clock.now() - LEASE / 2)
    before = pulse.lease_of(first), pulse.lease_of(second)
    with held("SELECT FROM instances_execution WHERE id = %s FOR UPDATE", first):
        pulse._beat([first, second])
        assert pulse.lease_of(first) == before[0] and pulse.lease_of(second) > before[1]
        assert pulse.stop_of(first) is None
    pulse._beat([first, second])
    assert pulse.lease_of(first) > before[0]


def test_the_sweep_starts_the_others_whose_time_has_come(live_engine: Engine) -> None:
    task = make_submitted_task()
    now = clock.now()
    instances = live_engine.make(
        *[new_instance(task, day=day, not_before=now + LEASE) for day in range(2)]
    )
    with held_instance(instances[0]):
        began = time.monotonic()
        assert sweep(now=now + 2 * LEASE).clocked == 1
        assert time.monotonic() - began < MOMENT
    assert sweep(now=now + 2 * LEASE).clocked == 1
    live = Execution.objects.filter(instance__in=instances, state=ExecutionState.SENT)
    assert live.count() == 2


def above_and_below(engine: Engine, not_before: datetime) -> tuple[Instance, Instance]:
    """Make a virtual instance, and one that waits for it."""
    tasks = make_submitted_tasks({"above": {"type": "virtual"}, "below": {"depends_on": ["above"]}})
    above, below = engine.make(
        new_instance(tasks["above"], not_before=not_before),
        new_instance(tasks["below"], waits_for=[(tasks["above"], 0)]),
    )
    return above, below


def test_the_sweep_starts_the_others_though_one_below_is_held(live_engine: Engine) -> None:
    now = clock.now()
    task = make_submitted_task()
    above, below = above_and_below(live_engine, now + LEASE)
    others = live_engine.make(
        *[new_instance(task, day=day, not_before=now + LEASE) for day in range(5)]
    )
    with held_instance(below):
        began = time.monotonic()
        assert sweep(now=now + 2 * LEASE).clocked == 5
        assert time.monotonic() - began < MOMENT
        assert set(states_of(others)) == {State.WAITING_EXECUTION}
    sweep(now=now + 2 * LEASE)
    assert states_of([above, below]) == [State.SUCCESS, State.WAITING_EXECUTION]


def test_new_instances_are_set_going_though_one_below_is_held(live_engine: Engine) -> None:
    task = make_submitted_task()
    above, below = above_and_below(live_engine, clock.now() + LEASE)
    Instance.objects.filter(pk=above.pk).update(not_before=clock.now())
    (other,) = live_engine.make(new_instance(task, not_before=clock.now() + LEASE))
    Instance.objects.filter(pk=other.pk).update(not_before=clock.now())
    with held_instance(below):
        began = time.monotonic()
        set_going([above.pk, other.pk])
        assert time.monotonic() - began < MOMENT
        assert states_of([above, other]) == [State.NOT_RUN, State.WAITING_EXECUTION]
    sweep(now=clock.now())
    assert states_of([above, below]) == [State.SUCCESS, State.WAITING_EXECUTION]


@pytest.mark.parametrize("begin", [mark_paused, mark_resumed, mark_stopped])
def test_the_sweep_goes_on_with_other_batches_though_one_is_held(
    live_engine: Engine, begin: Callable[[list[int]], None]
) -> None:
    task = make_submitted_task()
    batches = [make_batch(task, name) for name in ("first", "second")]
    (first, *_), (second, *_) = [
        live_engine.make(
            *[new_instance(task, day=2 * number + day, batch=batch) for day in range(2)],
            batch=batch,
        )
        for number, batch in enumerate(batches)
    ]
    if begin is mark_resumed:
        for batch in batches:
            pause_batch(batch_id=batch.pk)
    before = state_of(second)
    begin([batch.pk for batch in batches])
    with held_instance(first):
        began = time.monotonic()
        sweep(now=clock.now())
        assert time.monotonic() - began < MOMENT
        assert state_of(first) == before != state_of(second)
    sweep(now=clock.now())
    assert state_of(first) == state_of(second)


def test_the_sweep_goes_on_with_other_days_though_one_is_held(live_engine: Engine) -> None:
    task, other = make_submitted_task(), make_submitted_task()
    batch = make_batch(task, lanes=[[0], [1]])
    first, beside, second = live_engine.make(
        new_instance(task, day=0, batch=batch),
        new_instance(other, day=0, batch=batch),
        new_instance(task, day=1, batch=batch),
        batch=batch,
    )
    # As if who made them had died before it looked.
    Instance.objects.update(state=State.NOT_RUN, awaits_day=True, ready_at=None, dispatched_at=None)
    Execution.objects.all().delete()
    with held_instance(first):
        began = time.monotonic()
        sweep(now=clock.now())
        assert time.monotonic() - began < MOMENT
        waits = dict(Instance.objects.values_list("pk", "awaits_day"))
        assert [pk for pk in waits if waits[pk]] == [first.pk]
    sweep(now=clock.now())
    assert states_of([first, beside, second]) == [State.WAITING_EXECUTION] * 3


def test_ending_stopped_batches_takes_its_turn(
    live_engine: Engine, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.engine.stopping.BATCH_SIZE", 2)
    settings.SYSTEM_JOB_SECONDS = 0
    task = make_submitted_task()
    batch = make_batch(task)
    live_engine.make(*[new_instance(task, day=day, batch=batch) for day in range(5)], batch=batch)
    mark_stopped([batch.pk])
    assert [end_stopped(now=clock.now()) for _ in range(4)] == [2, 2, 1, 0]


def test_what_is_only_in_demand_is_waited_for_alone(settings: LazySettings) -> None:
    settings.ENGINE_LOCK_SECONDS = 0.5
    asked: list[tuple[int, float]] = []

    def verb(part: list[int], *, lock_seconds: float) -> int:
        asked.append((len(part), lock_seconds))
        if 3 in part:
            error = OperationalError()
            error.__cause__ = LockNotAvailable()
            raise error
        return len(part)

    done, left = in_parts(verb, range(5), seconds=60)
    assert (sum(done), left) == (4, [3])
    assert asked[0] == (5, 0.5)
    assert {seconds for number, seconds in asked[1:] if number > 1} == {0.1}
    assert {seconds for number, seconds in asked if number == 1} == {0.5}
    asked.clear()
    done, left = in_parts(verb, range(5), seconds=0)
    assert (done, sorted(left), len(asked)) == ([], [0, 1, 2, 3, 4], 1)


def test_a_report_comes_again_later_and_later(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = Crew(Life("worker"), room=5)
    monkeypatch.setattr(crew, "_complete", lambda results: results)
    monkeypatch.setattr(crew, "_take", lambda: None)
    waits = []
    for _ in range(5):
        crew._report([Result(1)])
        waits.append(crew._held_seconds)
        assert crew._patience() <= waits[-1]
        crew._held = []
    assert waits == [1, 2, 4, 5, 5]
    monkeypatch.setattr(crew, "_complete", lambda results: [])
    crew._report([Result(1)])
    assert crew._held_seconds == 0


def test_ready_work_behind_what_is_held_gets_the_slots(live_engine: Engine) -> None:
    group = make_resource_group("narrow", slots=1)
    task = make_submitted_task(resource_group="narrow")
    ResourceGroup.objects.filter(pk=group.pk).update(slots=0)
    instances = live_engine.make(*(new_instance(task, day=day) for day in range(4)))
    ResourceGroup.objects.filter(pk=group.pk).update(slots=1)
    with held_instance(instances[0]), held_instance(instances[1]):
        for expected in instances[2:]:
            dispatch([group.pk], now=clock.now())
            live_engine.run(expected)
        dispatch([group.pk], now=clock.now())
    assert states_of(instances) == [State.WAITING_EXECUTION] * 2 + [State.SUCCESS] * 2


@pytest.mark.parametrize("table", ["edge", "task"])
def test_instances_of_others_are_made_though_a_row_of_one_is_held(
    live_engine: Engine, table: str
) -> None:
    tasks = make_submitted_tasks({"up": {}, "down": {"depends_on": ["up"]}, "other": {}})
    due = clock.now() - timedelta(days=1)
    Task.objects.update(generated_until=due, next_fire_at=due, scheduling_since=due)
    # An edge that waits for the slot which is due.
    (waiting,) = live_engine.make(new_instance(tasks["down"], waits_for=[(tasks["up"], 0)]))
    slot = next_fire(
        load_definitions([tasks["up"].version_id])[tasks["up"].version_id].schedule, due
    )
    Edge.objects.filter(instance=waiting).update(upstream_scheduled_at=slot)
    row = (
        ("SELECT FROM instances_edge WHERE instance_id = %s FOR UPDATE", waiting.pk)
        if table == "edge"
        else ("SELECT FROM workflows_task WHERE id = %s FOR UPDATE", tasks["up"].pk)
    )
    with held(*row):
        began = time.monotonic()
        generate(now=clock.now())
        assert time.monotonic() - began < MOMENT
        assert Instance.objects.filter(task=tasks["other"]).exists()
    generate(now=clock.now())
    assert Instance.objects.filter(task=tasks["up"]).exists()


def test_a_held_lock_of_generation_leaves_it_to_the_next_tick(live_engine: Engine) -> None:
    with held("SELECT pg_advisory_xact_lock(%s)", generation._GENERATION_LOCK):
        began = time.monotonic()
        assert generate(now=clock.now()) == 0
        assert time.monotonic() - began < MOMENT


def test_the_api_says_that_somebody_is_at_it() -> None:
    error = OperationalError("canceling statement due to lock timeout")
    error.__cause__ = LockNotAvailable()
    response = exception_handler(error, {})
    assert response is not None
    assert (response.status_code, response.data["code"]) == (503, "busy")
