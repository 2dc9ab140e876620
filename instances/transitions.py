"""The one module that writes states, by guarded set updates (design §4).

Each function moves the rows that are still in an allowed state and answers which ones: a row that
is missing from the answer was moved by somebody else first. The columns that belong to a state
(its timestamps, its error) are set here with it, so the CHECK constraints always hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

from instances.locking import BLOCKED, MAY_START, blocked_ids
from instances.prepared import prepared_cursor
from instances.states import (
    FINISHED,
    FREEZABLE,
    IN_WORKER,
    LIVE,
    PENDING,
    RERUNNABLE,
    ExecutionState,
    State,
    sources_of,
)

# What a state means for the other columns. "now" stands for the instant of the move.
_UNSENT = {"ready_at": None, "dispatched_at": None, "started_at": None, "ended_at": None}
_ENTERING: dict[State, dict[str, Any]] = {
    State.NOT_RUN: {**_UNSENT, "error_code": "", "error_message": ""},
    State.WAITING_EVENT: _UNSENT,
    State.WAITING_UPSTREAM: _UNSENT,
    State.WAITING_EXECUTION: {**_UNSENT, "ready_at": "now"},
    State.RUNNING: {"started_at": "now"},
    State.TERMINATING: {},
    State.RETRYING: _UNSENT,
    State.SUCCESS: {"ended_at": "now", "error_code": "", "error_message": ""},
    State.FAILED: {"ended_at": "now"},
}
_COLUMNS = frozenset(
    {"error_code", "error_message", "not_before", "waiting_since", "retry_count", "lost_count"}
)
_HELD = [state.value for state in IN_WORKER]


def move(
    ids: Iterable[int],
    target: State,
    *,
    now: datetime,
    sources: Iterable[State] | None = None,
    **columns: Any,
) -> list[int]:
    """Move the instances that may still be moved to `target`; return the ids that were, in order.

    sources: narrows the states moved from; a source that the transition table does not allow is a
    programming error (ValueError). columns: further columns to set, of `_COLUMNS`.
    """
    allowed = sources_of(target)
    wanted = frozenset(sources) if sources is not None else allowed
    if not wanted <= allowed:
        raise ValueError(f"{sorted(wanted - allowed)} → {target} is not in the transition table")
    if not columns.keys() <= _COLUMNS:
        raise ValueError(f"not a column of a move: {sorted(columns.keys() - _COLUMNS)}")
    listed = list(ids)
    if not listed:
        return []
    settings = {**_ENTERING[target], **columns}
    assignments = "".join(f", {column} = %s" for column in settings)
    values = [now if value == "now" else value for value in settings.values()]
    with prepared_cursor() as cursor:
        cursor.execute(
            f"UPDATE instances_instance SET state = %s{assignments}"
            " WHERE id = ANY(%s) AND state = ANY(%s) RETURNING id",
            [target.value, *values, listed, [state.value for state in wanted]],
        )
        return sorted(row[0] for row in cursor.fetchall())


def succeed_inline(ids: Iterable[int], *, now: datetime) -> list[int]:
    """Waiting → SUCCESS for dry and virtual instances, which no worker ever sees."""
    listed = list(ids)
    if not listed:
        return []
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_instance SET state = 'SUCCESS', ready_at = %s, dispatched_at = %s,"
            " started_at = %s, ended_at = %s, error_code = '', error_message = '',"
            " total_runs = total_runs + 1"
            " WHERE id = ANY(%s) AND inline AND state = ANY(%s) RETURNING id",
            [now, now, now, now, listed, [state.value for state in PENDING]],
        )
        return sorted(row[0] for row in cursor.fetchall())


def begin_round(ids: Iterable[int], *, now: datetime) -> list[int]:
    """Set the instances that may be back to NOT_RUN for a new round; return those that were.

    Retries count from 0 again, and the clock of a retry holds nobody back any more.
    """
    settings = _ENTERING[State.NOT_RUN]
    assignments = "".join(f", {column} = %s" for column in settings)
    sources = sources_of(State.NOT_RUN) & RERUNNABLE
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_instance SET state = 'NOT_RUN', waiting_since = %s, retry_count = 0,"
            " lost_count = 0, not_before = CASE WHEN retry_count + lost_count > 0"
            f" THEN least(not_before, %s) ELSE not_before END{assignments}"
            " WHERE id = ANY(%s) AND state = ANY(%s) RETURNING id",
            [now, now, *settings.values(), list(ids), [state.value for state in sources]],
        )
        return sorted(row[0] for row in cursor.fetchall())


def freeze(ids: Iterable[int]) -> dict[int, State]:
    """Set the instances that may be aside; return {id: the state that each was in} (I8)."""
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_instance SET frozen_from = state, state = 'FROZEN'"
            " WHERE id = ANY(%s) AND state = ANY(%s) RETURNING id, frozen_from",
            [list(ids), [state.value for state in FREEZABLE]],
        )
        return {pk: State(state) for pk, state in cursor.fetchall()}


def unfreeze(ids: Iterable[int], *, now: datetime) -> dict[int, State]:
    """Set frozen instances back: finished ones to what they were, the others to NOT_RUN.

    Those begin to wait anew, so that the end of their plan, which they slept through, does not
    count for them. Returns {id: state}.
    """
    finished = [state.value for state in FINISHED]
    settings = _ENTERING[State.NOT_RUN] | {"waiting_since": now}
    assignments = "".join(
        f", {column} = CASE WHEN frozen_from = ANY(%s) THEN {column} ELSE %s END"
        for column in settings
    )
    values = [value for setting in settings.values() for value in (finished, setting)]
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_instance SET frozen_from = '',"
            " state = CASE WHEN frozen_from = ANY(%s) THEN frozen_from ELSE 'NOT_RUN' END"
            f"{assignments} WHERE id = ANY(%s) AND state = 'FROZEN' RETURNING id, state",
            [finished, *values, list(ids)],
        )
        return {pk: State(state) for pk, state in cursor.fetchall()}


def hold_back(ids: Iterable[int], *, now: datetime) -> list[int]:
    """Ready, unstarted instances wait for their upstream again; return those that do."""
    held = move(ids, State.WAITING_UPSTREAM, now=now, sources=[State.WAITING_EXECUTION])
    close_live_executions(held, ExecutionState.DISMISSED, now=now)
    return held


def release(ids: Iterable[int]) -> None:
    """Note that the instances' day has opened: from now on their clocks are looked at.

    They must be locked, and be advanced in the same transaction.
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_instance SET awaits_day = false WHERE id = ANY(%s) AND awaits_day",
            [list(ids)],
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows a failed execution: try again at `retry_at`, or give up when it is None."""

    instance_id: int
    retry_at: datetime | None
    error_code: str
    error_message: str
    retries: int  # what to add to retry_count
    losses: int  # what to add to lost_count


def fail_or_retry(decisions: Iterable[Decision], *, now: datetime) -> dict[int, State]:
    """RUNNING → RETRYING or FAILED for instances whose execution failed; return the new states."""
    rows = [astuple(decision) for decision in decisions]
    if not rows:
        return {}
    with prepared_cursor() as cursor:
        cursor.execute(
            """
            UPDATE instances_instance AS i SET
                state = CASE WHEN d.retry_at IS NULL THEN 'FAILED' ELSE 'RETRYING' END,
                error_code = d.error_code,
                error_message = d.error_message,
                retry_count = i.retry_count + d.retries,
                lost_count = i.lost_count + d.losses,
                not_before = coalesce(d.retry_at, i.not_before),
                ready_at = CASE WHEN d.retry_at IS NULL THEN i.ready_at END,
                dispatched_at = CASE WHEN d.retry_at IS NULL THEN i.dispatched_at END,
                started_at = CASE WHEN d.retry_at IS NULL THEN i.started_at END,
                ended_at = CASE WHEN d.retry_at IS NULL THEN %s END
            FROM unnest(
                    %s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::int[], %s::int[]
                ) AS d (id, retry_at, error_code, error_message, retries, losses)
            WHERE i.id = d.id AND i.state = 'RUNNING'
            RETURNING i.id, i.state
            """,
            [now, *(list(column) for column in zip(*rows, strict=True))],
        )
        return {pk: State(state) for pk, state in cursor.fetchall()}


def claim_executions(
    groups: Iterable[str],
    *,
    room: int,
    worker: str,
    lease_until: datetime,
    now: datetime,
    only: Iterable[int] | None = None,
) -> list[int]:
    """SENT → RUNNING for up to `room` executions of the named resource groups, oldest first.

    only: of these executions alone. A terminated, rerun or already claimed execution, and one
    whose batch was stopped or paused, is not claimed. Their instances move with them. Returns the
    ids.

    This is the last look at design §5.1: an instance that was made, and made ready, while its
    upstream was being run again is held back here.
    """
    wanted = None if only is None else list(only)
    with prepared_cursor() as cursor:
        # The instance is locked first, as every verb locks instances before executions. One that
        # somebody else holds is being claimed, or operated: it is left to the next look.
        cursor.execute(
            f"""
            SELECT x.id, i.id FROM instances_execution x
            JOIN projects_resourcegroup g ON g.id = x.resource_group_id
            JOIN instances_instance i ON i.id = x.instance_id
            LEFT JOIN instances_batch b ON b.id = i.batch_id
            WHERE x.state = 'SENT' AND g.name = ANY(%s) AND i.state = 'WAITING_EXECUTION'
                AND {MAY_START} AND (%s::bigint[] IS NULL OR x.id = ANY(%s))
            ORDER BY x.id LIMIT %s FOR NO KEY UPDATE OF i SKIP LOCKED
            """,
            [list(groups), wanted, wanted, room],
        )
        rows = cursor.fetchall()
        if not rows:
            return []
        ids, locked = (list(column) for column in zip(*rows, strict=True))
        # The look at other rows comes in a new statement, which sees what was committed meanwhile.
        cursor.execute(
            f"""
            WITH claimed AS (
                UPDATE instances_execution AS x
                SET state = 'RUNNING', worker = %s, started_at = %s, lease_until = %s
                FROM instances_instance i LEFT JOIN instances_batch b ON b.id = i.batch_id
                WHERE x.id = ANY(%s) AND x.state = 'SENT' AND x.instance_id = ANY(%s)
                    AND i.id = x.instance_id AND {MAY_START} AND NOT {BLOCKED}
                RETURNING x.id, x.instance_id
            )
            UPDATE instances_instance AS i
            SET state = 'RUNNING', started_at = %s, total_runs = i.total_runs + 1
            FROM claimed WHERE i.id = claimed.instance_id AND i.state = 'WAITING_EXECUTION'
            RETURNING claimed.id, i.id
            """,
            [worker, now, lease_until, ids, locked, now],
        )
        claimed = dict(cursor.fetchall())
        if len(claimed) < len(locked):
            rest = set(locked) - set(claimed.values())
            hold_back(blocked_ids(rest), now=now)
        return sorted(claimed)


def mark_dispatched(ids: Iterable[int], *, now: datetime) -> list[int]:
    """Note on ready instances that an execution was made for them; return those still ready."""
    with prepared_cursor() as cursor:
        cursor.execute(
            # Not before it was ready: `now` may be older than the dispatcher's locks.
            "UPDATE instances_instance SET dispatched_at = greatest(%s, ready_at)"
            " WHERE id = ANY(%s) AND state = 'WAITING_EXECUTION' AND dispatched_at IS NULL"
            " RETURNING id",
            [now, list(ids)],
        )
        return sorted(row[0] for row in cursor.fetchall())


@dataclass(frozen=True, slots=True)
class Report:
    """How an execution ended, as its worker, or rescue in its place, tells it."""

    execution_id: int
    state: ExecutionState
    error_code: str
    error_message: str
    exit_code: int | None
    log_bytes: int


@dataclass(frozen=True, slots=True)
class Closed:
    """An execution that was closed: `was` is the state it was in.

    limited_task_id: its task, when that has a limit of its own.
    """

    instance_id: int
    resource_group_id: int
    was: ExecutionState
    limited_task_id: int | None


def close_reported(
    reports: Iterable[Report], *, now: datetime, lease_before: datetime | None = None
) -> dict[int, Closed]:
    """End the executions that a worker still holds; one that was told to stop ends TERMINATED.

    lease_before: only those whose lease ended before. Returns {execution id: what it was}; the
    instances must be locked already.
    """
    rows = [astuple(report) for report in reports]
    if not rows:
        return {}
    with prepared_cursor() as cursor:
        cursor.execute(
            """
            UPDATE instances_execution AS x SET
                state = CASE WHEN old.state = 'TERMINATING' THEN 'TERMINATED' ELSE d.state END,
                ended_at = %s,
                error_code = CASE WHEN old.state = 'TERMINATING' THEN 'TERMINATED'
                    ELSE d.error_code END,
                error_message = d.error_message,
                exit_code = d.exit_code,
                log_bytes = greatest(x.log_bytes, d.log_bytes)
            FROM unnest(
                    %s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[], %s::bigint[]
                ) AS d (id, state, error_code, error_message, exit_code, log_bytes),
                instances_execution old
                JOIN instances_instance i ON i.id = old.instance_id
                LEFT JOIN workflows_task t ON t.id = i.task_id AND t.max_parallel IS NOT NULL
            WHERE x.id = d.id AND old.id = x.id AND x.state = ANY(%s)
                AND (%s::timestamptz IS NULL OR x.lease_until < %s)
            RETURNING x.id, x.instance_id, x.resource_group_id, old.state, t.id
            """,
            [
                now,
                *(list(column) for column in zip(*rows, strict=True)),
                _HELD,
                lease_before,
                lease_before,
            ],
        )
        return {
            pk: Closed(instance_id, group_id, ExecutionState(was), limited)
            for pk, instance_id, group_id, was, limited in cursor.fetchall()
        }


def close_live_executions(
    instance_ids: Iterable[int],
    target: ExecutionState,
    *,
    now: datetime,
    error_code: str = "",
    error_message: str = "",
) -> list[int]:
    """End whatever execution of the instances is live, so that its result counts for nothing."""
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_execution SET state = %s, ended_at = %s, error_code = %s,"
            " error_message = %s WHERE instance_id = ANY(%s) AND state = ANY(%s) RETURNING id",
            [
                target.value,
                now,
                error_code,
                error_message,
                list(instance_ids),
                [state.value for state in LIVE],
            ],
        )
        return sorted(row[0] for row in cursor.fetchall())


def ask_to_stop(instance_ids: Iterable[int], *, now: datetime) -> list[int]:
    """RUNNING → TERMINATING for executions: their worker sees it at its next pulse."""
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_execution SET state = 'TERMINATING', stop_requested_at = %s"
            " WHERE instance_id = ANY(%s) AND state = 'RUNNING' RETURNING id",
            [now, list(instance_ids)],
        )
        return sorted(row[0] for row in cursor.fetchall())


def renew_leases(ids: Iterable[int], *, worker: str, lease_until: datetime) -> dict[int, str]:
    """Extend the leases that `worker` still holds; return {execution id: its state}.

    An id that is missing was closed by somebody else: its process must go and its result is void.
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_execution SET lease_until = %s WHERE id = ANY(%s)"
            " AND worker = %s AND state = ANY(%s) RETURNING id, state",
            [lease_until, list(ids), worker, _HELD],
        )
        return dict(cursor.fetchall())


def held_executions(ids: Iterable[int], *, worker: str) -> dict[int, str]:
    """Return {execution id: its state} of those that `worker` still holds, as `renew_leases`."""
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT id, state FROM instances_execution WHERE id = ANY(%s)"
            " AND worker = %s AND state = ANY(%s)",
            [list(ids), worker, _HELD],
        )
        return dict(cursor.fetchall())
