"""Each hold holds an instance, is told of, and lets it go when it is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from instances.engine.dispatch import dispatch
from instances.engine.sweep import sweep
from instances.holds.listed import HOLDS
from instances.models import Batch, Instance
from instances.reading.waiting import why_waiting
from instances.states import State
from instances.verbs.freezing import freeze, unfreeze
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import make_submitted_tasks
from tests.support.engine import (
    Engine,
    make_batch,
    new_instance,
    pause_batch,
    resume_batch,
    state_of,
    terminate_batch,
)
from tests.support.invariants import violations
from workflows.models import Task

FAR = timedelta(days=1)


@dataclass
class Place:
    engine: Engine
    up: Task
    down: Task

    def made(self, *, batch: Batch | None = None, **fields: object) -> Instance:
        row = new_instance(self.down, batch=batch, **fields)  # type: ignore[arg-type]
        return self.engine.make(row, batch=batch)[0]

    def do(self, step: Callable[..., object], **arguments: object) -> None:
        with self.engine.committing():
            step(**arguments)

    def set_slots(self, number: int) -> None:
        ResourceGroup.objects.filter(pk=self.down.resource_group_id).update(slots=number)

    def let_be_due(self, instance: Instance) -> None:
        due = clock.now() - timedelta(seconds=1)
        Instance.objects.filter(pk=instance.pk).update(not_before=due)


@pytest.fixture
def place(engine: Engine) -> Place:
    tasks = make_submitted_tasks({"up": {}, "down": {"depends_on": ["up"]}})
    return Place(engine, tasks["up"], tasks["down"])


def told(instance: Instance) -> list[str]:
    fresh = Instance.objects.get(pk=instance.pk)
    return [one.reason for one in why_waiting(fresh, actor=None, now=clock.now())]


# Each makes an instance that one thing holds, and removes it when it is asked again.


def frozen(place: Place) -> Iterator[Instance]:
    (up,) = place.engine.make(new_instance(place.up))
    one = place.made(waits_for=[(place.up, 0)])
    place.do(freeze, actor=None, ids=[one.pk])
    place.engine.run(up)
    yield one
    place.do(unfreeze, actor=None, ids=[one.pk])


def stopped(place: Place) -> Iterator[Instance]:
    batch = make_batch(place.down)
    one = place.made(batch=batch, not_before=clock.now() + FAR)
    place.do(terminate_batch, batch_id=batch.pk)
    # Made while the plan was being stopped, and not ended yet: an operator takes it up again.
    Instance.objects.filter(pk=one.pk).update(
        state=State.NOT_RUN, ended_at=None, not_before=clock.now()
    )
    yield one
    Instance.objects.filter(pk=one.pk).update(waiting_since=clock.now())


def paused(place: Place) -> Iterator[Instance]:
    batch = make_batch(place.down)
    place.do(pause_batch, batch_id=batch.pk)
    yield place.made(batch=batch)
    place.do(resume_batch, batch_id=batch.pk)


def time(place: Place) -> Iterator[Instance]:
    one = place.made(not_before=clock.now() + FAR)
    yield one
    place.let_be_due(one)


def day(place: Place) -> Iterator[Instance]:
    batch = make_batch(place.down, lanes=[[0, 1]])
    first = place.made(batch=batch)
    one = place.made(batch=batch, day=1)
    place.engine.make_whole(batch)
    yield one
    place.engine.run(first)


def upstream(place: Place) -> Iterator[Instance]:
    (up,) = place.engine.make(new_instance(place.up))
    yield place.made(waits_for=[(place.up, 0)])
    place.engine.run(up)


def slot(place: Place) -> Iterator[Instance]:
    place.set_slots(0)
    yield place.made()
    place.set_slots(1)


def task_limit(place: Place) -> Iterator[Instance]:
    Task.objects.filter(pk=place.down.pk).update(max_parallel=1)
    first = place.made()
    yield place.made(day=1)
    place.engine.run(first)


def worker(place: Place) -> Iterator[Instance]:
    one = place.made()
    yield one
    assert place.engine.start(one)


LIVES = {
    life.__name__: life
    for life in (frozen, stopped, paused, time, day, upstream, slot, task_limit, worker)
}


def test_every_hold_is_tried() -> None:
    assert [hold.reason for hold in HOLDS] == list(LIVES)


@pytest.mark.feature("I12")
@pytest.mark.parametrize("reason", LIVES)
def test_a_hold_holds_until_it_is_removed(reason: str, place: Place) -> None:
    life = LIVES[reason](place)
    one = next(life)
    place.do(sweep, now=clock.now())
    assert told(one) == [reason]
    assert reason == "worker" or place.engine.start(one) is None
    assert next(life, None) is None
    place.do(sweep, now=clock.now())
    place.engine.start(one)
    assert (state_of(one), told(one)) == (State.RUNNING, [])
    assert violations() == []


@pytest.mark.feature("I12")
def test_it_goes_when_the_last_of_many_holds_is_removed(place: Place) -> None:
    Task.objects.filter(pk=place.down.pk).update(max_parallel=1)
    batch = make_batch(place.down, lanes=[[0, 1]])
    first = place.made(batch=batch)
    up, one = place.engine.make(
        new_instance(place.up, day=1, batch=batch),
        new_instance(
            place.down,
            day=1,
            batch=batch,
            waits_for=[(place.up, 1)],
            not_before=clock.now() + FAR,
        ),
        batch=batch,
    )
    place.engine.make_whole(batch)

    def after(step: Callable[[], object]) -> list[str]:
        step()
        place.do(sweep, now=clock.now())
        return told(one)

    assert after(lambda: place.do(pause_batch, batch_id=batch.pk)) == ["paused", "time", "day"]
    assert after(lambda: place.do(resume_batch, batch_id=batch.pk)) == ["time", "day"]
    assert after(lambda: place.let_be_due(one)) == ["day", "upstream"]
    assert after(lambda: place.engine.run(first)) == ["upstream"]
    assert place.engine.start(place.made(day=2))
    assert after(lambda: place.engine.run(up)) == ["task_limit"]
    assert after(lambda: place.set_slots(1)) == ["slot", "task_limit"]
    Task.objects.filter(pk=place.down.pk).update(max_parallel=None)
    assert after(lambda: None) == ["slot"]
    assert after(lambda: place.set_slots(2)) == ["worker"]
    assert place.engine.start(one)
    assert told(one) == []


def test_what_nothing_holds_gets_a_slot_within_seconds(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.engine.settling.dispatch", lambda *_, **__: 0)
    one = place.made()
    (blocker,) = why_waiting(one, actor=None, now=clock.now())
    assert (blocker.reason, blocker.text) == ("slot", "It gets a slot within seconds.")
    place.do(dispatch, group_ids=[place.down.resource_group_id], now=clock.now())
    assert told(one) == ["worker"]
