"""Pausing and resuming go in steps; who is killed is followed by the sweep, at full speed.

And what a pause holds, or has long ended, costs nothing at each tick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from instances.engine import batches as pausing
from instances.engine.batches import (
    hold_all_paused,
    mark_paused,
    mark_resumed,
)
from instances.engine.sweep import _CLOCKED, sweep
from instances.models import Batch, Instance
from instances.states import State
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import make_submitted_task
from tests.regressions.test_no_statistics_make_a_statement_slow import reading
from tests.support.engine import (
    DAY,
    Engine,
    make_batch,
    new_instance,
    pause_batch,
    resume_batch,
    states_of,
)
from tests.support.invariants import violations

COUNT = 20

pytestmark = pytest.mark.feature("B25")


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausing, "BATCH_SIZE", 3)
    # The window of the sweep finds nothing: what follows is not its doing.
    monkeypatch.setattr("instances.engine.sweep._next_window", list)


@pytest.fixture
def nudged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    listed: list[str] = []
    monkeypatch.setattr(pausing, "nudge_sweep", lambda: listed.append("sweep"))
    return listed


@pytest.fixture
def batch(engine: Engine) -> Batch:
    """A batch of instances that are ready, and have no slot to wait for."""
    ResourceGroup.objects.update(slots=0)
    task = make_submitted_task()
    made = make_batch(task)
    rows = [new_instance(task, day=day, batch=made, not_before=DAY) for day in range(COUNT)]
    engine.make(*rows, batch=made)
    return made


def number(batch: Batch, state: State) -> int:
    return states_of(Instance.objects.filter(batch=batch)).count(state)


def swept(engine: Engine) -> None:
    with engine.committing():
        sweep(now=clock.now())


class Killed(Exception):
    """Stands for the end of the process."""


def kill_after(chunks: int, step: Callable[..., int]) -> Callable[..., int]:
    left = chunks

    def dying(batch_id: int, **named: Any) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return step(batch_id, **named)

    return dying


def test_a_pause_that_was_killed_before_its_first_step_is_finished(
    engine: Engine, batch: Batch
) -> None:
    mark_paused([batch.pk])
    swept(engine)
    assert number(batch, State.WAITING_EXECUTION) == 0
    assert violations() == []


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_pause_that_was_killed_is_finished_by_one_sweep(
    engine: Engine, batch: Batch, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Killed), engine.committing():
        patch.setattr(pausing, "_hold_chunk", kill_after(chunks, pausing._hold_chunk))
        pause_batch(batch_id=batch.pk)
    assert number(batch, State.WAITING_EXECUTION) == COUNT - 3 * chunks
    swept(engine)
    assert number(batch, State.WAITING_EXECUTION) == 0
    assert hold_all_paused() == 0


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_resume_that_was_killed_is_finished_by_one_sweep(
    engine: Engine, batch: Batch, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    with engine.committing():
        pause_batch(batch_id=batch.pk)
    with monkeypatch.context() as patch, pytest.raises(Killed), engine.committing():
        patch.setattr(pausing, "_go_on_chunk", kill_after(chunks, pausing._go_on_chunk))
        resume_batch(batch_id=batch.pk)
    assert number(batch, State.WAITING_EXECUTION) == 3 * chunks
    swept(engine)
    assert number(batch, State.WAITING_EXECUTION) == COUNT
    assert Batch.objects.get(pk=batch.pk).resumed_until is None
    assert violations() == []


def test_who_pauses_and_resumes_is_answered_before_all_of_it_is_done(
    engine: Engine, batch: Batch, nudged: list[str], settings: LazySettings
) -> None:
    settings.GO_ON_SECONDS = 0
    with engine.committing():
        pause_batch(batch_id=batch.pk)
    assert (number(batch, State.WAITING_EXECUTION), nudged) == (COUNT - 3, ["sweep"])
    while nudged:
        nudged.clear()
        swept(engine)
    assert number(batch, State.WAITING_EXECUTION) == 0
    with engine.committing():
        resume_batch(batch_id=batch.pk)
    assert (number(batch, State.WAITING_EXECUTION), nudged) == (3, ["sweep"])
    while nudged:
        nudged.clear()
        swept(engine)
    assert number(batch, State.WAITING_EXECUTION) == COUNT
    assert violations() == []


def test_a_pause_ends_a_resume_that_is_under_way(engine: Engine, batch: Batch) -> None:
    mark_paused([batch.pk])
    mark_resumed([batch.pk])
    with engine.committing():
        pause_batch(batch_id=batch.pk)
    swept(engine)
    assert number(batch, State.WAITING_UPSTREAM) == COUNT
    with engine.committing():
        resume_batch(batch_id=batch.pk)
    assert number(batch, State.WAITING_EXECUTION) == COUNT


def test_the_sweep_does_not_read_what_a_pause_holds(engine: Engine, batch: Batch) -> None:
    """Nor what has begun to wait before its batch was stopped; what else is due it finds."""
    task = Instance.objects.filter(batch=batch).select_related("task")[0].task
    other, stopped = make_batch(task, "other"), make_batch(task, "stopped")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE instances_instance SET state = 'NOT_RUN', ready_at = NULL")
    mark_paused([batch.pk])
    Batch.objects.filter(pk=stopped.pk).update(stopped_at=clock.now())
    (due,) = engine.make(new_instance(task, batch=other, not_before=DAY), batch=other)
    (periodic,) = engine.make(new_instance(task, not_before=DAY))
    ids = [due.pk, periodic.pk]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE instances_instance SET state = 'NOT_RUN', ready_at = NULL WHERE id = ANY(%s)",
            [ids],
        )
        cursor.execute("SET LOCAL enable_seqscan = off")  # the table is small: an index would do
        with reading() as read:
            cursor.execute(_CLOCKED, {"now": clock.now(), "most": 100})
            assert sorted(row[0] for row in cursor.fetchall()) == sorted(ids)
    assert sum(read.values()) < COUNT
    swept(engine)
    assert states_of([due, periodic]) == [State.WAITING_EXECUTION] * 2
    assert number(batch, State.NOT_RUN) == COUNT
