"""Locks on instances, always in id order, so that two verbs never wait for each other in a ring."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from instances.prepared import prepared_cursor
from instances.states import State

# SQL, for an instance `i` and its batch `b` (which may be missing): nothing of a paused batch may
# start, nor what began to wait before its batch was stopped; what an operator ran again after that
# may.
MAY_START = "(b.paused_at IS NULL AND (b.stopped_at IS NULL OR i.waiting_since > b.stopped_at))"

# SQL, for an instance `i`: it has a day, which has not opened (B10).
DAY_CLOSED = """(i.day_id IS NOT NULL AND (
            SELECT d.opened_at IS NULL FROM instances_batchday d WHERE d.id = i.day_id
        ))"""

# SQL, for an instance `i`: an edge that was not removed has no upstream, or one that is not
# SUCCESS (design §5.1).
BLOCKED = """EXISTS (
            SELECT FROM instances_edge e LEFT JOIN instances_instance u ON u.id = e.upstream_id
            WHERE e.instance_id = i.id AND e.removed_at IS NULL
                AND (u.id IS NULL OR u.state <> 'SUCCESS')
        )"""


def lock_instances(ids: Iterable[int], states: Iterable[State] | None = None) -> dict[int, State]:
    """Lock the instances (those in `states`, when given) and return {id: state}, in id order.

    The states are those after the lock was granted. Call inside a transaction.
    """
    condition = "" if states is None else " AND state = ANY(%s)"
    arguments: list[Any] = [list(ids)]
    if states is not None:
        arguments.append([state.value for state in states])
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT id, state FROM instances_instance"
            f" WHERE id = ANY(%s){condition} ORDER BY id FOR NO KEY UPDATE",
            arguments,
        )
        return {pk: State(state) for pk, state in cursor.fetchall()}


def lock_instances_of(execution_ids: Iterable[int]) -> None:
    """Lock the instances of the executions, in id order. Call inside a transaction."""
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT FROM instances_instance WHERE id IN"
            " (SELECT instance_id FROM instances_execution WHERE id = ANY(%s))"
            " ORDER BY id FOR NO KEY UPDATE",
            [list(execution_ids)],
        )


def blocked_ids(ids: Iterable[int]) -> list[int]:
    """Return those of the instances that an edge holds back, in id order."""
    listed = list(ids)
    if not listed:
        return []
    with prepared_cursor() as cursor:
        cursor.execute(
            f"SELECT i.id FROM instances_instance i WHERE i.id = ANY(%s) AND {BLOCKED} ORDER BY id",
            [listed],
        )
        return [row[0] for row in cursor.fetchall()]


def downstream_ids(ids: Iterable[int]) -> list[int]:
    """Return the instances with an edge, not removed, to one of `ids`, in id order."""
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT instance_id FROM instances_edge"
            " WHERE upstream_id = ANY(%s) AND removed_at IS NULL ORDER BY instance_id",
            [list(ids)],
        )
        return [row[0] for row in cursor.fetchall()]
