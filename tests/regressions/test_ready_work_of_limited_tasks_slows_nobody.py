"""However much of a task with a limit is ready, dispatch reads what it hands out, and not more."""

from __future__ import annotations

from django.db import connection, transaction

from instances.engine.dispatch import dispatch
from instances.models import Execution, Instance
from instances.states import LIVE
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import make_resource_group, make_submitted_task
from tests.support.engine import Engine, new_instance
from tests.support.invariants import violations
from workflows.models import Task


def rows_read(group: ResourceGroup) -> int:
    """Dispatch once; return how many instances that read."""
    query = (
        "SELECT pg_stat_get_xact_tuples_fetched(oid) + pg_stat_get_xact_tuples_returned(oid)"
        " FROM pg_class WHERE relname = 'instances_instance'"
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(query)
        before = cursor.fetchone()[0]
        assert dispatch([group.pk], now=clock.now()) == 0
        cursor.execute(query)
        return int(cursor.fetchone()[0] - before)


def live_of(task: Task) -> int:
    return Execution.objects.filter(task=task, state__in=LIVE).count()


def set_limit(task: Task, limit: int | None) -> None:
    """What a submission does to the task, and to nothing else."""
    Task.objects.filter(pk=task.pk).update(max_parallel=limit)


def test_the_rows_read_do_not_grow_with_what_is_ready(live_engine: Engine) -> None:
    group = make_resource_group("wide", slots=10)
    task = make_submitted_task(resource_group="wide", max_parallel=1)
    live_engine.make(*[new_instance(task, day=day) for day in range(10)])
    few = rows_read(group)
    live_engine.make(*[new_instance(task, day=day) for day in range(10, 1_000)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE instances_instance")
    assert rows_read(group) <= few + 5
    assert live_of(task) == 1


def test_a_limit_that_comes_while_work_is_ready_holds_at_once(engine: Engine) -> None:
    group = make_resource_group("wide", slots=0)
    task = make_submitted_task(resource_group="wide")
    other = make_submitted_task(resource_group="wide", workflow=task.workflow)
    engine.make(*[new_instance(task, day=day) for day in range(8)], new_instance(other, day=9))
    set_limit(task, 2)
    ResourceGroup.objects.filter(pk=group.pk).update(slots=20)
    with engine.committing():
        assert dispatch([group.pk], now=clock.now()) == 3
    assert (live_of(task), live_of(other)) == (2, 1)
    # Those that wait were put where the next look does not meet them.
    waiting = Instance.objects.filter(task=task, dispatched_at=None)
    assert list(waiting.values_list("limited", flat=True)) == [True] * 6
    assert violations() == []


def test_a_limit_that_goes_while_work_is_ready_sets_all_of_it_free(engine: Engine) -> None:
    group = make_resource_group("wide", slots=20)
    task = make_submitted_task(resource_group="wide", max_parallel=2)
    made = engine.make(*[new_instance(task, day=day) for day in range(8)])
    assert live_of(task) == 2
    set_limit(task, None)
    with engine.committing():
        assert dispatch([group.pk], now=clock.now()) == 6
    assert live_of(task) == len(made)
    assert violations() == []
