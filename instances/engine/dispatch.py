"""Dispatch: ready instances get slots, in the order of priority, plan and planned time.

Every limit is read inside the locked section (design §5.4). The lock is the resource group's row;
tasks that have a limit of their own are locked after it, in id order, because two groups may run
the same task. A group is locked before its tasks everywhere, so dispatchers cannot form a ring.
The lock on a task is one that dispatchers alone take, not its row: others hold that for as long
as they like, and a group must not wait for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import transaction

from instances import transitions
from instances.engine.announcing import announce, claim_here, reaches_workers
from instances.ground.locking import lock_instances, unless_held
from instances.ground.prepared import prepared_cursor
from instances.ground.seen import ORDER, Ready, first_ready, live_executions
from instances.holds.listed import MAY_START
from instances.holds.slots import FILLS_OF_TASK
from projects.ground.bulk import LOCK_BOUND, limit_lock_waits, lock_bound, repeat_on_deadlock
from projects.ground.sql import column
from projects.models import ResourceGroup

# Executions made in one transaction: bounds how long a group stays locked.
BATCH_SIZE = 500
# Ready instances moved from list to list in one transaction, when their task got a limit.
SET_ASIDE_AT_ONCE = 5_000
# Transactions for one group in one go; the sweep comes back to it.
_MOST_TURNS = 100


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one transaction did: executions made, and instances passed over as others held them.

    Whoever holds one may leave it as it is, and would then not dispatch it. outrun: another group
    has meanwhile started instances of the same tasks, so slots are left that others may have.
    """

    made: int
    passed_over: list[int]
    outrun: bool = False


# The ready instances of a group that may start.
_READY = f"""
    FROM instances_instance i
    LEFT JOIN instances_batch b ON b.id = i.batch_id
    WHERE i.resource_group_id = %(group)s AND i.state = 'WAITING_EXECUTION'
        AND i.dispatched_at IS NULL AND {MAY_START}"""
_READY_OF_TASKS = """
            FROM instances_instance i WHERE i.resource_group_id = %(group)s
                AND i.state = 'WAITING_EXECUTION' AND i.dispatched_at IS NULL AND i.limited"""

# Those of tasks with a limit of their own, of which no task gets more than its limit leaves, as it
# looks now; of a task that has lost its limit as many as wanted. One step for each task that has
# any, however many instances of it are ready.
_OF_LIMITED = f"""
    WITH RECURSIVE waiting AS (
        SELECT (SELECT i.task_id {_READY_OF_TASKS} ORDER BY i.task_id LIMIT 1) AS task_id
        UNION ALL
        SELECT (SELECT i.task_id {_READY_OF_TASKS} AND i.task_id > last.task_id
            ORDER BY i.task_id LIMIT 1)
        FROM waiting last WHERE last.task_id IS NOT NULL
    ), room AS MATERIALIZED (
        SELECT t.id AS task_id, t.max_parallel IS NOT NULL AS has_limit, least(%(most)s,
            greatest(coalesce(t.max_parallel - (
                SELECT count(*) FROM instances_execution x
                WHERE x.task_id = t.id AND {FILLS_OF_TASK}
            ), %(most)s), 0)) AS number
        FROM waiting JOIN workflows_task t ON t.id = waiting.task_id
    )
    SELECT own.*, room.has_limit FROM room CROSS JOIN LATERAL (
        SELECT i.id, i.task_id, i.priority * -1, i.sort_key, i.scheduled_at
        {_READY} AND i.limited AND i.task_id = room.task_id ORDER BY {ORDER} LIMIT room.number
    ) own"""

_LOCKED = f"""
    SELECT i.id {_READY} AND i.id = ANY(%(ids)s) ORDER BY {ORDER} LIMIT %(most)s
    FOR NO KEY UPDATE OF i SKIP LOCKED"""

# A task that got a limit while instances of it were ready: they stood in the list of the others.
_SET_ASIDE = """
    UPDATE instances_instance SET limited = true WHERE id IN (
        SELECT i.id FROM instances_instance i
        WHERE i.resource_group_id = %(group)s AND i.state = 'WAITING_EXECUTION'
            AND i.dispatched_at IS NULL AND NOT i.limited AND i.sort_key >= 0
            AND i.task_id = ANY(%(tasks)s)
        LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED
    )"""

# Any number that no other pair of advisory locks of Tidemill begins with; a task's id follows.
_TASK_LOCK = 7_021_003


def dispatch(group_ids: Iterable[int], *, now: datetime) -> int:
    """Fill the free slots of the groups; return the number of executions made."""
    if not reaches_workers():
        return 0
    made = 0
    for group_id in sorted(set(group_ids)):
        held = 0  # ready instances in front that others have held for long
        for _ in range(_MOST_TURNS):
            turn = unless_held(_dispatch_group, group_id, held=held, now=now)
            if turn is None:
                break
            made += turn.made
            if turn.passed_over:
                if unless_held(_wait_for, turn.passed_over):
                    continue
                if len(turn.passed_over) <= held:
                    break
                held = len(turn.passed_over)  # there may be others behind them
            elif turn.made < BATCH_SIZE and not turn.outrun:
                break
    return made


@repeat_on_deadlock
@transaction.atomic
def _wait_for(instance_ids: list[int]) -> bool:
    """Wait until nobody holds the instances: without a group, so that its work goes on.

    Not for long: who holds them may be a process that is frozen, or somebody at a prompt.
    """
    limit_lock_waits(settings.HELD_LOCK_SECONDS)
    lock_instances(instance_ids)
    return True


@repeat_on_deadlock
@transaction.atomic
def _dispatch_group(group_id: int, *, held: int, now: datetime) -> _Turn:
    group = _lock_group(group_id)
    if group is None:
        return _Turn(0, [])
    free = min(group.slots - len(live_executions(group_id)), BATCH_SIZE)
    if free <= 0:
        return _Turn(0, [])
    listed, has_limited = first_ready(group_id, most=free + held)
    misplaced = {one.task_id for one in listed if one.has_limit}
    if misplaced and _set_aside(group_id, misplaced):
        return _Turn(0, [], outrun=True)
    candidates = [one for one in listed if not one.has_limit]
    chosen, outrun = [one.id for one in candidates], False
    if has_limited:
        candidates += _of_limited(group_id, free)
        candidates.sort(key=lambda one: one.place)
        chosen, outrun = _within_limits(group_id, candidates, free)
    sent = transitions.send(chosen, most=free, now=now)
    # With slots left over somebody waits for just these. Otherwise there is more than can run, and
    # the group had better not stay locked for longer.
    in_a_hurry = bool(sent) and len(sent) < free
    taken = set(claim_here(group.queue)) if in_a_hurry else set()
    # Workers hear of the others in the order in which they were chosen.
    others = [(pk, group.queue) for pk in sent.values() if pk not in taken]
    transaction.on_commit(partial(announce, others))
    passed_over: set[int] = set()
    if len(sent) < free and not outrun:
        # What could have had a slot and was not sent is held by others.
        passed_over = {one.id for one in candidates[: free + held]} - sent.keys()
    return _Turn(len(sent), sorted(passed_over), outrun)


def _lock_group(group_id: int) -> ResourceGroup | None:
    with prepared_cursor() as cursor:
        cursor.execute(
            f"SELECT g.id, g.name, g.slots FROM projects_resourcegroup g, {LOCK_BOUND}"
            " WHERE g.id = %s FOR NO KEY UPDATE OF g",
            [lock_bound(settings.ENGINE_LOCK_SECONDS), group_id],
        )
        row = cursor.fetchone()
    return ResourceGroup(pk=row[0], name=row[1], slots=row[2]) if row else None


def _within_limits(group_id: int, candidates: list[Ready], free: int) -> tuple[list[int], bool]:
    """Lock and return up to `free` of the candidates in order, no task above its own limit.

    And whether some were given up because another group was faster. A constant number of queries.
    """
    locked = _lock(group_id, [one.id for one in candidates], free)
    room = _lock_limited({one.task_id for one in candidates if one.has_limit and one.id in locked})
    chosen = []
    for one in candidates:
        if one.id not in locked:
            continue
        if one.task_id in room:
            if room[one.task_id] <= 0:
                continue
            room[one.task_id] -= 1
        chosen.append(one.id)
    return chosen, len(chosen) < len(locked)


def _set_aside(group_id: int, task_ids: set[int]) -> int:
    """Put ready instances into the lists of their tasks, as many as one transaction takes."""
    with prepared_cursor() as cursor:
        cursor.execute(
            _SET_ASIDE, {"group": group_id, "tasks": list(task_ids), "most": SET_ASIDE_AT_ONCE}
        )
        return cursor.rowcount


def _of_limited(group_id: int, most: int) -> list[Ready]:
    with prepared_cursor() as cursor:
        cursor.execute(_OF_LIMITED, {"group": group_id, "most": most})
        return [
            Ready(pk, task_id, (urgency, key, at, pk), has_limit, may_start=True)
            for pk, task_id, urgency, key, at, has_limit in cursor.fetchall()
        ]


def _lock(group_id: int, ids: list[int], most: int) -> set[int]:
    """Lock the first of the instances that nobody holds and that are still ready."""
    if not ids:
        return set()
    with prepared_cursor() as cursor:
        cursor.execute(_LOCKED, {"group": group_id, "ids": ids, "most": most})
        return set(column(cursor))


def _lock_limited(task_ids: set[int]) -> dict[int, int]:
    """Lock the tasks and return how many more executions of each may start."""
    if not task_ids:
        return {}
    with prepared_cursor() as cursor:
        cursor.execute(
            # In id order: the list is, and the function is called row by row.
            "SELECT pg_advisory_xact_lock(%s, (id %% 2147483647)::int)"
            " FROM unnest(%s::bigint[]) AS id",
            [_TASK_LOCK, sorted(task_ids)],
        )
        # The limits are those after the lock: a submission may have changed them meanwhile.
        cursor.execute(
            "SELECT id, max_parallel FROM workflows_task WHERE id = ANY(%s)", [list(task_ids)]
        )
        limits = {pk: limit for pk, limit in cursor.fetchall() if limit is not None}
        # A new statement, so that it counts what the last holder of the locks committed.
        cursor.execute(
            "SELECT x.task_id FROM instances_execution x WHERE x.task_id = ANY(%s)"
            f" AND {FILLS_OF_TASK}",
            [list(limits)],
        )
        used = Counter(column(cursor))
    return {task_id: limit - used[task_id] for task_id, limit in limits.items()}
