"""Dispatch: ready instances get slots, in the order of priority, plan and planned time.

Every limit is read inside the locked section (design §5.4). The lock is the resource group's row;
tasks that have a limit of their own are locked after it, in id order, because two groups may run
the same task. A group is locked before its tasks everywhere, so dispatchers cannot form a ring.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import transaction

from instances import transitions
from instances.announcing import announce, reaches_workers
from instances.locking import MAY_START, lock_instances
from instances.prepared import prepared_cursor
from projects.bulk import repeat_on_deadlock
from projects.models import ResourceGroup

# Executions made in one transaction: bounds how long a group stays locked.
BATCH_SIZE = 500
# Transactions for one group in one go; the sweep comes back to it.
_MOST_TURNS = 100


@dataclass(frozen=True, slots=True)
class _Ready:
    id: int
    task_id: int
    is_limited: bool


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one transaction did: executions made, and instances passed over as others held them.

    Whoever holds one may leave it as it is, and would then not dispatch it. outrun: another group
    has meanwhile started instances of the same tasks, so slots are left that others may have.
    """

    made: int
    passed_over: list[int]
    outrun: bool = False


_ORDER = "ORDER BY i.priority DESC, i.sort_key, i.scheduled_at, i.id"

# The ready instances of a group.
_READY = f"""
    FROM instances_instance i
    JOIN workflows_task t ON t.id = i.task_id
    LEFT JOIN instances_batch b ON b.id = i.batch_id
    WHERE i.resource_group_id = %(group)s AND i.state = 'WAITING_EXECUTION'
        AND i.dispatched_at IS NULL AND {MAY_START}"""

# The first of them in order, whatever the limits of their tasks.
_FIRST = f"""
    SELECT i.id, i.task_id, t.max_parallel IS NOT NULL
    {_READY} {_ORDER} LIMIT %(most)s"""

# The first of them of which no task gets more than its limit leaves, as it looks now.
_WITHIN_LIMITS = f"""
    WITH used AS MATERIALIZED (
        SELECT o.task_id, count(*) AS number
        FROM instances_execution x JOIN instances_instance o ON o.id = x.instance_id
        WHERE x.state IN ('RUNNING', 'SENT', 'TERMINATING') GROUP BY 1
    ), free AS MATERIALIZED (
        SELECT i.id {_READY} AND t.max_parallel IS NULL {_ORDER} LIMIT %(most)s
    ), limited AS MATERIALIZED (
        SELECT own.id
        FROM workflows_task o LEFT JOIN used ON used.task_id = o.id
        CROSS JOIN LATERAL (
            SELECT i.id {_READY} AND i.task_id = o.id
            {_ORDER} LIMIT greatest(o.max_parallel - coalesce(used.number, 0), 0)
        ) own
        WHERE o.max_parallel IS NOT NULL
    )
    SELECT i.id, i.task_id, t.max_parallel IS NOT NULL
    {_READY} AND i.id IN (SELECT id FROM free UNION ALL SELECT id FROM limited)
    {_ORDER} LIMIT %(most)s"""

_LOCKED = " FOR NO KEY UPDATE OF i SKIP LOCKED"


def dispatch(group_ids: Iterable[int], *, now: datetime) -> int:
    """Fill the free slots of the groups; return the number of executions made."""
    if not reaches_workers():
        return 0
    made = 0
    for group_id in sorted(set(group_ids)):
        for _ in range(_MOST_TURNS):
            turn = _dispatch_group(group_id, now=now)
            made += turn.made
            if turn.passed_over:
                _wait_for(turn.passed_over)
            elif turn.made < BATCH_SIZE and not turn.outrun:
                break
    return made


@repeat_on_deadlock
@transaction.atomic
def _wait_for(instance_ids: list[int]) -> None:
    """Wait until nobody holds the instances: without a group, so that its work goes on."""
    lock_instances(instance_ids)


@repeat_on_deadlock
@transaction.atomic
def _dispatch_group(group_id: int, *, now: datetime) -> _Turn:
    group = _lock_group(group_id)
    if group is None:
        return _Turn(0, [])
    free = min(group.slots - _used_slots(group_id), BATCH_SIZE)
    if free <= 0:
        return _Turn(0, [])
    chosen, passed_over, outrun = _choose(group_id, free)
    sent = set(transitions.mark_dispatched(chosen, now=now)) if chosen else set()
    # Workers hear of them in the order in which they were chosen.
    executions = _create_executions([pk for pk in chosen if pk in sent]) if sent else []
    transaction.on_commit(partial(announce, [(pk, group.queue) for pk in executions]))
    return _Turn(len(executions), passed_over, outrun)


def _lock_group(group_id: int) -> ResourceGroup | None:
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT id, name, slots FROM projects_resourcegroup WHERE id = %s FOR NO KEY UPDATE",
            [group_id],
        )
        row = cursor.fetchone()
    return ResourceGroup(pk=row[0], name=row[1], slots=row[2]) if row else None


def _used_slots(group_id: int) -> int:
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM instances_execution WHERE resource_group_id = %s"
            " AND state IN ('RUNNING', 'SENT', 'TERMINATING')",
            [group_id],
        )
        return int(cursor.fetchone()[0])


def _choose(group_id: int, free: int) -> tuple[list[int], list[int], bool]:
    """Return up to `free` ready instances in order, no task above its own limit.

    With them those that could have had a slot, had nobody else held them; and whether some were
    given up because another group was faster. A constant number of queries.
    """
    candidates = _ready(_FIRST + _LOCKED, group_id, free)
    if not any(one.is_limited for one in candidates):
        chosen = [one.id for one in candidates]
        return chosen, _others(_FIRST, group_id, free, chosen), False
    candidates = _ready(_WITHIN_LIMITS + _LOCKED, group_id, free)
    room = _lock_limited({one.task_id for one in candidates if one.is_limited})
    chosen = []
    for one in candidates:
        if one.task_id in room:
            if room[one.task_id] <= 0:
                continue
            room[one.task_id] -= 1
        chosen.append(one.id)
    if len(chosen) < len(candidates):
        return chosen, [], True
    return chosen, _others(_WITHIN_LIMITS, group_id, free, chosen), False


def _others(query: str, group_id: int, free: int, chosen: list[int]) -> list[int]:
    """Return the instances that could have had a slot but were not chosen: others hold them."""
    if len(chosen) == free:
        return []
    wanted = {one.id for one in _ready(query, group_id, free)}
    return sorted(wanted.difference(chosen))


def _ready(query: str, group_id: int, most: int) -> list[_Ready]:
    with prepared_cursor() as cursor:
        cursor.execute(query, {"group": group_id, "most": most})
        return [_Ready(*row) for row in cursor.fetchall()]


def _lock_limited(task_ids: set[int]) -> dict[int, int]:
    """Lock the tasks and return how many more executions of each may start."""
    if not task_ids:
        return {}
    with prepared_cursor() as cursor:
        # The limits are those after the lock: a submission may have changed them meanwhile.
        cursor.execute(
            "SELECT id, max_parallel FROM workflows_task WHERE id = ANY(%s)"
            " ORDER BY id FOR NO KEY UPDATE",
            [list(task_ids)],
        )
        limits = {pk: limit for pk, limit in cursor.fetchall() if limit is not None}
        # A new statement, so that it counts what the last holder of the locks committed.
        cursor.execute(
            "SELECT i.task_id FROM instances_instance i"
            " JOIN instances_execution x ON x.instance_id = i.id"
            " AND x.state IN ('RUNNING', 'SENT', 'TERMINATING') WHERE i.task_id = ANY(%s)"
            " AND i.state IN ('WAITING_EXECUTION', 'RUNNING', 'TERMINATING')",
            [list(limits)],
        )
        used = Counter(row[0] for row in cursor.fetchall())
    return {task_id: limit - used[task_id] for task_id, limit in limits.items()}


def _create_executions(instance_ids: list[int]) -> list[int]:
    """Make a SENT execution for each instance, in one statement; return their ids."""
    with prepared_cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO instances_execution (instance_id, number, cause, state, resource_group_id,
                worker, waiting_since, ready_at, dispatched_at, announced_at, code, parameters,
                error_code, error_message, log_bytes)
            SELECT i.id, coalesce(last.number, 0) + 1,
                CASE
                    WHEN last.round = i.waiting_since THEN 'RETRY'
                    WHEN i.total_runs > 0 THEN 'RERUN'
                    WHEN i.kind = 'BACKFILL' THEN 'BACKFILL'
                    ELSE 'FIRST'
                END,
                'SENT', i.resource_group_id, '', i.waiting_since, i.ready_at,
                i.dispatched_at, i.dispatched_at, '', '{}'::jsonb, '', '', 0
            FROM instances_instance i
            LEFT JOIN LATERAL (
                SELECT max(x.number) AS number,
                    max(x.waiting_since) FILTER (WHERE x.started_at IS NOT NULL) AS round
                FROM instances_execution x WHERE x.instance_id = i.id
            ) last ON true
            WHERE i.id = ANY(%s)
            ORDER BY array_position(%s::bigint[], i.id)
            RETURNING id
            """,
            [instance_ids, instance_ids],
        )
        return [row[0] for row in cursor.fetchall()]
