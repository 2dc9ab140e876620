"""Verbs on many objects: accepted at once, done in chunks, followed, cancelled, one record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from backfill.states import PlanState
from backfill.verbs.control import terminate_plans
from backfill.verbs.noun import PLANS
from instances.models import Instance
from instances.states import State
from projects.ground import clock
from projects.ground.refusals import Conflict, Forbidden, Invalid
from projects.models import Operation, OperationObject
from projects.roles import Role
from projects.verbs import background
from projects.verbs.background import accepted, cancel, operate, work, work_in_turn
from projects.verbs.recording import BatchResult, seen_objects, seen_operations
from tests.distributed.workers import database_url
from tests.factories import (
    make_member,
    make_project,
    make_submitted_task,
    make_submitted_tasks,
    make_task,
    make_user,
    make_workflow,
)
from tests.factories.plans import make_expanded_plan, make_spec
from tests.support.engine import Engine
from workflows.choices import TaskStatus
from workflows.models import Task
from workflows.verbs import task_status
from workflows.verbs.noun import TASKS, WORKFLOWS
from workflows.verbs.submit import submit_tasks
from workflows.verbs.task_status import pause

pytestmark = [pytest.mark.django_db, pytest.mark.feature("I10", "1.18", "2.55")]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two objects are many."""
    monkeypatch.setattr(background, "AT_ONCE", 2)


def make_tasks(number: int, project: Any = None) -> list[Task]:
    workflow = make_workflow(project=project or make_project())
    return list(
        make_submitted_tasks({f"t{at}": {} for at in range(number)}, workflow=workflow).values()
    )


def ids_of(tasks: Iterable[Task]) -> list[int]:
    return [task.pk for task in tasks]


def finish(result: BatchResult) -> Operation:
    """Do all chunks of an operation; return it."""
    while work(result.operation_id):
        pass
    return Operation.objects.get(pk=result.operation_id)


def outcomes(operation: Operation) -> dict[int, tuple[bool | None, str]]:
    rows = OperationObject.objects.filter(operation=operation)
    return {row.object_id: (row.ok, row.code) for row in rows}


def paused(tasks: Iterable[Task]) -> int:
    return Task.objects.filter(pk__in=ids_of(tasks), status=TaskStatus.PAUSED).count()


@pytest.mark.parametrize("by_filter", [False, True])
def test_many_are_accepted_at_once_and_done_in_chunks(by_filter: bool) -> None:
    tasks = make_tasks(5)
    pause(actor=None, ids=[tasks[3].pk])
    user = make_member(tasks[0].project, Role.OPERATOR)
    rows: Any = Task.objects.filter(workflow=tasks[0].workflow_id)
    chosen = rows if by_filter else ids_of(tasks)

    result = operate(pause, TASKS, actor=user, chosen=chosen)

    operation = Operation.objects.get(pk=result.operation_id)
    assert (result.pending, operation.total, operation.ended_at) == (5, 5, None)
    assert (operation.project, operation.verb) == (tasks[0].project, "tasks.pause")
    assert set(outcomes(operation).values()) == {(None, "")}
    assert paused(tasks) == 1, "nothing has been done yet"

    assert work(operation.pk) is True
    operation.refresh_from_db()
    assert (operation.succeeded, operation.refused, paused(tasks)) == (2, 0, 3)
    left = operation.time_left(clock.now())
    assert left is not None and left.total_seconds() > 0

    operation = finish(result)
    assert (operation.succeeded, operation.refused) == (4, 1)
    assert operation.ended_at is not None and operation.time_left(clock.now()) is None
    assert outcomes(operation) == {
        task.pk: (True, "") if task is not tasks[3] else (False, "wrong_state") for task in tasks
    }
    labels = OperationObject.objects.filter(operation=operation).values_list("label", flat=True)
    assert all("/" in label for label in labels)
    assert work(operation.pk) is False


def test_few_are_done_at_once_and_answered_one_by_one() -> None:
    tasks = make_tasks(2)
    result = operate(pause, TASKS, actor=None, chosen=ids_of(tasks))
    assert (result.pending, len(result.succeeded)) == (0, 2)
    operation = Operation.objects.get(pk=result.operation_id)
    assert (operation.total, operation.ended_at is None) == (2, False)
    with pytest.raises(Invalid) as refusal:
        operate(pause, TASKS, actor=None, chosen=Task.objects.filter(pk=0))
    assert refusal.value.code == "empty"


def test_accepting_costs_as_many_queries_for_many_as_for_few() -> None:
    user = make_member(make_project(), Role.OPERATOR)
    counts = []
    for number in (3, 12):
        tasks = make_tasks(number, make_project())
        make_member(tasks[0].project, Role.OPERATOR, user=user)
        rows = Task.objects.filter(workflow=tasks[0].workflow_id)
        with CaptureQueriesContext(connection) as captured:
            operate(pause, TASKS, actor=user, chosen=rows)
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_a_worker_is_told_after_the_commit(django_capture_on_commit_callbacks: Any) -> None:
    told: list[object] = []

    def hear(**_: object) -> None:
        told.append(None)

    accepted.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            operate(pause, TASKS, actor=None, chosen=ids_of(make_tasks(3)))
            assert told == []
        assert told == [None]
    finally:
        accepted.disconnect(hear)


def test_several_operations_have_their_turns() -> None:
    first, second = make_tasks(6), make_tasks(3)
    long = operate(pause, TASKS, actor=None, chosen=ids_of(first))
    short = operate(pause, TASKS, actor=None, chosen=ids_of(second))
    ends = []
    while work_in_turn(seconds=0.0):  # one chunk
        rows = Operation.objects.filter(verb="tasks.pause", ended_at__isnull=False)
        ends += [pk for pk in rows.values_list("pk", flat=True) if pk not in ends]
    assert ends[0] == short.operation_id, "the small one did not wait for the large one"
    assert Operation.objects.get(pk=long.operation_id).succeeded == 6


@pytest.mark.feature("P3")
def test_an_operation_is_cancelled_by_who_may_and_says_what_was_left() -> None:
    tasks = make_tasks(5)
    project = tasks[0].project
    beginner, colleague = make_member(project, Role.OPERATOR), make_member(project, Role.OPERATOR)
    result = operate(pause, TASKS, actor=beginner, chosen=ids_of(tasks))
    work(result.operation_id)
    for stranger in (make_member(project, Role.VIEWER), make_user()):
        with pytest.raises(Forbidden):
            cancel(actor=stranger, operation_id=result.operation_id)

    cancel(actor=colleague, operation_id=result.operation_id)
    operation = finish(result)

    assert (operation.cancelled_by, operation.succeeded, operation.refused) == (colleague, 2, 3)
    assert sorted(code for _, code in outcomes(operation).values()) == ["", "", *["cancelled"] * 3]
    assert paused(tasks) == 2
    with pytest.raises(Conflict):
        cancel(actor=beginner, operation_id=result.operation_id)


def test_who_may_nowhere_gives_the_workers_nothing_to_do() -> None:
    tasks = make_tasks(3)
    with pytest.raises(Forbidden):
        viewer = make_member(tasks[0].project, Role.VIEWER)
        operate(pause, TASKS, actor=viewer, chosen=ids_of(tasks))
    assert not Operation.objects.filter(verb="tasks.pause").exists()


def test_rights_are_looked_at_when_the_turn_comes() -> None:
    tasks = make_tasks(4)
    user = make_member(tasks[0].project, Role.OPERATOR)
    result = operate(pause, TASKS, actor=user, chosen=ids_of(tasks))
    work(result.operation_id)
    user.memberships.update(role=Role.VIEWER)
    operation = finish(result)
    assert (operation.succeeded, operation.refused) == (2, 2)
    assert set(outcomes(operation).values()) == {(True, ""), (False, "forbidden")}


def break_when(monkeypatch: pytest.MonkeyPatch, breaks: Callable[[list[int]], bool]) -> None:
    """Let pausing fail, after it was done, for tasks for which `breaks`."""
    silence = task_status._silence

    def silence_and_break(ids: Iterable[int], *args: Any, **columns: Any) -> None:
        listed = list(ids)
        silence(listed, *args, **columns)
        if breaks(listed):
            raise RuntimeError("broken")

    monkeypatch.setattr(task_status, "_silence", silence_and_break)


def test_what_breaks_off_in_the_middle_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = make_tasks(4)
    result = operate(pause, TASKS, actor=None, chosen=ids_of(tasks))
    tries = iter([True])
    break_when(monkeypatch, lambda _: next(tries, False))

    assert work(result.operation_id) is True
    operation = Operation.objects.get(pk=result.operation_id)
    assert (operation.succeeded, operation.failures, paused(tasks)) == (0, 1, 0)

    operation = finish(result)
    assert (operation.succeeded, operation.refused, paused(tasks)) == (4, 0, 4)


def test_one_object_that_always_fails_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = make_tasks(5)
    result = operate(pause, TASKS, actor=None, chosen=ids_of(tasks))
    bad = tasks[2].pk
    break_when(monkeypatch, lambda ids: bad in ids)
    operation = finish(result)
    assert (operation.succeeded, operation.refused, paused(tasks)) == (4, 1, 4)
    assert outcomes(operation)[bad] == (False, "failed")


@pytest.mark.feature("P2", "P3", "P3.2")
def test_one_action_over_several_projects_is_one_record_of_which_each_sees_their_part() -> None:
    here, there, hidden = make_tasks(3), make_tasks(1), make_tasks(1)
    user = make_member(here[0].project, Role.OPERATOR)
    make_member(there[0].project, Role.VIEWER, user=user)
    neighbour = make_member(there[0].project, Role.VIEWER)
    outsider = make_member(hidden[0].project, Role.ADMINISTRATOR)
    everything = ids_of([*here, *there, *hidden])

    operation = finish(operate(pause, TASKS, actor=user, chosen=everything))

    assert operation.project is None
    assert (operation.succeeded, operation.refused) == (3, 2)
    assert outcomes(operation)[hidden[0].pk] == (False, "not_found")
    assert set(operation.parts.values_list("project", "total", "succeeded", "refused")) == {
        (here[0].project_id, 3, 3, 0),
        (there[0].project_id, 1, 0, 1),
    }
    (whole,) = seen_operations(user).filter(verb="tasks.pause")
    assert (whole.seen_total, whole.seen_succeeded, whole.seen_refused) == (5, 3, 2)
    assert seen_objects(user, whole).count() == 5
    (part,) = seen_operations(neighbour).filter(verb="tasks.pause")
    assert (part.seen_total, part.seen_succeeded, part.seen_refused) == (1, 0, 1)
    assert [row.object_id for row in seen_objects(neighbour, part)] == ids_of(there)
    assert not seen_operations(outsider).filter(verb="tasks.pause").exists()


def test_what_cannot_be_cut_is_one_step_and_its_refusal_is_everybodys() -> None:
    workflow = make_workflow()
    tasks = [make_task(f"d{at}", workflow=workflow) for at in range(3)]
    whole = operate(submit_tasks, WORKFLOWS, actor=None, chosen=[workflow.pk], comment="all")
    assert work(whole.operation_id) is False
    operation = Operation.objects.get(pk=whole.operation_id)
    assert (operation.succeeded, operation.options) == (3, {"comment": "all"})
    assert set(outcomes(operation).values()) == {(True, "submitted")}
    for task in tasks:
        task.refresh_from_db()
        assert task.version is not None and task.version.comment == "all"

    Task.objects.filter(pk=tasks[0].pk).update(draft={**tasks[0].draft, "depends_on": ["gone"]})
    refused = finish(operate(submit_tasks, WORKFLOWS, actor=None, chosen=[workflow.pk]))
    assert (refused.succeeded, refused.refused) == (0, 3)
    row = OperationObject.objects.filter(operation=refused).first()
    assert row is not None and "gone" in row.detail


@pytest.mark.feature("B23")
def test_plans_are_terminated_in_the_background_too(engine: Engine) -> None:
    plans = [make_expanded_plan(make_spec([make_submitted_task()])) for _ in range(3)]
    result = operate(terminate_plans, PLANS, actor=None, chosen=ids_of(plans))  # type: ignore[arg-type]
    assert finish(result).succeeded == 3
    for plan in plans:
        plan.refresh_from_db()
        assert plan.state == PlanState.TERMINATED
        assert set(Instance.objects.filter(batch=plan.batch).values_list("state", flat=True)) == {
            State.FAILED
        }


_CHILD = """
import sys, time, django
django.setup()
from projects.verbs import background
from workflows.verbs import task_status
background.AT_ONCE = 2
silence, chunks = task_status._silence, iter([False, True])
def stay(*args, **columns):
    silence(*args, **columns)
    if next(chunks):
        print("in the middle", flush=True)
        time.sleep(600)
task_status._silence = stay
while background.work(int(sys.argv[1])):
    pass
"""


@pytest.mark.django_db(transaction=True)
def test_it_goes_on_after_a_kill() -> None:
    tasks = make_tasks(5)
    result = operate(pause, TASKS, actor=None, chosen=ids_of(tasks))
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "DATABASE_URL": database_url(),
    }
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(result.operation_id)],
        cwd=Path(__file__).parents[3],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "in the middle\n"
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=60)
    operation = Operation.objects.get(pk=result.operation_id)
    assert (operation.succeeded, paused(tasks)) == (2, 2), "the second chunk left nothing"
    while operation.ended_at is None:  # its session ends as soon as the server notices
        work(operation.pk)
        operation.refresh_from_db()
    assert (operation.succeeded, operation.refused, paused(tasks)) == (5, 0, 5)


@pytest.mark.django_db(transaction=True)
def test_somebody_elses_chunk_is_not_waited_for() -> None:
    tasks = make_tasks(3)
    result = operate(pause, TASKS, actor=None, chosen=ids_of(tasks))
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [background._LOCK])
        assert work(result.operation_id) is None
        assert work_in_turn(seconds=60) is False
        assert paused(tasks) == 0
        # Here and now: the server notices a closed connection a moment later.
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [background._LOCK])
    finally:
        other.close()
    assert finish(result).succeeded == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("halved", [0, 1])
def test_what_somebody_holds_stops_no_other(settings: Any, halved: int) -> None:
    settings.ENGINE_LOCK_SECONDS = 0.05
    held, free = make_tasks(5), make_tasks(3)
    first = operate(pause, TASKS, actor=None, chosen=ids_of(held))
    Operation.objects.filter(pk=first.operation_id).update(failures=halved)
    second = operate(pause, TASKS, actor=None, chosen=ids_of(free))
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM workflows_task WHERE id = %s FOR UPDATE", [held[0].pk])
        assert work_in_turn(seconds=60) is False
        assert (paused(held), paused(free)) == (4, 3)
        assert Operation.objects.get(pk=second.operation_id).ended_at is not None
        with other.cursor() as cursor:
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    operation = finish(first)
    assert (operation.succeeded, operation.refused, paused(held)) == (5, 0, 5)


def test_nothing_is_accepted_when_the_transaction_is_undone() -> None:
    tasks = make_tasks(3)
    with transaction.atomic():
        operate(pause, TASKS, actor=None, chosen=ids_of(tasks))
        transaction.set_rollback(True)
    assert not Operation.objects.filter(verb="tasks.pause").exists()
