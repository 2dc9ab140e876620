"""Readiness: which waiting instances may go on (design §5.1, §5.2).

It is derived from rows each time, never from counters. The candidates are locked in id order and
then looked at in a new statement, which sees everything that was committed before the lock was
granted: of two upstreams that finish at once, the later one to look sees both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from instances import transitions
from instances.ground.locking import lock_instances
from instances.ground.prepared import prepared_cursor
from instances.holds.listed import MAY_START, WAITS_IN
from instances.states import PENDING, State

# The rule itself (instances/holds/listed.py). What is held still stays as it is.
_TARGETS = f"""
    SELECT i.id, i.resource_group_id, i.state, coalesce(
        {WAITS_IN},
        CASE WHEN i.inline THEN 'SUCCESS' ELSE 'WAITING_EXECUTION' END
    )
    FROM instances_instance i LEFT JOIN instances_batch b ON b.id = i.batch_id
    WHERE i.id = ANY(%(ids)s) AND i.state = ANY(%(pending)s) AND {MAY_START}
"""


# Bounds of a transaction: levels of a chain of inline instances, and instances looked at.
LEVELS_AT_ONCE = 50
LOOKED_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Advanced:
    """groups: resource groups in which instances became ready. days: those that may be done now,
    as inline instances of theirs succeeded. left: instances that are still to be looked at.
    """

    groups: set[int] = field(default_factory=set)
    days: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Woken:
    """What successes may let go on: instances, in id order, and the days that may be done now."""

    ids: list[int]
    days: set[int]


def advance(ids: Iterable[int], *, now: datetime) -> Advanced:
    """Move those of `ids` that wait to the state that the rows call for.

    An inline instance that is ready succeeds, and what waits for it is looked at in the same
    transaction, some levels deep. What is left then is for another transaction: it waits, as it
    did, and nobody sees more than that. Call inside a transaction. Queries: a constant number a
    level of inline instances.
    """
    advanced = Advanced()
    finished: list[int] = []
    following = sorted(ids)
    room = LOOKED_AT_ONCE
    for _ in range(LEVELS_AT_ONCE):
        candidates, later = following[:room], following[room:]
        room -= len(candidates)
        advanced.left.update(later)
        following = []
        if not candidates:
            break
        # All of them, whatever their state: a filter on it would be judged by what was committed
        # before, and pass over an instance that a rerun, not yet committed, makes waiting again.
        locked = lock_instances(candidates)
        waiting = [pk for pk, state in locked.items() if state in PENDING]
        if not waiting:
            break
        targets = _targets(waiting, now=now)
        for state in (State.WAITING_UPSTREAM, State.NOT_RUN):
            transitions.move(targets[state], state, now=now)
        ready = targets[State.WAITING_EXECUTION]
        for pk in transitions.move(ready, State.WAITING_EXECUTION, now=now):
            advanced.groups.add(ready[pk])
        succeeded = transitions.succeed_inline(targets[State.SUCCESS], now=now)
        finished += succeeded
        woken = woken_by(succeeded)
        advanced.days.update(woken.days)
        following = woken.ids
    advanced.left.update(following)
    _note_first_runs(finished)
    return advanced


def _note_first_runs(succeeded: Collection[int]) -> None:
    """Note when the schedules' virtual tasks among them ran for the first time.

    A task that somebody holds is left to its next instance, which finds the same instant.
    """
    if not succeeded:
        return
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE workflows_task t SET first_run_at = (SELECT min(i.started_at) FROM"
            " instances_instance i WHERE i.task_id = t.id AND i.batch_id IS NULL AND NOT i.dry)"
            " WHERE t.id IN (SELECT t.id FROM workflows_task t WHERE t.first_run_at IS NULL"
            " AND t.id IN (SELECT i.task_id FROM instances_instance i"
            " WHERE i.id = ANY(%s) AND i.batch_id IS NULL AND NOT i.dry)"
            " FOR NO KEY UPDATE SKIP LOCKED)",
            [list(succeeded)],
        )


def misplaced(ids: Iterable[int], *, now: datetime) -> list[int]:
    """Return those of `ids` that `advance` would move, as far as can be told without a lock."""
    return sorted(pk for found in _targets(ids, now=now).values() for pk in found)


def woken_by(succeeded: Iterable[int]) -> Woken:
    """Return what may go on now that `succeeded` are SUCCESS.

    First, edges that found no upstream are pointed at plan instances that succeeded on their slot:
    to who waits for a slot, a plan that filled it is as good as the periodic instance that never
    was.
    """
    ids = list(succeeded)
    if not ids:
        return Woken([], set())
    with prepared_cursor() as cursor:
        cursor.execute(
            """
            WITH pointed AS (
                UPDATE instances_edge AS e SET upstream_id = u.id
                FROM instances_instance u
                WHERE u.id = ANY(%s) AND u.batch_id IS NOT NULL AND u.state = 'SUCCESS'
                    AND e.upstream_task_id = u.task_id AND e.upstream_scheduled_at = u.scheduled_at
                    AND e.upstream_id IS NULL AND NOT e.within_batch
                RETURNING e.instance_id, e.removed_at
            )
            SELECT instance_id, NULL::bigint FROM pointed WHERE removed_at IS NULL
            UNION
            SELECT below.instance_id, NULL
            FROM unnest(%s::bigint[]) AS w (id) CROSS JOIN LATERAL (
                SELECT x.instance_id FROM instances_edge x
                WHERE x.upstream_id = w.id AND x.removed_at IS NULL OFFSET 0
            ) below
            UNION
            SELECT NULL, day_id FROM instances_instance
            WHERE id = ANY(%s) AND day_id IS NOT NULL
            ORDER BY 1
            """,
            [ids, ids, ids],
        )
        rows = cursor.fetchall()
    return Woken(
        [instance_id for instance_id, _ in rows if instance_id is not None],
        {day_id for _, day_id in rows if day_id is not None},
    )


def _targets(ids: Iterable[int], *, now: datetime) -> dict[State, dict[int, int]]:
    """Return, by the state they are to move to, {instance id: its resource group}."""
    targets: dict[State, dict[int, int]] = defaultdict(dict)
    with prepared_cursor() as cursor:
        pending = [state.value for state in PENDING]
        cursor.execute(_TARGETS, {"now": now, "ids": list(ids), "pending": pending})
        for pk, group_id, state, target in cursor.fetchall():
            if state != target:
                targets[State(target)][pk] = group_id
    return targets
