"""What a submitted plan waits for is what it was when it was submitted, as are its versions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backfill.running import expanding
from backfill.running.expanding import expand_plan
from instances.models import Edge, Instance
from instances.states import State
from tests.backfill.planning.test_preview import make_periodic
from tests.backfill.running.test_expanding import edges_of
from tests.factories import make_submitted_tasks
from tests.factories.plans import make_spec, make_submitted_plan
from tests.support.engine import Engine
from workflows.models import Task
from workflows.verbs.submit import submit_tasks

pytestmark = pytest.mark.feature("T9", "B8")


def resubmit(task: Task, depends_on: list[str]) -> None:
    Task.objects.filter(pk=task.pk).update(draft={**task.draft, "depends_on": depends_on})
    submit_tasks(actor=None, ids=[task.pk])


@pytest.mark.parametrize(("before", "after"), [(["a"], []), ([], ["a"]), (["a"], ["c"])])
def test_dependencies_that_change_while_a_plan_is_made_do_not_change_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, before: list[str], after: list[str]
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 6)
    tasks = make_submitted_tasks({"a": {}, "c": {}, "b": {"depends_on": before}})
    plan = make_submitted_plan(make_spec(list(tasks.values()), "2024-05-01", "2024-05-06"))
    with engine.committing():
        assert expand_plan(plan.pk)  # two of the days
        resubmit(tasks["b"], after)
        while expand_plan(plan.pk):
            pass
    days = range(2, 8)
    assert edges_of(plan) == {("b", day, name, day, True, True) for day in days for name in before}
    below = Instance.objects.filter(batch=plan.batch, task=tasks["b"])
    assert set(below.values_list("version_id", flat=True)) == {tasks["b"].version_id}
    assert set(below.values_list("state", flat=True)) == {
        State.WAITING_UPSTREAM if before else State.WAITING_EXECUTION
    }


def test_an_upstream_outside_the_plan_is_what_it_was_in_every_chunk(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expanding, "CELLS_AT_ONCE", 1)
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    days = range(2, 5)
    # There are instances at the times of both schedules.
    for day in days:
        for hour in (0, 12):
            make_periodic(tasks["a"], datetime(2024, 5, day, hour, tzinfo=UTC))
    plan = make_submitted_plan(make_spec([tasks["b"]], "2024-05-01", "2024-05-03"))
    with engine.committing():
        assert expand_plan(plan.pk)  # one of the days
        draft = {**tasks["a"].draft, "schedule": {"cycle": "day", "at": "12:00"}}
        Task.objects.filter(pk=tasks["a"].pk).update(draft=draft)
        submit_tasks(actor=None, ids=[tasks["a"].pk])
        while expand_plan(plan.pk):
            pass
    edges = Edge.objects.filter(instance__batch=plan.batch).order_by("upstream_scheduled_at")
    assert [edge.upstream_scheduled_at for edge in edges] == [
        datetime(2024, 5, day, tzinfo=UTC) for day in days
    ]


def test_a_new_plan_has_the_new_dependencies(engine: Engine) -> None:
    tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})
    resubmit(tasks["b"], [])
    plan = make_submitted_plan(make_spec(list(tasks.values()), "2024-05-01"))
    while expand_plan(plan.pk):
        pass
    assert not Edge.objects.filter(instance__batch=plan.batch).exists()
