"""Catching up after an outage takes short steps, and neither workers nor people wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection

from instances.engine import fires, generation
from instances.engine.creation import NewInstance
from instances.engine.dispatch import dispatch
from instances.engine.generation import generate, generate_for
from instances.models import Instance
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import make_submitted_task, make_submitted_tasks
from tests.instances.engine.test_generation import START, hours, planned, scheduled_since
from tests.support.engine import Engine, new_instance
from tests.support.racing import Racers
from workflows.models import Task
from workflows.verbs.task_status import pause

HOURLY = {"schedule": {"cycle": "hour", "every": 1}}


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[NewInstance]]:
    """The rows that generation has made in each of its parts."""
    made: list[Sequence[NewInstance]] = []
    create = generation.create_instances

    def listen(rows: Sequence[NewInstance], **options: Any) -> list[int]:
        made.append(rows)
        return create(rows, **options)

    monkeypatch.setattr(generation, "create_instances", listen)
    return made


@pytest.fixture
def while_making(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], list[Any]]:
    """Have something done, once, by another connection while a part is being made."""

    def arrange(act: Callable[[], Any]) -> list[Any]:
        answers: list[Any] = []
        create = generation.create_instances

        def listen(rows: Sequence[NewInstance], **options: Any) -> list[int]:
            ids = create(rows, **options)
            if not answers:
                with ThreadPoolExecutor(1) as pool:
                    answers.append(pool.submit(_and_close, act).result(60))
            return ids

        monkeypatch.setattr(generation, "create_instances", listen)
        return answers

    return arrange


def _and_close(act: Callable[[], Any]) -> Any:
    try:
        return act()
    finally:
        connection.close()


@pytest.mark.feature("T11")
@pytest.mark.parametrize(("instances", "edges"), [(12, 1_000), (1_000, 10)])
def test_no_part_has_more_instances_or_edges_than_its_bounds(
    engine: Engine,
    parts: list[Sequence[NewInstance]],
    monkeypatch: pytest.MonkeyPatch,
    instances: int,
    edges: int,
) -> None:
    monkeypatch.setattr(fires, "INSTANCES_AT_ONCE", instances)
    monkeypatch.setattr(fires, "EDGES_AT_ONCE", edges)
    tasks = make_submitted_tasks(
        {
            "up": HOURLY,
            "side": HOURLY,
            "down": {**HOURLY, "depends_on": ["up", "side"], "self_dependent": True},
        }
    )
    scheduled_since(START, *tasks.values())
    with engine.committing():
        assert generate(now=START + timedelta(hours=30)) == 90
    assert all(planned(task) == hours(*range(1, 31)) for task in tasks.values())
    assert max(len(rows) for rows in parts) <= instances
    # Each of a part's fires has its chain besides.
    assert max(sum(len(row.edges) for row in rows) for rows in parts) <= edges * 3 // 2
    down = Instance.objects.get(task=tasks["down"], scheduled_at=START + timedelta(hours=30))
    assert down.edges.filter(upstream__isnull=False).count() == 3


def test_a_run_ends_in_time_and_says_that_more_is_due(
    engine: Engine, parts: list[Sequence[NewInstance]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fires, "INSTANCES_AT_ONCE", 5)
    task = make_submitted_task(**HOURLY)
    scheduled_since(START, task)
    now = START + timedelta(hours=20)
    with engine.committing():
        assert generate_for(now=now, seconds=0) == (5, True)
        assert generate_for(now=now) == (15, False)
    assert planned(task) == hours(*range(1, 21))


def test_a_group_does_not_wait_for_the_row_of_a_task(live_engine: Engine, racers: Racers) -> None:
    task = make_submitted_task(max_parallel=2)
    ResourceGroup.objects.update(slots=0)
    live_engine.make(new_instance(task))
    ResourceGroup.objects.update(slots=8)
    group = ResourceGroup.objects.get()

    def hold() -> None:
        list(Task.objects.select_for_update(no_key=True).filter(pk=task.pk))

    assert racers.beside(hold, lambda: dispatch([group.pk], now=clock.now())) == 1


def test_the_rows_of_tasks_are_free_while_their_instances_are_made(
    live_engine: Engine, while_making: Callable[[Callable[[], Any]], list[Any]]
) -> None:
    task = make_submitted_task(**HOURLY)
    scheduled_since(START, task)

    def note_a_first_run() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 100")
        return Task.objects.filter(pk=task.pk, first_run_at=None).update(first_run_at=START)

    answers = while_making(note_a_first_run)
    assert generate(now=START + timedelta(hours=3)) == 3
    assert answers == [1]


def test_a_task_that_is_paused_meanwhile_gets_nothing_and_the_others_all(
    live_engine: Engine, while_making: Callable[[Callable[[], Any]], list[Any]]
) -> None:
    stays, goes = make_submitted_task(**HOURLY), make_submitted_task(**HOURLY)
    scheduled_since(START, stays, goes)
    while_making(partial(pause, actor=None, ids=[goes.pk]))
    assert generate(now=START + timedelta(hours=3)) == 3
    assert planned(stays) == hours(1, 2, 3)
    assert planned(goes) == []


def test_a_second_generator_does_not_wait_for_the_first(
    live_engine: Engine, racers: Racers
) -> None:
    task = make_submitted_task(**HOURLY)
    scheduled_since(START, task)
    run = partial(generate, now=START + timedelta(hours=3))
    assert racers.beside(run, run) == 0
    assert planned(task) == hours(1, 2, 3)


def test_catching_up_with_the_latest_makes_no_fire_only_to_drop_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_submitted_task(schedule={"cycle": "minute", "every": 1}, catch_up="latest")
    scheduled_since(START, task)
    monkeypatch.setattr(fires, "fires_between", None)  # whoever calls it fails
    now = START + timedelta(days=90)
    with engine.committing():
        assert generate(now=now) == 1
    assert planned(task) == [now]


def test_an_upstream_that_is_deleted_meanwhile_costs_one_repetition(
    live_engine: Engine, while_making: Callable[[Callable[[], Any]], list[Any]]
) -> None:
    tasks = make_submitted_tasks({"a": HOURLY, "b": {**HOURLY, "depends_on": ["a"]}})
    scheduled_since(START, tasks["a"])
    assert generate(now=START + timedelta(hours=1)) == 1
    scheduled_since(START, tasks["b"])
    answers = while_making(Instance.objects.filter(task=tasks["a"]).delete)
    assert generate(now=START + timedelta(hours=1)) == 1
    assert answers
    down = Instance.objects.get(task=tasks["b"])
    assert [edge.upstream_id for edge in down.edges.all()] == [None]
