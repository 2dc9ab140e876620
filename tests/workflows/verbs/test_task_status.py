"""Start, pause, take offline: which tasks change, and what happens to their schedule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects.ground import clock
from projects.ground.refusals import Invalid
from projects.models import Operation
from projects.roles import Role
from projects.verbs.recording import BatchResult
from tests.factories import (
    make_member,
    make_project,
    make_submitted_task,
    make_submitted_tasks,
    make_task,
    make_workflow,
)
from workflows.choices import TaskStatus
from workflows.models import Task
from workflows.status import status_at, with_status
from workflows.verbs.task_status import pause, start, take_offline

pytestmark = [pytest.mark.django_db, pytest.mark.feature("T2")]

NOON = datetime(2030, 5, 6, 12, tzinfo=UTC)
PAST = {"cycle": "day", "at": "00:00", "effective_until": "2030-05-01"}
Verb = Callable[..., BatchResult]


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON)


@pytest.fixture
def by_status() -> dict[TaskStatus, Task]:
    """A task in each status, all in one workflow."""
    workflow = make_workflow()
    tasks = {
        TaskStatus.DRAFT: make_task("draft", workflow=workflow),
        TaskStatus.SCHEDULING: make_submitted_task("live", workflow=workflow),
        TaskStatus.PAUSED: make_submitted_task("paused", workflow=workflow),
        TaskStatus.OFFLINE: make_submitted_task("offline", workflow=workflow),
        TaskStatus.INVALID: make_submitted_task("expired", workflow=workflow, schedule=PAST),
    }
    pause(actor=None, ids=[tasks[TaskStatus.PAUSED].pk])
    take_offline(actor=None, ids=[tasks[TaskStatus.OFFLINE].pk])
    return tasks


def statuses(tasks: dict[TaskStatus, Task]) -> dict[str, str]:
    rows = with_status(Task.objects.filter(pk__in=[task.pk for task in tasks.values()]), NOON)
    return {task.name: task.effective_status for task in rows}


@pytest.mark.item("3.31")
def test_each_status_is_what_the_annotation_says(by_status: dict[TaskStatus, Task]) -> None:
    for status, task in by_status.items():
        task.refresh_from_db()
        assert status_at(task, NOON) == status
    assert statuses(by_status) == {task.name: status for status, task in by_status.items()}


def test_a_task_expires_by_the_clock_alone() -> None:
    until = {"cycle": "day", "at": "00:00", "effective_until": "2030-05-06 13:00"}
    task = make_submitted_task(schedule=until)
    end = datetime(2030, 5, 6, 13, tzinfo=UTC)
    for now, status in (
        (end, TaskStatus.SCHEDULING),
        (end + timedelta(seconds=1), TaskStatus.INVALID),
    ):
        assert status_at(task, now) == status
        assert with_status(Task.objects.all(), now).get().effective_status == status


@pytest.mark.feature("T3")
@pytest.mark.parametrize(
    ("verb", "changed", "result"),
    [
        (start, {"paused"}, TaskStatus.SCHEDULING),
        (pause, {"live"}, TaskStatus.PAUSED),
        (take_offline, {"live", "paused", "expired"}, TaskStatus.OFFLINE),
    ],
)
@pytest.mark.item("3.34")
def test_a_verb_changes_the_tasks_it_may_and_answers_for_each(
    by_status: dict[TaskStatus, Task], verb: Verb, changed: set[str], result: TaskStatus
) -> None:
    before = statuses(by_status)
    tasks = {task.pk: task.name for task in by_status.values()}

    answer = verb(actor=None, ids=tasks)

    assert {tasks[one.id]: (one.ok, one.code) for one in answer.outcomes} == {
        name: (True, "") if name in changed else (False, "wrong_state") for name in before
    }
    assert statuses(by_status) == before | dict.fromkeys(changed, result)


@pytest.mark.feature("T3")
def test_a_started_task_makes_nothing_of_its_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_submitted_task()
    pause(actor=None, ids=[task.pk])
    later = NOON + timedelta(days=10)
    monkeypatch.setattr(clock, "now", lambda: later)

    start(actor=None, ids=[task.pk])

    task.refresh_from_db()
    assert (task.generated_until, task.scheduling_since) == (later, NOON)
    assert task.next_fire_at == datetime(2030, 5, 17, tzinfo=UTC)


@pytest.mark.feature("T3")
@pytest.mark.parametrize("verb", [pause, take_offline])
def test_a_silenced_task_is_never_due(verb: Verb) -> None:
    task = make_submitted_task()
    verb(actor=None, ids=[task.pk])
    task.refresh_from_db()
    assert task.next_fire_at is None


@pytest.mark.feature("T3", "P2")
def test_what_is_hidden_or_forbidden_is_told_task_by_task() -> None:
    project, viewed = make_project(), make_project()
    operator = make_member(project, Role.OPERATOR)
    make_member(viewed, Role.VIEWER, user=operator)
    own = make_submitted_task(workflow=make_workflow(project=project))
    seen = make_submitted_task(workflow=make_workflow(project=viewed))
    hidden = make_submitted_task()

    answer = pause(actor=operator, ids=[hidden.pk, own.pk, seen.pk, 0])

    assert [(one.id, one.code) for one in answer.outcomes] == [
        (hidden.pk, "not_found"),
        (own.pk, ""),
        (seen.pk, "forbidden"),
        (0, "not_found"),
    ]
    paused = Task.objects.filter(status=TaskStatus.PAUSED)
    assert list(paused) == [own]


@pytest.mark.feature("P3")
def test_the_record_has_every_task_under_one_id() -> None:
    live, draft = make_submitted_task("live"), make_task("draft")
    answer = pause(actor=None, ids=[live.pk, draft.pk])
    operation = Operation.objects.get(pk=answer.operation_id)
    assert (operation.verb, operation.succeeded, operation.refused) == ("tasks.pause", 1, 1)
    assert list(operation.objects_of.values_list("object_id", "ok", "code")) == [
        (live.pk, True, ""),
        (draft.pk, False, "wrong_state"),
    ]


def test_no_tasks_at_all_is_refused() -> None:
    for verb in (start, pause, take_offline):
        with pytest.raises(Invalid):
            verb(actor=None, ids=[])


def test_the_number_of_queries_does_not_depend_on_the_number_of_tasks() -> None:
    counts = []
    for size in (2, 20):
        tasks = make_submitted_tasks({f"t{number}": {} for number in range(size)})
        ids = [task.pk for task in tasks.values()]
        operator = make_member(next(iter(tasks.values())).project, Role.OPERATOR)
        sizes = []
        for verb in (pause, start, take_offline):
            with CaptureQueriesContext(connection) as queries:
                verb(actor=operator, ids=ids)
            sizes.append(len(queries))
        counts.append(sizes)
    assert counts[0] == counts[1]
