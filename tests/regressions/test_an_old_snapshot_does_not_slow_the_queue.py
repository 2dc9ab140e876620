"""What was done under an open transaction is not stepped over again by each dispatch and claim.

Its rows cannot go while that transaction lives. Counted are the pages that a statement reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.conf import LazySettings
from django.db import connection, transaction

from instances.engine.dispatch import dispatch
from instances.ground import seen
from instances.models import Batch, Instance
from instances.worker.execution import claim
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import make_resource_group, make_submitted_task
from tests.support.engine import Engine, make_batch, new_instance
from tests.support.invariants import violations
from workflows.models import Task

SLOTS = 100


@pytest.fixture
def old_snapshot(live_engine: Engine) -> Iterator[None]:
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM instances_instance")
    yield
    other.close()


def pages_read(step: Callable[[], object]) -> int:
    """Return how many pages of the engine's tables and indexes the step reads."""
    query = (
        "SELECT sum(pg_stat_get_xact_blocks_fetched(oid)) FROM pg_class"
        " WHERE relname LIKE 'instance%' OR relname LIKE 'execution%'"
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(query)
        before = cursor.fetchone()[0]
        step()
        cursor.execute(query)
        return int(cursor.fetchone()[0] - before)


def analyse() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # with it, what is prepared is planned anew


def go_by(engine: Engine, task: Task, first_day: int, number: int) -> None:
    """Let instances become ready, be dispatched, claimed and ended, SLOTS at a time."""
    for start in range(first_day, first_day + number, SLOTS):
        made = engine.make(*[new_instance(task, day=day) for day in range(start, start + SLOTS)])
        engine.run_all(made)


@pytest.mark.parametrize("statistics", ["never taken", "nothing ready", "all ready"])
@pytest.mark.usefixtures("old_snapshot")
def test_pages_read_do_not_grow_with_what_went_by(live_engine: Engine, statistics: str) -> None:
    """Whatever the planner takes the queue for: it knows nothing of dead entries."""
    group = make_resource_group("busy", slots=SLOTS + 1)
    task = make_submitted_task(resource_group="busy")
    long_task = make_submitted_task(resource_group="busy", workflow=task.workflow)
    (long_one,) = live_engine.make(new_instance(long_task))
    live_engine.start(long_one)  # runs on and on, and has the lowest id

    def look() -> tuple[int, int]:
        return (
            pages_read(lambda: dispatch([group.pk], now=clock.now())),
            pages_read(lambda: claim([group.queue], room=4, worker="idle")),
        )

    go_by(live_engine, task, 0, SLOTS)
    if statistics == "nothing ready":
        analyse()
    if statistics == "all ready":
        made = live_engine.make(*[new_instance(task, day=day) for day in range(SLOTS, 2 * SLOTS)])
        analyse()
        live_engine.run_all(made)
    dispatch([group.pk], now=clock.now())
    claim([group.queue], room=4, worker="idle")
    first = look()
    go_by(live_engine, task, -20 * SLOTS, 10 * SLOTS)
    assert claim([group.queue], room=4, worker="idle") == []
    last = look()
    for before, after in zip(first, last, strict=True):
        assert after <= before + 30
    assert violations() == []


@pytest.mark.usefixtures("old_snapshot")
def test_what_is_ready_in_front_of_what_was_seen_goes_first(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that is longer than what is remembered of it keeps its order."""
    monkeypatch.setattr("instances.ground.seen.MOST_KEPT", 5)
    monkeypatch.setattr("instances.ground.seen._PAGE", 3)
    group = make_resource_group("slow", slots=0)
    task = make_submitted_task(resource_group="slow")
    made = live_engine.make(*[new_instance(task, day=day) for day in range(20, 40)])
    order: list[Instance] = []

    def give(number: int) -> None:
        slots = len(order) + number
        ResourceGroup.objects.filter(pk=group.pk).update(slots=slots)
        live_engine.sent.clear()
        dispatch([group.pk], now=clock.now())
        rows = Instance.objects.in_bulk(
            Instance.objects.filter(executions__in=live_engine.sent).values_list("pk", flat=True)
        )
        order.extend(sorted(rows.values(), key=lambda one: one.scheduled_at))
        assert violations() == []

    give(2)
    early = live_engine.make(*[new_instance(task, day=day) for day in range(8)])
    give(9)
    assert order == [*made[:2], *early, made[2]]
    give(20)
    assert order == [*made[:2], *early, *made[2:]]


def test_of_paused_work_in_front_a_bounded_part_is_remembered(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "MOST_KEPT", 5)
    monkeypatch.setattr(seen, "_PAGE", 3)
    group = make_resource_group("quiet", slots=0)
    task = make_submitted_task(resource_group="quiet")
    batch = make_batch(task)
    live_engine.make(
        *[new_instance(task, day=day, batch=batch, priority=8) for day in range(40)], batch=batch
    )
    made = live_engine.make(*[new_instance(task, day=day, priority=1) for day in range(4)])
    Batch.objects.filter(pk=batch.pk).update(paused_at=clock.now())
    with transaction.atomic():
        ready, _ = seen.first_ready(group.pk, most=3)
    assert [one.id for one in ready[:3]] == [one.pk for one in made[:3]]
    assert len(seen._memory().ready[group.pk].ids) == 5
    with transaction.atomic():
        assert [one.id for one in seen.first_ready(group.pk, most=4)[0]] == [one.pk for one in made]


@pytest.mark.usefixtures("live_engine")
def test_nothing_is_remembered_behind_a_pooler(settings: LazySettings) -> None:
    settings.DATABASE_POOLER = True
    group = make_resource_group("pooled", slots=1)
    with transaction.atomic():
        seen.live_executions(group.pk)
        seen.first_ready(group.pk, most=1)
    settings.DATABASE_POOLER = False
    kept = seen._memory()
    assert group.pk not in kept.live
    assert group.pk not in kept.ready
