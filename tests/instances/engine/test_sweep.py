"""The sweep: it finds what no wake-up reached, and normally has nothing to do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from instances import transitions
from instances.engine.sweep import sweep
from instances.models import Execution, Instance
from instances.states import State
from projects.ground import clock
from tests.factories import make_resource_group, make_submitted_task, make_submitted_tasks
from tests.support.engine import Engine, new_instance, state_of, states_of


def test_an_instance_goes_on_when_its_time_has_come(engine: Engine) -> None:
    later = clock.now() + timedelta(hours=1)
    (instance,) = engine.make(new_instance(make_submitted_task(), not_before=later))
    with engine.committing():
        assert sweep(now=later - timedelta(seconds=1)).clocked == 0
    assert state_of(instance) == State.NOT_RUN
    with engine.committing():
        assert sweep(now=later).clocked == 1
    assert state_of(instance) == State.WAITING_EXECUTION


def test_a_lost_wake_up_below_a_recent_success_is_found(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    a, b = engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    engine.start(a)
    transitions.move([a.pk], State.SUCCESS, now=clock.now())  # and its process died right here
    with engine.committing():
        assert sweep(now=clock.now()).woken == 1
    assert state_of(b) == State.WAITING_EXECUTION


def test_a_lost_wake_up_of_long_ago_is_found_by_the_window(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.engine.sweep.WINDOW", 2)
    monkeypatch.setattr("instances.engine.sweep._window_after", 0)
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    rows = [new_instance(tasks["b"], day=day, waits_for=[(tasks["a"], day)]) for day in range(5)]
    waiting = engine.make(*rows)
    (a,) = engine.make(new_instance(tasks["a"], day=4))
    engine.start(a)
    transitions.move([a.pk], State.SUCCESS, now=clock.now() - timedelta(days=1))
    with engine.committing():
        woken = [sweep(now=clock.now()).woken for _ in range(3)]
    assert woken == [0, 0, 1]
    assert states_of(waiting) == [State.WAITING_UPSTREAM] * 4 + [State.WAITING_EXECUTION]


def test_ready_instances_that_no_dispatcher_took_are_sent(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("instances.engine.settling.dispatch", lambda *args, **kwargs: 0)
        (instance,) = engine.make(new_instance(make_submitted_task()))
    assert engine.sent == []
    with engine.committing():
        assert sweep(now=clock.now()).dispatched == 1
    assert Execution.objects.get(pk=engine.sent[0]).instance == instance


def test_slots_that_were_added_are_filled(engine: Engine) -> None:
    group = make_resource_group("growing", slots=0)
    task = make_submitted_task(resource_group="growing")
    engine.make(new_instance(task))
    group.slots = 3
    group.save()
    with engine.committing():
        assert sweep(now=clock.now()).dispatched == 1


def test_after_wake_ups_that_worked_there_is_nothing_to_do(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    a, _ = engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    engine.run(a)
    with engine.committing():
        swept = sweep(now=clock.now())
    assert (swept.clocked, swept.woken, swept.dispatched) == (0, 0, 0)
    assert Instance.objects.filter(state=State.WAITING_EXECUTION).count() == 1
