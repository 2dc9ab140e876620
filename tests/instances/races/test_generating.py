"""Generation against itself and against changes of the tasks: no fire twice, none lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.db import connection

from instances.engine.generation import generate
from instances.engine.sweep import sweep
from instances.models import Edge, Instance
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import make_submitted_tasks
from tests.factories.definitions import mapping
from tests.support.racing import ROUNDS, Racers
from workflows.choices import TaskStatus
from workflows.definitions.version_loading import load_definitions
from workflows.models import Task
from workflows.schedules import fires_between, next_fire
from workflows.verbs.submit import submit_tasks
from workflows.verbs.task_status import pause, start, take_offline

MINUTE = timedelta(minutes=1)

Wrong = Callable[[], list[str]]


@pytest.fixture
def tasks(racers: Racers) -> list[Task]:
    """Two chains of two tasks, every minute; nothing of them is sent."""
    minutely = {"schedule": {"cycle": "minute", "every": 1}}
    made = make_submitted_tasks(
        {
            "a": minutely,
            "b": {**minutely, "depends_on": ["a"], "self_dependent": True},
            "c": {**minutely, "catch_up": "latest"},
            "d": {**minutely, "depends_on": ["a", "c"]},
        }
    )
    ResourceGroup.objects.update(slots=0)
    return list(made.values())


def behind(tasks: Sequence[Task], now: datetime, minutes: int = 3) -> None:
    """Let generation be so far behind, and nothing be made after that."""
    since = now - minutes * MINUTE
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM instances_edge; DELETE FROM instances_instance")
    for task in Task.objects.filter(pk__in=[task.pk for task in tasks]):
        assert task.version_id is not None
        schedule = load_definitions([task.version_id])[task.version_id].schedule
        Task.objects.filter(pk=task.pk).update(
            status=TaskStatus.SCHEDULING,
            scheduling_since=since,
            generated_until=since,
            next_fire_at=next_fire(schedule, since),
        )


def made(task: Task) -> list[datetime]:
    rows = Instance.objects.filter(task=task).order_by("scheduled_at")
    return list(rows.values_list("scheduled_at", flat=True))


def owed(task: Task, since: datetime, until: datetime) -> list[datetime]:
    assert task.version_id is not None
    definition = load_definitions([task.version_id])[task.version_id]
    return list(fires_between(definition.schedule, since, until))


def test_generators_at_once_make_every_fire_once(
    racers: Racers, wrong: Wrong, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.engine.generation.TASKS_AT_ONCE", 2)
    monkeypatch.setattr("instances.engine.fires.INSTANCES_AT_ONCE", 4)
    now = clock.now()
    for _ in range(ROUNDS):
        behind(tasks, now)
        racers.race(*[partial(generate, now=now)] * 4)
        fires = owed(tasks[0], now - 3 * MINUTE, now)
        assert [made(task) for task in tasks] == [fires, fires, fires[-1:], fires]
        assert not Edge.objects.filter(upstream=None, removed_at=None).exists()
        assert wrong() == []


@pytest.mark.feature("T2")
@pytest.mark.parametrize("verb", [pause, take_offline])
def test_generation_against_a_pause_makes_all_that_was_due_or_nothing(
    racers: Racers, wrong: Wrong, tasks: list[Task], verb: Callable[..., object]
) -> None:
    now = clock.now()
    task = tasks[0]
    for _ in range(ROUNDS):
        behind(tasks, now)
        ids = [one.pk for one in tasks]
        racers.race(partial(generate, now=now), partial(verb, actor=None, ids=ids))
        task.refresh_from_db()
        assert task.next_fire_at is None
        assert made(task) in ([], owed(task, now - 3 * MINUTE, now))
        before = made(task)
        assert generate(now=now + 5 * MINUTE) == 0
        assert made(task) == before
        assert wrong() == []


@pytest.mark.feature("T2")
def test_generation_against_a_start_makes_only_what_comes_after_it(
    racers: Racers, wrong: Wrong, tasks: list[Task]
) -> None:
    task = tasks[0]
    for _ in range(ROUNDS):
        behind(tasks, clock.now())
        pause(actor=None, ids=[task.pk])
        later = clock.now() + 2 * MINUTE
        before = clock.now()
        racers.race(partial(generate, now=later), partial(start, actor=None, ids=[task.pk]))
        after = clock.now()
        generate(now=later)
        # It was started at some instant between the two.
        assert made(task) in (owed(task, before, later), owed(task, after, later))
        sweep(now=later)


@pytest.mark.feature("T9", "T11")
def test_generation_against_a_new_schedule_makes_each_fire_of_either_once(
    racers: Racers, wrong: Wrong, tasks: list[Task]
) -> None:
    task = tasks[0]
    for number in range(ROUNDS):
        now = clock.now()
        behind(tasks, now)
        task.refresh_from_db()
        old, every = task.version_id, 1 + number % 2
        task.draft = mapping(schedule={"cycle": "minute", "every": 2 if every == 1 else 1})
        task.save(update_fields=["draft"])
        racers.race(partial(generate, now=now), partial(submit_tasks, actor=None, ids=[task.pk]))
        generate(now=now)
        later = now + 4 * MINUTE
        generate(now=later)
        task.refresh_from_db()
        by_version = {version: made_of(task, version) for version in (old, task.version_id)}
        before, after = by_version[old], by_version[task.version_id]
        assert sorted(before + after) == made(task)
        assert not before or not after or max(before) < min(after)
        since = max(before, default=now - 3 * MINUTE)
        # From where the old schedule ended on, all fires of the new one.
        assert after == [fire for fire in owed(task, since, later) if fire >= min(after)]
        assert min(after) <= next_after(task, now)
        assert wrong() == [], number


def made_of(task: Task, version_id: int | None) -> list[datetime]:
    rows = Instance.objects.filter(task=task, version=version_id).order_by("scheduled_at")
    return list(rows.values_list("scheduled_at", flat=True))


def next_after(task: Task, at: datetime) -> datetime:
    assert task.version_id is not None
    fire = next_fire(load_definitions([task.version_id])[task.version_id].schedule, at)
    assert fire is not None
    return fire
