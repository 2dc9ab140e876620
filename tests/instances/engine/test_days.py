"""Batches that run day by day: which day is open, and what opens the next one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from instances import transitions
from instances.engine import days
from instances.engine.creation import create_instances
from instances.engine.readiness import misplaced
from instances.engine.settling import go_on_with_days, set_going
from instances.engine.sweep import sweep
from instances.models import Batch, BatchDay, Instance
from instances.reading.waiting import why_waiting
from instances.retention.instances import delete_expired
from instances.states import State
from instances.verbs.freezing import freeze
from instances.verbs.mark_success import mark_success
from instances.verbs.rerun import rerun
from instances.verbs.terminate import terminate
from projects.ground import clock
from tests.factories import make_submitted_task, make_submitted_tasks
from tests.support.engine import (
    Engine,
    day_of,
    in_days,
    make_batch,
    new_instance,
    state_of,
    states_of,
    terminate_batch,
)
from tests.support.invariants import violations
from workflows.models import Task

pytestmark = pytest.mark.feature("B10")


@pytest.fixture
def task(db: None) -> Task:
    return make_submitted_task(retries={"limit": 0})


def open_days(batch: Batch) -> list[int]:
    """The open days of a batch, by their number."""
    rows = BatchDay.objects.filter(batch=batch, opened_at__isnull=False).order_by("day")
    return [day.day.day - 1 for day in rows]


def make(engine: Engine, task: Task, batch: Batch, *numbers: int) -> list[Instance]:
    """One instance for each number, and all days made whole."""
    made = engine.make(*[new_instance(task, day=n, batch=batch) for n in numbers], batch=batch)
    engine.make_whole(batch)
    return made


def test_a_day_starts_after_every_instance_of_the_day_before_succeeded(
    engine: Engine, task: Task
) -> None:
    other = make_submitted_task()
    batch = make_batch(task, lanes=[[0, 1, 2]])
    rows = [new_instance(one, day=n, batch=batch) for n in range(3) for one in (task, other)]
    a0, b0, a1, b1, a2, b2 = engine.make(*rows, batch=batch)
    engine.make_whole(batch)
    assert states_of([a0, b0]) == [State.WAITING_EXECUTION] * 2
    assert states_of([a1, b1, a2, b2]) == [State.NOT_RUN] * 4
    assert len(engine.sent) == 2
    engine.run(a0)
    assert open_days(batch) == [0]
    engine.run(b0)
    assert states_of([a1, b1]) == [State.WAITING_EXECUTION] * 2
    assert len(engine.sent) == 4
    assert states_of([a2, b2]) == [State.NOT_RUN] * 2
    assert violations() == []


def test_a_failure_blocks_the_later_days_until_it_is_put_right(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    first, second = make(engine, task, batch, 0, 1)
    engine.run(first, "EXIT_NONZERO")
    with engine.committing():
        sweep(now=clock.now())
    assert states_of([first, second]) == [State.FAILED, State.NOT_RUN]
    with engine.committing():
        rerun(actor=None, ids=[first.pk])
    engine.run(first)
    assert state_of(second) == State.WAITING_EXECUTION


def test_marked_success_counts_as_success(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    first, second = make(engine, task, batch, 0, 1)
    engine.run(first, "EXIT_NONZERO")
    with engine.committing():
        mark_success(actor=None, ids=[first.pk])
    assert state_of(second) == State.WAITING_EXECUTION


def test_lanes_run_side_by_side(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1], [2, 3]])
    made = make(engine, task, batch, 0, 1, 2, 3)
    assert open_days(batch) == [0, 2]
    engine.run(made[2])
    assert open_days(batch) == [0, 2, 3]
    assert state_of(made[1]) == State.NOT_RUN


def test_an_open_day_stays_open_when_an_earlier_one_is_run_again(
    engine: Engine, task: Task
) -> None:
    batch = make_batch(task, lanes=[[0, 1, 2]])
    first, second, third = make(engine, task, batch, 0, 1, 2)
    engine.run(first)
    with engine.committing():
        rerun(actor=None, ids=[first.pk])
    assert states_of([first, second]) == [State.WAITING_EXECUTION] * 2
    engine.run(second)
    assert state_of(third) == State.WAITING_EXECUTION
    assert violations() == []


def test_within_a_day_dependencies_hold(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    batch = make_batch(tasks["a"], lanes=[[0, 1]])
    rows = [
        new_instance(tasks["a"], day=0, batch=batch),
        new_instance(tasks["a"], day=1, batch=batch),
        new_instance(tasks["b"], day=1, batch=batch, waits_for=[(tasks["a"], 1)]),
    ]
    first, a, b = engine.make(*rows, batch=batch)
    engine.make_whole(batch)
    assert states_of([a, b]) == [State.NOT_RUN] * 2
    engine.run(first)
    assert states_of([a, b]) == [State.WAITING_EXECUTION, State.WAITING_UPSTREAM]


def test_days_without_instances_open_the_next_one_at_once(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[range(9)])
    first, later = make(engine, task, batch, 2, 6)
    assert open_days(batch) == [0, 1, 2]
    engine.run(first)
    assert open_days(batch) == list(range(7))
    engine.run(later)
    assert open_days(batch) == list(range(9))
    assert not BatchDay.objects.filter(done_at=None).exists()


def test_days_of_inline_instances_alone_pass_by_themselves(engine: Engine) -> None:
    task = make_submitted_task(type="virtual")
    batch = make_batch(task, lanes=[range(30)])
    made = make(engine, task, batch, *range(30))
    assert set(states_of(made)) == {State.SUCCESS}
    assert open_days(batch) == list(range(30))
    assert violations() == []


def test_a_day_that_is_not_made_whole_is_never_done(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    row = new_instance(task, day=0, batch=batch)
    (first,) = engine.make(row, batch=batch)
    engine.run(first)
    assert open_days(batch) == [0]
    engine.make_whole(batch, 0)
    assert open_days(batch) == [0, 1]


def test_what_is_made_in_an_open_day_starts_at_once(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    engine.make_whole(batch, 0)
    (second,) = engine.make(new_instance(task, day=1, batch=batch), batch=batch)
    assert state_of(second) == State.WAITING_EXECUTION
    assert not Instance.objects.get(pk=second.pk).awaits_day


def test_the_clock_counts_in_an_open_day_too(engine: Engine, task: Task) -> None:
    later = clock.now() + timedelta(hours=1)
    batch = make_batch(task, lanes=[[0, 1]])
    first, second = engine.make(
        new_instance(task, day=0, batch=batch),
        new_instance(task, day=1, batch=batch, not_before=later),
        batch=batch,
    )
    engine.make_whole(batch)
    with engine.committing():
        assert sweep(now=later).clocked == 0  # its day is closed
    engine.run(first)
    assert (state_of(second), len(engine.sent)) == (State.NOT_RUN, 1)
    with engine.committing():
        assert sweep(now=later).clocked == 1
    assert state_of(second) == State.WAITING_EXECUTION


def test_a_frozen_instance_holds_the_later_days(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    first, second = make(engine, task, batch, 0, 1)
    engine.run(first, "EXIT_NONZERO")
    with engine.committing():
        freeze(actor=None, ids=[first.pk])
        sweep(now=clock.now())
    assert state_of(second) == State.NOT_RUN


def test_a_plan_that_was_stopped_starts_no_later_day(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1, 2]])
    made = make(engine, task, batch, 0, 1, 2)
    engine.run(made[0])
    with engine.committing():
        terminate_batch(batch_id=batch.pk)
        sweep(now=clock.now())
    assert states_of(made) == [State.SUCCESS, State.FAILED, State.FAILED]
    assert open_days(batch) == [0, 1]
    assert violations() == []


def test_what_is_run_again_after_a_stop_goes_on_day_by_day(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1, 2]])
    made = make(engine, task, batch, 0, 1, 2)
    with engine.committing():
        terminate_batch(batch_id=batch.pk)
        rerun(actor=None, ids=[one.pk for one in made])
    assert states_of(made) == [State.WAITING_EXECUTION, State.NOT_RUN, State.NOT_RUN]
    engine.run(made[0])
    engine.run(made[1])
    assert states_of(made) == [State.SUCCESS, State.SUCCESS, State.WAITING_EXECUTION]
    assert violations() == []


def test_a_terminated_instance_blocks_the_later_days(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    first, second = make(engine, task, batch, 0, 1)
    with engine.committing():
        terminate(actor=None, ids=[first.pk])
        sweep(now=clock.now())
    assert states_of([first, second]) == [State.FAILED, State.NOT_RUN]


def test_the_sweep_opens_a_day_when_nobody_looked(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    first, second = make(engine, task, batch, 0, 1)
    engine.start(first)
    transitions.move([first.pk], State.SUCCESS, now=clock.now() - timedelta(days=1))
    with engine.committing():
        assert sweep(now=clock.now()).dispatched == 1
    assert state_of(second) == State.WAITING_EXECUTION


def test_the_sweep_lets_go_on_what_an_opening_that_broke_off_left(
    engine: Engine, task: Task
) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    first, second = make(engine, task, batch, 0, 1)
    engine.start(first)
    transitions.move([first.pk], State.SUCCESS, now=clock.now() - timedelta(days=1))
    assert days.open_next(day_of(batch, 0).pk, now=clock.now()) == [day_of(batch, 1).pk]
    assert state_of(second) == State.NOT_RUN
    with engine.committing():
        sweep(now=clock.now())
    assert state_of(second) == State.WAITING_EXECUTION


def test_the_sweeps_window_over_the_days_goes_round(
    engine: Engine, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.engine.sweep.WINDOW", 2)
    monkeypatch.setattr("instances.engine.sweep._days_after", 0)
    batch = make_batch(task, lanes=[[n, n + 5] for n in range(5)])
    made = make(engine, task, batch, 4, 9)
    BatchDay.objects.filter(batch=batch, done_at__isnull=False).update(done_at=None)
    engine.start(made[0])
    transitions.move([made[0].pk], State.SUCCESS, now=clock.now() - timedelta(days=1))
    for _ in range(6):
        with engine.committing():
            sweep(now=clock.now())
    assert state_of(made[1]) == State.WAITING_EXECUTION


def test_a_large_day_is_let_go_on_in_chunks(
    engine: Engine, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.engine.days.RELEASED_AT_ONCE", 2)
    batch = make_batch(task, lanes=[[0, 1]])
    rows = [new_instance(make_submitted_task(), day=1, batch=batch) for _ in range(5)]
    first, *later = engine.make(new_instance(task, day=0, batch=batch), *rows, batch=batch)
    engine.make_whole(batch)
    engine.run(first)
    assert set(states_of(later)) == {State.WAITING_EXECUTION}


def test_instances_without_a_day_pay_no_statement(
    engine: Engine, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    monkeypatch.setattr(days, "look_at", lambda ids: looks.append(ids) or days.Look([], []))
    (periodic,) = engine.make(new_instance(task))
    batch = make_batch(task)
    (by_dependency,) = engine.make(new_instance(task, day=1, batch=batch), batch=batch)
    engine.run(periodic)
    engine.run(by_dependency)
    assert looks == []
    dated = make_batch(task, "dated", lanes=[[2]])
    (daily,) = engine.make(new_instance(task, day=2, batch=dated), batch=dated)
    looks.clear()
    engine.run(daily)
    assert looks == [{day_of(dated, 2).pk}]


def test_a_day_is_opened_once(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    day = day_of(batch, 0).pk
    assert days.open_next(day, now=clock.now()) == []  # not made whole
    days.mark_made([day], now=clock.now())
    assert days.open_next(day, now=clock.now()) == [day_of(batch, 1).pk]
    assert days.open_next(day, now=clock.now()) == []
    assert days.look_at([day]) == days.Look([], [])


def test_an_instance_of_a_closed_day_is_not_misplaced(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    made = make(engine, task, batch, 0, 1)
    assert misplaced([one.pk for one in made], now=clock.now()) == []


def test_why_an_instance_waits_for_its_day(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1, 2]])
    first, _, third = make(engine, task, batch, 0, 1, 2)
    engine.run(first, "EXIT_NONZERO")
    third.refresh_from_db()
    (blocker,) = why_waiting(third, actor=None, now=clock.now())
    assert blocker.reason == "day"
    assert blocker.text == (
        "Its day has not opened. Its group is at what is planned on 2026-01-01:"
        " 1 of its instances is not success, 1 failed; 1 more day comes between."
    )


def test_why_an_instance_waits_for_a_day_that_is_being_made(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    (second,) = engine.make(new_instance(task, day=1, batch=batch), batch=batch)
    (blocker,) = why_waiting(second, actor=None, now=clock.now())
    assert "its instances are still being made" in blocker.text


@pytest.mark.feature("R1")
def test_a_failure_that_holds_later_days_is_kept(engine: Engine, task: Task) -> None:
    batch = make_batch(task, lanes=[[0, 1]])
    first, second = make(engine, task, batch, 0, 1)
    engine.run(first, "EXIT_NONZERO")
    late = clock.now() + timedelta(days=400)
    assert delete_expired(late, rest=0).instances == 0
    with engine.committing():
        terminate_batch(batch_id=batch.pk)
    assert delete_expired(late, rest=0).instances == 2
    assert not Instance.objects.filter(pk__in=[first.pk, second.pk]).exists()


def test_a_day_that_opens_while_instances_of_it_are_made_lets_them_go_on(
    engine: Engine, task: Task
) -> None:
    """Expansion saw the day closed; by its commit it is open."""
    batch = make_batch(task, lanes=[[0, 1]])
    rows = in_days([new_instance(task, day=1, batch=batch)], batch)
    assert rows[0].awaits_day
    engine.make_whole(batch, 0)
    with engine.committing():
        with transaction.atomic():
            (pk,) = create_instances(rows, now=clock.now(), batch_id=batch.pk)
        set_going([])
        go_on_with_days([day_of(batch, 1).pk])
    assert state_of(Instance.objects.get(pk=pk)) == State.WAITING_EXECUTION
