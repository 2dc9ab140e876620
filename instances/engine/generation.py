"""Generation: periodic instances of the tasks that are due (T11, T12).

A task's row holds its watermark, which moves in the transaction that makes the instances and only
from where it was read, so generation is idempotent and goes on where it stopped: after an outage
every missed fire is made, or only the latest, as the task says. The work depends on what is due,
not on how many tasks there are.

What is due is made in parts: short transactions of bounded size, each of which takes all tasks
that are due a bit further. A part holds no task's row until the moment before its commit, so that
neither workers nor people wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction

from instances.engine.creation import create_instances, waiting_for_each_other, with_removals
from instances.engine.fires import TaskPlan, Upstreams, existing_slots, plan_part
from instances.engine.releasing import release_next
from instances.engine.settling import set_going
from projects.ground import clock
from projects.ground.bulk import is_held, limit_lock_waits, repeat_on_deadlock
from projects.ground.sql import column
from workflows.choices import TaskStatus
from workflows.models import Task
from workflows.schedules import next_fire

# Tasks looked at in a part.
TASKS_AT_ONCE = 500
# Any number that no other advisory lock of Tidemill uses.
_GENERATION_LOCK = 7_021_002

logger = structlog.get_logger(__name__)


def generate(*, now: datetime) -> int:
    """Make every instance that is due by `now`; return how many were made. See `generate_for`."""
    return generate_for(now=now)[0]


def generate_for(*, now: datetime, seconds: float = float("inf")) -> tuple[int, bool]:
    """Make instances that are due by `now`, and begin no part after so many seconds.

    Returns how many were made, and whether more is due. Safe to run at any time, anywhere, any
    number at once: one works, the others return. Tasks that somebody else holds, as a submission
    does, are left to the next run; so are those that cannot be read, which say so on their pages.
    """
    end = time.monotonic() + seconds
    made = 0
    left: set[int] = set()  # tasks that this run leaves to the next one
    most = TASKS_AT_ONCE
    while True:
        try:
            part = _make_part(now=now, without=left, most=most, is_first=not made and not left)
        except _Overtaken as overtaken:  # nothing of the part was made: once more, without them
            left |= overtaken.task_ids
            continue
        except OperationalError as error:
            if not is_held(error):
                raise
            # Somebody holds a row that one of them needs: it is found by smaller and smaller parts.
            if most == 1:
                left |= {task.pk for task in _due_tasks(now=now, without=left, most=1)}
            if time.monotonic() > end:
                return made, True
            most = max(most // 8, 1)
            continue
        if part is None:  # somebody else is at it
            return made, False
        set_going(part.to_look_at)
        _note_left_out(part.errors)
        made += part.made
        left |= part.errors.keys()
        if not part.more or time.monotonic() > end:
            break
    while (released := _release()) is not None:
        set_going(released)
        if time.monotonic() > end:
            return made, True
    return made, part.more


@dataclass(frozen=True, slots=True)
class _Part:
    """What one transaction did.

    to_look_at: the instances made that may be able to go on. errors: {task: why it was left out}.
    """

    made: int
    to_look_at: list[int]
    errors: dict[int, str]
    more: bool


class _Overtaken(Exception):
    """Tasks were changed, or are being changed, while their instances were made."""

    def __init__(self, task_ids: set[int]) -> None:
        self.task_ids = task_ids
        super().__init__(f"tasks {sorted(task_ids)}")


@repeat_on_deadlock
@transaction.atomic
def _make_part(
    *, now: datetime, without: Collection[int], most: int, is_first: bool
) -> _Part | None:
    """Make the next instances that are due; None when somebody else is at it.

    Raises _Overtaken for tasks that are not as they were read any more.
    """
    if not _alone():
        return None
    limit_lock_waits(settings.ENGINE_LOCK_SECONDS)
    due = _due_tasks(now=now, without=without, most=most, is_first=is_first)
    if not due:
        return _Part(0, [], {}, more=False)
    upstream = Upstreams.of(due, now=now)
    plans, errors, more = plan_part(due, upstream, now=now)
    slots = {(plan.task.pk, fire): found for plan in plans for fire, found in plan.fires.items()}
    existing = existing_slots({slot for found in slots.values() for slot in found})
    made_before = existing_slots(slots, periodic_only=True)
    upstream.chain(plans, existing)
    rows = with_removals(
        [
            plan.new_instance(
                fire,
                [slot for slot in found if slot in existing or upstream.will_come(slot)],
            )
            for plan in plans
            for fire, found in plan.fires.items()
            if (plan.task.pk, fire) not in made_before
        ]
    )
    ids = create_instances(rows, now=clock.now(), batch_id=None)
    _move_on(plans)
    blocked = waiting_for_each_other(rows, batch_id=None)
    to_look_at = [pk for pk, waits in zip(ids, blocked, strict=True) if not waits]
    return _Part(len(ids), to_look_at, errors, more or len(due) >= most)


def _alone() -> bool:
    """Become the one generator there is until the end of the transaction, if nobody else is.

    Two would not see each other's instances and watermarks, and make edges that nobody points, or
    to fires that the other has just passed over. Nobody waits: there are other jobs to be done.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_GENERATION_LOCK])
        return bool(cursor.fetchone()[0])


def _due_tasks(
    *, now: datetime, without: Collection[int], most: int, is_first: bool = False
) -> list[Task]:
    """Return up to `most` tasks that are due, those that are furthest behind first.

    With the first part come some of those that could not be read: perhaps they can by now.
    """
    due = (
        Task.objects.filter(status=TaskStatus.SCHEDULING, next_fire_at__lte=now)
        .exclude(pk__in=without)
        .defer("draft")
    )
    found = list(due.filter(generation_error="").order_by("next_fire_at", "pk")[:most])
    if is_first:
        # In any order, so that none is for ever behind others.
        found += due.exclude(generation_error="").order_by("?")[: TASKS_AT_ONCE // 10]
    return found


def _move_on(plans: Sequence[TaskPlan]) -> None:
    """Move the tasks' watermarks, in the transaction that made the instances.

    Their rows are locked from here to the commit only. One that is not as it was read, or that
    somebody holds, is not waited for: what was made of it may not be what it is to have.
    """
    rows = [
        (
            plan.task.pk,
            plan.task.version_id,
            plan.task.generated_until,
            plan.until,
            next_fire(plan.definition.schedule, plan.until),
            # Who waits for a fire that was passed over is released soon.
            plan.task.generated_until if plan.has_skipped else None,
        )
        for plan in plans
    ]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE workflows_task AS task SET generated_until = free.until,
                next_fire_at = free.next_fire_at, generation_error = '',
                owing_changed_since = least(task.owing_changed_since, free.skipped_since)
            FROM (
                SELECT task.id, d.until, d.next_fire_at, d.skipped_since
                FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[],
                        %s::timestamptz[], %s::timestamptz[])
                    AS d (id, version_id, read_until, until, next_fire_at, skipped_since)
                JOIN workflows_task task ON task.id = d.id AND task.version_id = d.version_id
                    AND task.generated_until = d.read_until AND task.status = 'SCHEDULING'
                ORDER BY task.id FOR NO KEY UPDATE OF task SKIP LOCKED
            ) free
            WHERE task.id = free.id RETURNING task.id
            """,
            [list(column) for column in zip(*rows, strict=True)],
        )
        moved = set(column(cursor))
    overtaken = {plan.task.pk for plan in plans} - moved
    if overtaken:
        raise _Overtaken(overtaken)


@repeat_on_deadlock
@transaction.atomic
def _release() -> list[int] | None:
    """Release edges that wait in vain; return whom to look at, None when there are none.

    Not beside a part: it may be making edges by what a task was before.
    """
    return release_next() if _alone() else None


def _note_left_out(errors: dict[int, str]) -> None:
    """Write down, for people, why generation leaves the tasks out; each new reason once."""
    if not errors:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE workflows_task AS task SET generation_error = free.error
            FROM (
                SELECT task.id, d.error
                FROM unnest(%s::bigint[], %s::text[]) AS d (id, error)
                JOIN workflows_task task ON task.id = d.id AND task.generation_error <> d.error
                ORDER BY task.id FOR NO KEY UPDATE OF task SKIP LOCKED
            ) free
            WHERE task.id = free.id RETURNING task.id
            """,
            [list(errors), list(errors.values())],
        )
        for (pk,) in cursor.fetchall():
            logger.error("task_left_out", task_id=pk, error=errors[pk])
