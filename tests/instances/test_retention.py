"""Retention: what goes, what stays, and what is left of who stays."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from instances.engine.generation import generate
from instances.models import Edge, Execution, Instance, LogChunk
from instances.reading.waiting import why_waiting
from instances.retention.instances import Deleted, count_expired, delete_expired
from instances.states import State
from instances.verbs.rerun import rerun
from projects.ground import clock
from projects.models import Project
from tests.factories import make_submitted_task, make_submitted_tasks
from tests.factories.plans import make_expanded_plan, make_spec
from tests.support.engine import Engine, make_batch, new_instance, state_of
from workflows.models import Task

pytestmark = [pytest.mark.django_db, pytest.mark.feature("R1", "R4")]

LONG_AGO = timedelta(days=400)


@pytest.fixture
def tasks() -> dict[str, Task]:
    return make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})


def end_earlier(ago: timedelta, *instances: Instance) -> None:
    """Let finished instances have ended that long ago."""
    Instance.objects.filter(pk__in=[one.pk for one in instances]).update(ended_at=clock.now() - ago)


def go() -> Deleted:
    return delete_expired(clock.now(), rest=0, wait=lambda seconds: None)


def left() -> set[int]:
    return set(Instance.objects.values_list("pk", flat=True))


def test_an_expired_instance_goes_with_its_edges_executions_and_logs(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    up, down = engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    engine.run(up)
    engine.run(down)
    LogChunk.objects.create(execution=up.executions.get(), sequence=0, content=b"x", size=1)
    end_earlier(LONG_AGO, up, down)
    deleted = go()
    assert (deleted.instances, deleted.edges) == (2, 1)
    assert (deleted.executions, deleted.log_chunks) == (2, 1)
    for model in (Instance, Edge, Execution, LogChunk):
        assert not model.objects.exists()


def test_periodic_and_plan_instances_have_retentions_of_their_own(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    project = tasks["a"].project
    project.periodic_retention_days, project.backfill_retention_days = 90, 30
    project.save()
    batch = make_batch(tasks["a"])
    periodic, older = engine.make(new_instance(tasks["a"]), new_instance(tasks["a"], day=1))
    of_plan, young = engine.make(
        new_instance(tasks["a"], batch=batch),
        new_instance(tasks["a"], day=1, batch=batch),
        batch=batch,
    )
    for one in (periodic, older, of_plan, young):
        engine.run(one)
    end_earlier(timedelta(days=31), periodic, of_plan)
    end_earlier(timedelta(days=91), older)
    end_earlier(timedelta(days=29), young)
    assert count_expired(clock.now()) == {project.name: 2}
    go()
    assert left() == {periodic.pk, young.pk}


def test_what_is_expired_is_found_among_much_that_is_not(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.retention.instances._LOOKED_AT_ONCE", 1)
    short, long = make_submitted_task(), make_submitted_task()
    Project.objects.filter(pk=short.project_id).update(periodic_retention_days=30)
    Project.objects.filter(pk=long.project_id).update(periodic_retention_days=3000)
    made = engine.make(*[new_instance(task, day=day) for day in range(4) for task in (long, short)])
    for number, one in enumerate(made):
        engine.run(one, "EXIT_CODE" if number < 4 else "")
    Instance.objects.exclude(state=State.SUCCESS).update(state=State.FAILED, ended_at=clock.now())
    end_earlier(LONG_AGO, *made)
    assert count_expired(clock.now()) == {short.project.name: 4}
    assert go().instances == 4
    assert left() == {one.pk for one in made if one.task_id == long.pk}


@pytest.mark.item("R4.2")
def test_what_is_unfinished_never_goes(engine: Engine, tasks: dict[str, Task]) -> None:
    running, waiting = engine.make(new_instance(tasks["a"]), new_instance(tasks["a"], day=1))
    engine.start(running)
    Instance.objects.update(waiting_since=clock.now() - LONG_AGO)
    assert go() == Deleted()
    assert left() == {running.pk, waiting.pk}


def test_what_somebody_unfinished_waits_for_stays(engine: Engine, tasks: dict[str, Task]) -> None:
    up, down = engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    engine.run(up)
    assert state_of(down) == State.WAITING_EXECUTION
    end_earlier(LONG_AGO, up)
    go()
    assert left() == {up.pk, down.pk}
    engine.run(down)
    go()
    assert left() == {down.pk}


def test_who_is_run_again_does_not_wait_for_a_success_that_has_gone(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    up, down = engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    engine.run(up)
    engine.run(down)
    end_earlier(LONG_AGO, up)
    go()
    assert left() == {down.pk}
    with engine.committing():
        rerun(actor=None, ids=[down.pk])
    assert state_of(down) == State.WAITING_EXECUTION


def test_who_is_run_again_waits_for_the_slot_of_a_failure_that_has_gone(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    up, down = engine.make(
        new_instance(tasks["a"]), new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    )
    engine.run(up, "EXIT_CODE")
    Instance.objects.filter(pk=down.pk).update(state=State.FAILED, ended_at=clock.now())
    Instance.objects.filter(pk=up.pk).update(state=State.FAILED, ended_at=clock.now() - LONG_AGO)
    go()
    edge = Edge.objects.get(instance=down)
    assert (edge.upstream, edge.removed_at) == (None, None)
    with engine.committing():
        rerun(actor=None, ids=[down.pk])
    Task.objects.update(generated_until=clock.now())
    down = Instance.objects.select_related("batch").get(pk=down.pk)
    assert down.state == State.WAITING_UPSTREAM
    (blocker,) = why_waiting(down, actor=None, now=clock.now())
    assert blocker.reason == "missing"
    assert "deleted when it expired: backfill that time, or remove the dep" in blocker.text
    # As it says: a plan that fills the slot lets it go on.
    batch = make_batch(tasks["a"])
    (filling,) = engine.make(new_instance(tasks["a"], batch=batch), batch=batch)
    engine.run(filling)
    assert state_of(down) == State.WAITING_EXECUTION


def test_who_is_run_again_in_a_plan_is_told_to_remove_what_cannot_come_again(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    batch = make_batch(tasks["a"])
    up, down = engine.make(
        new_instance(tasks["a"], batch=batch),
        new_instance(tasks["b"], batch=batch, waits_for=[(tasks["a"], 0)]),
        batch=batch,
    )
    engine.run(up, "EXIT_CODE")
    Instance.objects.update(state=State.FAILED, ended_at=clock.now(), not_before=up.scheduled_at)
    end_earlier(LONG_AGO, up)
    go()
    assert left() == {down.pk}
    with engine.committing():
        rerun(actor=None, ids=[down.pk])
    down.refresh_from_db()
    (blocker,) = why_waiting(down, actor=None, now=clock.now())
    assert blocker.text.endswith("it was deleted when it expired: then remove the dependency.")


def test_what_is_made_later_does_not_wait_for_what_has_gone(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    """Generation and plans alike: a slot older than instances are kept may have been filled."""
    now = clock.now().replace(hour=12, minute=0, second=0, microsecond=0)
    kept = timedelta(days=tasks["a"].project.periodic_retention_days)
    old, young = (midnight(now - kept + timedelta(days=days)) for days in (-2, 2))
    begun = old - timedelta(days=3)
    Task.objects.update(scheduling_since=begun, generated_until=now)
    behind = Task.objects.filter(pk=tasks["b"].pk)
    behind.update(generated_until=old - timedelta(hours=1), next_fire_at=old)
    with engine.committing():
        generate(now=now)
    edges = Edge.objects.filter(instance__task=tasks["b"])
    waited_for = set(edges.values_list("upstream_scheduled_at", flat=True))
    assert old not in waited_for
    assert young in waited_for
    assert min(waited_for) >= now - kept
    plan = make_expanded_plan(
        make_spec(
            [tasks["b"]],
            f"{old:%Y-%m-%d}",
            f"{young:%Y-%m-%d}",
            range_by="planned_time",
            dependency_check="all",
        )
    )
    of_plan = Edge.objects.filter(instance__batch=plan.batch)
    assert set(of_plan.values_list("upstream_scheduled_at", flat=True)) == {
        at for at in waited_for if at <= young
    }


def midnight(at: datetime) -> datetime:
    return at.replace(hour=0)


def test_it_rests_between_batches_as_long_as_it_is_told(
    engine: Engine, tasks: dict[str, Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.retention.instances.FIRST_BATCH", 1)
    made = engine.make(*[new_instance(tasks["a"], day=day) for day in range(3)])
    for one in made:
        engine.run(one)
    end_earlier(LONG_AGO, *made)
    rests: list[float] = []
    shown: list[Deleted] = []
    deleted = delete_expired(clock.now(), rest=2, wait=rests.append, show=shown.append)
    assert shown[0].instances == 1
    assert shown[-1] == deleted
    assert left() == set()
    assert len(rests) == len(shown)
    assert max(rests) == pytest.approx(2 * deleted.longest_batch)


@pytest.mark.item("R4.1")
def test_the_command_counts_first_and_deletes_when_told(
    engine: Engine, tasks: dict[str, Task]
) -> None:
    (old,) = engine.make(new_instance(tasks["a"]))
    engine.run(old)
    end_earlier(LONG_AGO, old)
    output = StringIO()
    call_command("cleanup_instances", "--dry-run", stdout=output)
    assert "1 instances would be looked at." in output.getvalue()
    assert left() == {old.pk}
    call_command("cleanup_instances", "--rest", "0", stdout=output)
    assert "Deleted 1 instances, 0 edges, 1 executions" in output.getvalue()
    assert left() == set()
