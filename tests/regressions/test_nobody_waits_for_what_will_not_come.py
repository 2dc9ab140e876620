"""A changed schedule, and a task that goes offline, leave nobody waiting for times that never come.

What was due before the change stays owed: that data is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from instances.engine.creation import NewEdge
from instances.engine.generation import generate
from instances.engine.sweep import sweep
from instances.models import Edge, Instance, RemovedBecause
from instances.reading.waiting import why_waiting
from instances.states import State
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import make_submitted_tasks
from tests.factories.definitions import mapping
from tests.instances.engine.test_generation import START, hours, scheduled_since
from tests.support.engine import Engine, new_instance, state_of
from workflows.models import Task
from workflows.verbs.submit import submit_tasks
from workflows.verbs.task_status import pause, start, take_offline

HOUR = timedelta(hours=1)
HOURLY: dict[str, Any] = {"cycle": "hour", "every": 1}
SetClock = Callable[[datetime], None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Set the clock, which stands still between two settings."""
    return lambda now: monkeypatch.setattr(clock, "now", lambda: now)


@pytest.fixture
def tasks(engine: Engine, at: SetClock) -> dict[str, Task]:
    """An hourly task, and a daily one at 00:00 whose first instance waits for its 24 hours.

    It is 10:30; the hours up to 10:00 are SUCCESS.
    """
    found = make_submitted_tasks(
        {
            "hourly": {"schedule": HOURLY},
            "daily": {"schedule": {"cycle": "day", "at": "00:00"}, "depends_on": ["hourly"]},
        }
    )
    ResourceGroup.objects.update(slots=64)
    scheduled_since(START - HOUR / 2, *found.values())
    go_on(engine, at, found, START + 10.5 * HOUR)
    return found


def go_on(engine: Engine, at: SetClock, tasks: dict[str, Task], now: datetime) -> None:
    """Let it be `now`: make what is due, and run the hours."""
    at(now)
    with engine.committing():
        generate(now=now)
    for one in Instance.objects.filter(task=tasks["hourly"], state=State.WAITING_EXECUTION):
        engine.run(one)


def resubmit(engine: Engine, task: Task, **definition: Any) -> None:
    task.refresh_from_db()
    task.draft = mapping(**definition)
    task.save(update_fields=["draft"])
    with engine.committing():
        submit_tasks(actor=None, ids=[task.pk])


def removed(task: Task) -> list[tuple[datetime, str]]:
    edges = Edge.objects.filter(instance__task=task, removed_at__isnull=False)
    return list(
        edges.order_by("upstream_scheduled_at").values_list(
            "upstream_scheduled_at", "removed_because"
        )
    )


@pytest.mark.feature("T12")
@pytest.mark.parametrize(
    ("schedule", "gone"),
    [
        ({"cycle": "hour", "every": 2}, [11, 13, 15, 17, 19, 21, 23]),
        ({"cycle": "hour", "every": 1, "until": "18:00"}, [19, 20, 21, 22, 23]),
        ({**HOURLY, "effective_until": "2026-03-01 12:00:00"}, [*range(13, 24)]),
    ],
)
def test_a_new_schedule_releases_the_fires_that_it_does_not_have(
    engine: Engine,
    at: SetClock,
    tasks: dict[str, Task],
    schedule: dict[str, Any],
    gone: list[int],
) -> None:
    day = Instance.objects.get(task=tasks["daily"])
    resubmit(engine, tasks["hourly"], schedule=schedule)
    go_on(engine, at, tasks, START + 11.5 * HOUR)
    assert removed(tasks["daily"]) == [(one, RemovedBecause.RESUBMITTED) for one in hours(*gone)]
    go_on(engine, at, tasks, START + 23.5 * HOUR)
    assert state_of(day) == State.WAITING_EXECUTION


@pytest.mark.feature("T12")
def test_who_waits_only_for_what_will_not_come_is_set_going(
    engine: Engine, at: SetClock, tasks: dict[str, Task]
) -> None:
    day = Instance.objects.get(task=tasks["daily"])
    resubmit(engine, tasks["hourly"], schedule={**HOURLY, "until": "10:00"})
    assert state_of(day) == State.WAITING_UPSTREAM
    assert "removed within seconds" in why_waiting(day, actor=None, now=clock.now())[0].text
    go_on(engine, at, tasks, START + 10.6 * HOUR)
    assert state_of(day) == State.WAITING_EXECUTION


@pytest.mark.feature("T12")
def test_fires_of_the_old_schedule_that_generation_still_owes_are_released_as_well(
    engine: Engine, at: SetClock, tasks: dict[str, Task]
) -> None:
    at(START + 14.5 * HOUR)  # generation was down since 10:30
    resubmit(engine, tasks["hourly"], schedule={"cycle": "hour", "every": 2})
    go_on(engine, at, tasks, START + 23.5 * HOUR)
    assert removed(tasks["daily"]) == [
        (one, RemovedBecause.RESUBMITTED) for one in hours(11, 13, 15, 17, 19, 21, 23)
    ]
    assert state_of(Instance.objects.get(task=tasks["daily"])) == State.WAITING_EXECUTION


@pytest.mark.feature("T12")
def test_the_same_schedule_releases_nothing(
    engine: Engine, at: SetClock, tasks: dict[str, Task]
) -> None:
    resubmit(engine, tasks["hourly"], schedule=HOURLY, description="another word")
    go_on(engine, at, tasks, START + 11.5 * HOUR)
    assert removed(tasks["daily"]) == []


@pytest.mark.feature("T3", "T12")
def test_what_is_offline_owes_only_what_was_due_before(
    engine: Engine, at: SetClock, tasks: dict[str, Task]
) -> None:
    at(START + 12.5 * HOUR)  # generation was down since 10:30: 11:00 and 12:00 were due
    take_offline(actor=None, ids=[tasks["hourly"].pk])
    go_on(engine, at, tasks, START + 13 * HOUR)
    assert removed(tasks["daily"]) == [
        (one, RemovedBecause.OFFLINE) for one in hours(*range(13, 24))
    ]
    day = Instance.objects.get(task=tasks["daily"])
    blockers = why_waiting(day, actor=None, now=clock.now())
    assert [one.scheduled_at for one in blockers] == hours(11, 12)
    assert all("submit the task again and backfill that time" in one.text for one in blockers)
    # The day after, nothing of it is owed.
    go_on(engine, at, tasks, START + 24.5 * HOUR)
    second = Instance.objects.get(task=tasks["daily"], scheduled_at=START + 24 * HOUR)
    assert (state_of(second), second.edges.count()) == (State.WAITING_EXECUTION, 0)


@pytest.mark.feature("T3", "T12")
@pytest.mark.item("3.16")
def test_a_task_that_comes_back_owes_what_comes_then(
    engine: Engine, at: SetClock, tasks: dict[str, Task]
) -> None:
    take_offline(actor=None, ids=[tasks["hourly"].pk])
    # Back at once, before anybody looked at what it did not owe meanwhile.
    at(START + 12.5 * HOUR)
    submit_tasks(actor=None, ids=[tasks["hourly"].pk])
    go_on(engine, at, tasks, START + 13.5 * HOUR)
    assert [one for one, _ in removed(tasks["daily"])] == hours(11, 12)
    go_on(engine, at, tasks, START + 24.5 * HOUR)
    first, second = Instance.objects.filter(task=tasks["daily"]).order_by("scheduled_at")
    assert state_of(first) == State.WAITING_EXECUTION
    assert second.edges.count() == 24


@pytest.mark.feature("T2", "T12")
def test_what_a_pause_left_out_stays_owed(
    engine: Engine, at: SetClock, tasks: dict[str, Task]
) -> None:
    pause(actor=None, ids=[tasks["hourly"].pk])
    at(START + 12.5 * HOUR)
    start(actor=None, ids=[tasks["hourly"].pk])
    go_on(engine, at, tasks, START + 24.5 * HOUR)
    assert removed(tasks["daily"]) == []
    day = Instance.objects.get(task=tasks["daily"], scheduled_at=START)
    assert [one.scheduled_at for one in why_waiting(day, actor=None, now=clock.now())] == hours(
        11, 12
    )
    # A schedule without these times: nobody can backfill them, and "why" says so.
    resubmit(engine, tasks["hourly"], schedule={"cycle": "hour", "every": 3})
    texts = [one.text for one in why_waiting(day, actor=None, now=clock.now())]
    assert "no such time any more: remove the dependency" in texts[0]
    assert "backfill that time, or remove" in texts[1]


@pytest.mark.feature("T12")
def test_many_edges_are_released_in_steps(
    engine: Engine, at: SetClock, tasks: dict[str, Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.engine.releasing.SLOTS_AT_ONCE", 3)
    monkeypatch.setattr("instances.engine.releasing.EDGES_AT_ONCE", 2)
    take_offline(actor=None, ids=[tasks["hourly"].pk])
    go_on(engine, at, tasks, START + 11 * HOUR)
    assert [one for one, _ in removed(tasks["daily"])] == hours(*range(11, 24))
    assert not Task.objects.filter(owing_changed_since__isnull=False).exists()


@pytest.mark.feature("T12")
def test_an_edge_that_was_made_a_moment_too_late_is_found_by_the_sweep(
    engine: Engine, at: SetClock, tasks: dict[str, Task]
) -> None:
    take_offline(actor=None, ids=[tasks["hourly"].pk])
    go_on(engine, at, tasks, START + 11 * HOUR)
    day = Instance.objects.get(task=tasks["daily"])
    assert state_of(day) == State.WAITING_EXECUTION
    # As expansion does, which has read the task before it went offline.
    (late,) = engine.make(
        new_instance(
            tasks["daily"],
            day=90,
            not_before=START,
            edges=(NewEdge(tasks["hourly"].pk, START + 20 * HOUR, within_batch=False),),
        )
    )
    assert state_of(late) == State.WAITING_UPSTREAM
    with engine.committing():
        sweep(now=clock.now())
    assert state_of(late) == State.WAITING_EXECUTION
