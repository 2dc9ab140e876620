"""Start, pause and take offline: what of a task's schedule is in force (T2, T3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Case, CharField, F, QuerySet, Value, When

from projects import clock
from projects.access import Actor, projects_lacking, scope
from projects.bulk import repeat_on_deadlock
from projects.operations import BatchResult, ItemOutcome, record
from projects.refusals import Invalid
from projects.roles import Right
from workflows.choices import TaskStatus
from workflows.models import Task
from workflows.schedules import next_fire
from workflows.version_loading import load_definitions

# The stored statuses that the clock can turn into INVALID.
EXPIRING = frozenset({TaskStatus.SCHEDULING, TaskStatus.PAUSED})


def effective_status(now: datetime, *, path: str = "") -> Case:
    """Return the expression for a task's status at `now`, INVALID included.

    `path` reaches the task from the queryset's model, such as "task__".
    """
    return Case(
        When(
            **{f"{path}status__in": sorted(EXPIRING), f"{path}effective_until__lt": now},
            then=Value(TaskStatus.INVALID.value),
        ),
        default=F(f"{path}status"),
        output_field=CharField(),
    )


def with_status(queryset: QuerySet[Task], now: datetime) -> QuerySet[Task]:
    """Annotate `effective_status`."""
    return queryset.annotate(effective_status=effective_status(now))


def status_at(task: Task, now: datetime) -> TaskStatus:
    """Return the status of a loaded task at `now`, INVALID included."""
    expired = task.effective_until is not None and task.effective_until < now
    return TaskStatus.INVALID if expired and task.status in EXPIRING else TaskStatus(task.status)


@repeat_on_deadlock
@transaction.atomic
def start(*, actor: Actor, task_ids: Iterable[int]) -> BatchResult:
    """Start PAUSED tasks: fires after now make instances, those of the pause never do.

    What the pause left out stays owed to whom waits for it (`scheduling_since` is not touched): it
    is for a backfill to fill.
    """

    def write(tasks: Sequence[Task], now: datetime) -> None:
        versions = {task.pk: task.version_id for task in tasks if task.version_id is not None}
        definitions = load_definitions(versions.values())
        _put_into_force(
            {pk: next_fire(definitions[version].schedule, now) for pk, version in versions.items()},
            now,
        )

    return _change("start", {TaskStatus.PAUSED}, write, actor=actor, task_ids=task_ids)


@repeat_on_deadlock
@transaction.atomic
def pause(*, actor: Actor, task_ids: Iterable[int]) -> BatchResult:
    """Pause SCHEDULING tasks: no new instances; those that exist go on."""

    def write(tasks: Sequence[Task], now: datetime) -> None:
        _silence(tasks, TaskStatus.PAUSED, now)

    return _change("pause", {TaskStatus.SCHEDULING}, write, actor=actor, task_ids=task_ids)


@repeat_on_deadlock
@transaction.atomic
def take_offline(*, actor: Actor, task_ids: Iterable[int]) -> BatchResult:
    """Take SCHEDULING, PAUSED and INVALID tasks out; only a new submission brings them back."""

    def write(tasks: Sequence[Task], now: datetime) -> None:
        _silence(tasks, TaskStatus.OFFLINE, now)

    allowed = {TaskStatus.SCHEDULING, TaskStatus.PAUSED, TaskStatus.INVALID}
    return _change("offline", allowed, write, actor=actor, task_ids=task_ids)


def _change(
    verb: str,
    allowed: set[TaskStatus],
    write: Callable[[Sequence[Task], datetime], None],
    *,
    actor: Actor,
    task_ids: Iterable[int],
) -> BatchResult:
    """Sort the tasks into those that may change and those that may not, and write the former.

    Outcome codes of the others: "not_found", "forbidden", "wrong_state".
    """
    ids = list(dict.fromkeys(task_ids))
    if not ids:
        raise Invalid.from_pairs([("ids", "Name at least one task.")])
    # In id order, like generation and submission: nobody waits for each other in a ring.
    tasks = {
        task.pk: task
        for task in scope(Task.objects.filter(pk__in=ids), actor)
        .select_related("workflow")
        .select_for_update(of=("self",), no_key=True)
        .order_by("pk")
    }
    now = clock.now()
    projects = {task.project_id for task in tasks.values()}
    lacking = projects_lacking(actor, projects, Right.OPERATE)
    outcomes: list[ItemOutcome] = []
    changing: list[Task] = []
    for pk in ids:
        task = tasks.get(pk)
        if task is None:
            outcomes.append(_refusal(pk, "not_found", "There is no such task in your projects."))
            continue
        status = status_at(task, now)
        label = f"{task.workflow.name}/{task.name}"
        if task.project_id in lacking:
            detail = f"Your role does not allow you to {Right.OPERATE.label}."
            outcomes.append(_refusal(pk, "forbidden", detail, label))
        elif status not in allowed:
            outcomes.append(_refusal(pk, "wrong_state", f"The task is {status.label}.", label))
        else:
            outcomes.append(ItemOutcome(id=pk, label=label))
            changing.append(task)
    if changing:
        write(changing, now)
    return record(
        actor=actor,
        verb=f"tasks.{verb}",
        object_type="task",
        project_id=projects.pop() if len(projects) == 1 else None,
        outcomes=outcomes,
    )


def _refusal(pk: int, code: str, detail: str, label: str = "") -> ItemOutcome:
    return ItemOutcome(id=pk, ok=False, code=code, detail=detail, label=label)


def _silence(tasks: Sequence[Task], status: TaskStatus, now: datetime) -> None:
    Task.objects.filter(pk__in=[task.pk for task in tasks]).update(
        status=status, next_fire_at=None, updated_at=now
    )


def _put_into_force(next_fires: dict[int, datetime | None], now: datetime) -> None:
    """Put the tasks into force from `now` on, each with its next fire; one statement."""
    rows = [{"id": pk, "next_fire_at": fire} for pk, fire in next_fires.items()]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE workflows_task AS task
            SET status = %(status)s, generated_until = %(now)s,
                next_fire_at = row.next_fire_at, updated_at = %(now)s
            FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (id bigint, next_fire_at timestamptz)
            WHERE task.id = row.id
            """,
            {
                "status": TaskStatus.SCHEDULING.value,
                "now": now,
                "rows": json.dumps(rows, default=datetime.isoformat),
            },
        )
