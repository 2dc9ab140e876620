"""Releasing who waits for slots that will not come any more (T12; see owing).

A task owes less from some instant on when its schedule changes, when it is taken offline, or when
catch-up "latest" passes over what it missed. Whoever does that leaves `Task.owing_changed_since`;
here the open edges to its later slots are looked at again, and those to slots that it does not owe
are removed. An edge to a slot that was due before stays, and blocks, visibly: that data is missing.
The rows decide, not the change, so it does not matter how many changes came meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from django.db import connection

from instances.engine.creation import Slot
from instances.ground.owing import is_owed
from instances.models import RemovedBecause
from projects.ground import clock
from projects.ground.sql import column
from workflows.choices import CatchUp
from workflows.definitions.definition import TaskDefinition
from workflows.definitions.version_loading import read_definitions
from workflows.models import Task
from workflows.schedules import has_fire

# Bounds of a transaction: tasks, slots of each of them, edges.
TASKS_AT_ONCE = 500
SLOTS_AT_ONCE = 1_000
EDGES_AT_ONCE = 5_000
_LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)

# SQL, for an edge `e`: it waits for a slot without an instance, and for a plan's own in no case.
_OPEN = "e.upstream_id IS NULL AND e.removed_at IS NULL AND NOT e.within_batch"


def release_next() -> list[int] | None:
    """Remove open edges to some slots that tasks with a mark do not owe any more.

    Returns the instances that may be able to go on, or None when there is nothing to do now. Call
    in a transaction, while no generation is making edges; again and again until None. A constant
    number of queries.
    """
    marked = Task.objects.filter(owing_changed_since__isnull=False).defer("draft")
    # In any order, so that those that cannot be dealt with now are in nobody's way for ever.
    tasks = {task.pk: task for task in marked.order_by("?")[:TASKS_AT_ONCE]}
    definitions, _ = read_definitions(
        task.version_id for task in tasks.values() if task.version_id is not None
    )
    # Of one that cannot be read nobody knows what it owes: its mark stays.
    tasks = {pk: task for pk, task in tasks.items() if task.version_id in definitions}
    if not tasks:
        return None
    slots = _open_slots(tasks.values())
    reasons: dict[Slot, RemovedBecause] = {}
    for pk, found in slots.items():
        task = tasks[pk]
        assert task.version_id is not None
        for at in found:
            reason = why_not_owed(task, definitions[task.version_id], at)
            if reason is not None:
                reasons[pk, at] = reason
    released = _remove(reasons) if reasons else []
    # Those that somebody holds, or that were too many, come with another call.
    unfinished = _still_open(reasons) if reasons else set()
    moved = _move_marks(
        [
            (task, slots[pk][-1] if len(slots.get(pk, ())) == SLOTS_AT_ONCE else None)
            for pk, task in tasks.items()
            if pk not in unfinished
        ]
    )
    return released if released or moved else None


def release_of(instance_ids: Sequence[int]) -> None:
    """Remove open edges of the instances to slots that are not owed: the sweep's net.

    It finds what was made, as a plan's instances are, by what a task was just before it changed.
    Two queries, and two more where something is found. The caller looks at the instances.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT e.upstream_task_id, e.upstream_scheduled_at FROM instances_edge e"
            f" WHERE e.instance_id = ANY(%s) AND {_OPEN} LIMIT %s",
            [list(instance_ids), SLOTS_AT_ONCE],
        )
        slots: list[Slot] = cursor.fetchall()
    if not slots:
        return
    tasks = Task.objects.defer("draft").in_bulk({pk for pk, _ in slots})
    definitions, _ = read_definitions(
        task.version_id for task in tasks.values() if task.version_id is not None
    )
    reasons: dict[Slot, RemovedBecause] = {}
    for pk, at in slots:
        task = tasks[pk]
        definition = None if task.version_id is None else definitions.get(task.version_id)
        since = task.scheduling_since
        # What was due before the task's last change is missing, not released.
        if definition is None or since is None or at <= since:
            continue
        reason = why_not_owed(task, definition, at)
        if reason is not None:
            reasons[pk, at] = reason
    if reasons:
        _remove(reasons)


def why_not_owed(task: Task, definition: TaskDefinition, at: datetime) -> RemovedBecause | None:
    """Return why the task does not owe a slot that has no instance; None when it does.

    For slots after `owing_changed_since`. How long instances are kept does not matter to an edge
    that is there: what it waits for was owed when it was made.
    """
    if task.scheduling_until is not None and at > task.scheduling_until:
        return RemovedBecause.OFFLINE
    if task.scheduling_since is None or at <= task.scheduling_since:
        return RemovedBecause.RESUBMITTED
    if not has_fire(definition.schedule, at):
        return RemovedBecause.RESUBMITTED
    is_due = is_owed(
        at,
        scheduling_since=task.scheduling_since,
        scheduling_until=task.scheduling_until,
        generated_until=task.generated_until,
        latest_only=definition.catch_up == CatchUp.LATEST,
        kept_since=_LONG_AGO,
    )
    return None if is_due else RemovedBecause.PASSED_OVER


def _open_slots(tasks: Iterable[Task]) -> dict[int, list[datetime]]:
    """Return, by task, the next few slots after its mark that open edges wait for, in order."""
    rows = [(task.pk, task.owing_changed_since) for task in tasks]
    found: dict[int, list[datetime]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT t.id, slot.at FROM unnest(%s::bigint[], %s::timestamptz[]) AS t (id, mark)
            CROSS JOIN LATERAL (
                SELECT DISTINCT e.upstream_scheduled_at AS at FROM instances_edge e
                WHERE e.upstream_task_id = t.id AND e.upstream_scheduled_at > t.mark AND {_OPEN}
                ORDER BY 1 LIMIT %s
            ) slot ORDER BY 1, 2
            """,
            [*(list(column) for column in zip(*rows, strict=True)), SLOTS_AT_ONCE],
        )
        for pk, at in cursor.fetchall():
            found[pk].append(at)
    return found


def _remove(reasons: Mapping[Slot, RemovedBecause]) -> list[int]:
    """Mark open edges to the slots as removed; return their instances, in id order."""
    task_ids, times = map(list, zip(*reasons, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE instances_edge AS edge SET removed_at = %s, removed_because = free.reason
            FROM (
                SELECT e.id, s.reason
                FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[]) AS s (task_id, at, reason)
                JOIN instances_edge e ON e.upstream_task_id = s.task_id
                    AND e.upstream_scheduled_at = s.at AND {_OPEN}
                -- Made a moment ago, and not pointed at yet: it is waited for.
                WHERE NOT EXISTS (SELECT FROM instances_instance i WHERE i.task_id = s.task_id
                    AND i.scheduled_at = s.at AND i.batch_id IS NULL)
                ORDER BY e.id LIMIT %s FOR NO KEY UPDATE OF e SKIP LOCKED
            ) free
            WHERE edge.id = free.id RETURNING edge.instance_id
            """,
            [clock.now(), task_ids, times, [str(one) for one in reasons.values()], EDGES_AT_ONCE],
        )
        return sorted(set(column(cursor)))


def _still_open(slots: Iterable[Slot]) -> set[int]:
    """Return the tasks of those slots to which open edges are left."""
    task_ids, times = map(list, zip(*slots, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT s.task_id FROM unnest(%s::bigint[], %s::timestamptz[])"
            " AS s (task_id, at) WHERE EXISTS (SELECT FROM instances_edge e"
            " WHERE e.upstream_task_id = s.task_id AND e.upstream_scheduled_at = s.at"
            f" AND {_OPEN})",
            [task_ids, times],
        )
        return set(column(cursor))


def _move_marks(marks: Sequence[tuple[Task, datetime | None]]) -> int:
    """Move the marks on, or take them away; return how many were.

    Of a task that is not as it was read any more the mark stays, and all is looked at again.
    """
    if not marks:
        return 0
    rows = [
        (task.pk, task.owing_changed_since, task.updated_at, following) for task, following in marks
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE workflows_task AS task SET owing_changed_since = free.following
            FROM (
                SELECT task.id, d.following
                FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
                    AS d (id, mark, read_at, following)
                JOIN workflows_task task ON task.id = d.id AND task.updated_at = d.read_at
                    AND task.owing_changed_since = d.mark
                ORDER BY task.id FOR NO KEY UPDATE OF task SKIP LOCKED
            ) free
            WHERE task.id = free.id
            """,
            [list(column) for column in zip(*rows, strict=True)],
        )
        return cursor.rowcount
