"""Counting what ended: every execution once, whenever it ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from config.models import TallyPosition, Total
from config.watching import tallies
from config.watching.tallies import BUCKETS, LAG, bucket_of, tally
from instances.models import Execution
from projects.ground import clock
from tests.factories import make_submitted_task
from tests.support.engine import Engine, new_instance

LATER = LAG + timedelta(seconds=1)


def look(*, after: timedelta = LATER) -> int:
    return tally(now=clock.now() + after)


def totals(name: str) -> dict[tuple[str, str], float]:
    found = Total.objects.filter(name=name)
    return {(total.resource_group, total.key): total.value for total in found}


@pytest.fixture
def begun(engine: Engine) -> Engine:
    tally(now=clock.now() - LATER)
    return engine


def test_history_before_the_first_look_is_not_counted(engine: Engine) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    engine.run(instance)
    assert [look(), look()] == [0, 0]
    assert totals("executions_ended") == {}


def test_each_execution_is_counted_once_by_its_group_and_end(begun: Engine) -> None:
    task = make_submitted_task(retries={"limit": 0})
    group = task.resource_group.name
    good, bad = begun.make(new_instance(task), new_instance(task, day=1))
    begun.run(good)
    begun.run(bad, "EXIT_NONZERO")
    assert [look(), look()] == [2, 0]
    assert totals("executions_ended") == {(group, "SUCCESS"): 1, (group, "FAILED"): 1}
    assert totals("instances_succeeded") == {("", ""): 1}


def test_failures_are_counted_by_their_code(begun: Engine) -> None:
    task = make_submitted_task(retries={"limit": 0})
    group = task.resource_group.name
    made = begun.make(*[new_instance(task, day=day) for day in range(4)])
    codes = ["EXIT_NONZERO", "EXIT_NONZERO", "INTERNAL_ERROR", "a word of the task's own"]
    for instance, code in zip(made, codes, strict=True):
        begun.run(instance, code)
    look()
    assert totals("executions_failed") == {
        (group, "EXIT_NONZERO"): 2,
        (group, "INTERNAL_ERROR"): 1,
        (group, "OTHER"): 1,
    }


def test_an_execution_that_runs_is_counted_when_it_has_ended(begun: Engine) -> None:
    task = make_submitted_task()
    slow, quick = begun.make(new_instance(task), new_instance(task, day=1))
    execution = begun.start(slow)
    assert execution is not None
    begun.run(quick)
    assert look() == 1
    assert TallyPosition.objects.get().open_ids == [execution]
    begun.finish(execution)
    assert [look(), look()] == [1, 0]
    assert totals("executions_ended") == {(task.resource_group.name, "SUCCESS"): 2}


def test_an_execution_open_at_the_first_look_is_counted_too(engine: Engine) -> None:
    (instance,) = engine.make(new_instance(make_submitted_task()))
    execution = engine.start(instance)
    assert execution is not None
    look()
    engine.finish(execution)
    assert look() == 1


def test_what_is_young_waits_as_rows_before_it_may_not_be_committed(begun: Engine) -> None:
    (instance,) = begun.make(new_instance(make_submitted_task()))
    begun.run(instance)
    assert look(after=LAG - timedelta(seconds=5)) == 0
    assert look() == 1


def test_nothing_beyond_the_first_young_one_is_passed_over(begun: Engine) -> None:
    task = make_submitted_task()
    first, second = begun.make(new_instance(task), new_instance(task, day=1))
    begun.run(first)
    begun.run(second)
    late, _ = Execution.objects.order_by("id").values_list("pk", flat=True)
    # The dispatcher with the lower id began later: its row is young, the other is not.
    Execution.objects.filter(pk=late).update(dispatched_at=clock.now() + timedelta(seconds=10))
    assert look() == 0
    assert look(after=LATER + timedelta(seconds=10)) == 2


def test_more_than_a_batch_is_counted_in_one_look(
    begun: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "BATCH_SIZE", 2)
    task = make_submitted_task()
    for instance in begun.make(*(new_instance(task, day=day) for day in range(5))):
        begun.run(instance)
    assert [look(), look()] == [5, 0]


def test_more_than_a_batch_may_be_open(begun: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "BATCH_SIZE", 2)
    task = make_submitted_task()
    open_ids = [
        begun.start(instance)
        for instance in begun.make(*(new_instance(task, day=day) for day in range(5)))
    ]
    assert [look(), look()] == [0, 0]
    for execution_id in open_ids:
        assert execution_id is not None
        begun.finish(execution_id)
    assert [look(), look()] == [5, 0]


def test_waiting_for_a_start_is_counted_by_how_long_it_took(begun: Engine) -> None:
    (instance,) = begun.make(new_instance(make_submitted_task()))
    begun.run(instance)
    execution = Execution.objects.get()
    Execution.objects.update(ready_at=execution.started_at - timedelta(seconds=2))
    look()
    group = execution.resource_group.name
    assert totals("dispatch_latency_bucket") == {(group, str(BUCKETS.index(2.5))): 1}
    assert totals("dispatch_latency_seconds") == {(group, ""): 2}


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0, 0), (BUCKETS[0], 0), (BUCKETS[0] + 0.001, 1), (BUCKETS[-1] + 1, len(BUCKETS))],
)
def test_a_bucket_holds_its_upper_bound(seconds: float, bucket: int) -> None:
    assert bucket_of(seconds) == bucket
