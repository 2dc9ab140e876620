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

from instances.ground.locking import blocked_ids
from instances.ground.prepared import prepared_cursor
from instances.ground.seen import SENT_SINCE, look_where_sent, note_sent_from, sent_from
from instances.holds.listed import BLOCKED, MAY_START
from instances.states import (
    FINISHED,
    FREEZABLE,
    IN_WORKER,
    MARKABLE,
    PENDING,
    RERUNNABLE,
    ExecutionState,
    State,
    sources_of,
)
from projects.ground.sql import column

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
# What somebody said of a success falls with it, when it is to be one anew.
_UNSETTLED = "settled_at = NULL, settled_by_id = NULL, settled_because = ''"
# Of what becomes ready: in which list it stands, and by what those who looked before find it.
_READY = (
    ", ready_xid = pg_current_xact_id()::text::bigint, limited = EXISTS (SELECT FROM"
    " workflows_task t WHERE t.id = task_id AND t.max_parallel IS NOT NULL)"
)
_COLUMNS = frozenset(
    {
        "error_code",
        "error_message",
        "marked",
        "not_before",
        "waiting_since",
        "retry_count",
        "lost_count",
    }
)
_HELD = [state.value for state in IN_WORKER]
# SQL after a statement `moved` that ends instances, or takes up ended ones: the note for whoever
# keeps what stands above their batches true (BatchNote), in the same statement.
_NOTED = """, noted AS (
            INSERT INTO instances_batchnote (batch_id)
            SELECT DISTINCT batch_id FROM moved WHERE batch_id IS NOT NULL
        )"""


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
    if target == State.WAITING_EXECUTION:
        assignments += _READY
    values = [now if value == "now" else value for value in settings.values()]
    statement = (
        f"UPDATE instances_instance SET state = %s{assignments}"
        " WHERE id = ANY(%s) AND state = ANY(%s) RETURNING id"
    )
    if target in FINISHED:
        statement = f"WITH moved AS ({statement}, batch_id){_NOTED} SELECT id FROM moved"
    with prepared_cursor() as cursor:
        cursor.execute(
            statement, [target.value, *values, listed, [state.value for state in wanted]]
        )
        return sorted(column(cursor))


def succeed_inline(ids: Iterable[int], *, now: datetime) -> list[int]:
    """Waiting → SUCCESS for dry and virtual instances, which no worker ever sees."""
    listed = list(ids)
    if not listed:
        return []
    with prepared_cursor() as cursor:
        cursor.execute(
            "WITH moved AS (UPDATE instances_instance SET state = 'SUCCESS', ready_at = %s,"
            " dispatched_at = %s, started_at = %s, ended_at = %s, error_code = '',"
            " error_message = '', total_runs = total_runs + 1"
            " WHERE id = ANY(%s) AND inline AND state = ANY(%s) RETURNING id, batch_id)"
            f"{_NOTED} SELECT id FROM moved",
            [now, now, now, now, listed, [state.value for state in PENDING]],
        )
        return sorted(column(cursor))


def begin_round(ids: Iterable[int], *, now: datetime) -> list[int]:
    """Set the instances that may be back to NOT_RUN for a new round; return those that were.

    Retries count from 0 again, and the clock of a retry holds nobody back any more.
    """
    settings = _ENTERING[State.NOT_RUN]
    assignments = "".join(f", {column} = %s" for column in settings)
    sources = sources_of(State.NOT_RUN) & RERUNNABLE
    with prepared_cursor() as cursor:
        cursor.execute(
            "WITH moved AS (UPDATE instances_instance SET state = 'NOT_RUN', waiting_since = %s,"
            " retry_count = 0, lost_count = 0, not_before = CASE WHEN retry_count + lost_count > 0"
            f" THEN least(not_before, %s) ELSE not_before END, {_UNSETTLED}{assignments}"
            f" WHERE id = ANY(%s) AND state = ANY(%s) RETURNING id, batch_id){_NOTED}"
            " SELECT id FROM moved",
            [now, now, *settings.values(), list(ids), [state.value for state in sources]],
        )
        return sorted(column(cursor))


def settle_by_hand(
    ids: Iterable[int], *, by: int | None, because: str, now: datetime
) -> dict[int, State]:
    """Set the instances that may be to SUCCESS because somebody says so; return {id: new state}.

    One that runs is TERMINATING until `end_terminating`. Who, when and why is kept; the times of
    what ran stay as they were, and what never ran has an end alone.
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            "WITH moved AS (UPDATE instances_instance SET marked = state = 'RUNNING',"
            " state = CASE WHEN state = 'RUNNING' THEN 'TERMINATING' ELSE 'SUCCESS' END,"
            " ended_at = CASE WHEN state <> 'RUNNING' THEN coalesce(ended_at, %s) END,"
            " error_code = '', error_message = '',"
            " settled_at = %s, settled_by_id = %s, settled_because = %s"
            " WHERE id = ANY(%s) AND state = ANY(%s) RETURNING id, state, batch_id)"
            f"{_NOTED} SELECT id, state FROM moved",
            [now, now, by, because, list(ids), [state.value for state in MARKABLE]],
        )
        return {pk: State(state) for pk, state in cursor.fetchall()}


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
            "WITH moved AS (UPDATE instances_instance SET frozen_from = '',"
            " state = CASE WHEN frozen_from = ANY(%s) THEN frozen_from ELSE 'NOT_RUN' END"
            f"{assignments} WHERE id = ANY(%s) AND state = 'FROZEN'"
            f" RETURNING id, state, batch_id){_NOTED} SELECT id, state FROM moved",
            [finished, *values, list(ids)],
        )
        return {pk: State(state) for pk, state in cursor.fetchall()}


def hold_back(ids: Iterable[int], *, now: datetime) -> list[int]:
    """Ready, unstarted instances wait for their upstream again; return those that do."""
    held = move(ids, State.WAITING_UPSTREAM, now=now, sources=[State.WAITING_EXECUTION])
    close_sent_executions(held, ExecutionState.DISMISSED, now=now)
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


def end_terminating(
    ids: Iterable[int], *, now: datetime, error_code: str, error_message: str
) -> dict[int, State]:
    """TERMINATING → SUCCESS for what was marked so, FAILED for all else; return the new states.

    Their processes must be gone, or the leases on them have ended.
    """
    listed = list(ids)
    if not listed:
        return {}
    with prepared_cursor() as cursor:
        cursor.execute(
            "WITH moved AS (UPDATE instances_instance SET ended_at = %s, marked = false,"
            " state = CASE WHEN marked THEN 'SUCCESS' ELSE 'FAILED' END,"
            " error_code = CASE WHEN marked THEN '' ELSE %s END,"
            " error_message = CASE WHEN marked THEN '' ELSE %s END"
            " WHERE id = ANY(%s) AND state = 'TERMINATING' RETURNING id, state, batch_id)"
            f"{_NOTED} SELECT id, state FROM moved",
            [now, error_code, error_message, listed],
        )
        return {pk: State(state) for pk, state in cursor.fetchall()}


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
            f"""
            WITH moved AS (
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
                        %s::bigint[], %s::timestamptz[], %s::text[], %s::text[],
                        %s::int[], %s::int[]
                    ) AS d (id, retry_at, error_code, error_message, retries, losses)
                WHERE i.id = d.id AND i.state = 'RUNNING'
                RETURNING i.id, i.state,
                    CASE WHEN d.retry_at IS NULL THEN i.batch_id END AS batch_id
            ){_NOTED}
            SELECT id, state FROM moved
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
    seen = sent_from(groups)
    with prepared_cursor() as cursor:
        # The instance is locked first, as every verb locks instances before executions. What
        # somebody else holds of the two is being claimed, or operated: it is left to the next look.
        cursor.execute(
            f"""
            WITH groups AS MATERIALIZED (
                SELECT g.id, g.name, first.id AS first
                FROM unnest(%s::text[], %s::bigint[]) AS seen (name, id)
                JOIN projects_resourcegroup g ON g.name = seen.name
                CROSS JOIN LATERAL (
                    SELECT x.id FROM instances_execution x
                    WHERE x.resource_group_id = g.id AND {SENT_SINCE} seen.id
                    ORDER BY x.id LIMIT 1
                ) first
            )
            SELECT own.id, own.instance_id, groups.name, groups.first
            FROM groups CROSS JOIN LATERAL (
                SELECT x.id, x.instance_id FROM instances_execution x
                JOIN instances_instance i ON i.id = x.instance_id
                LEFT JOIN instances_batch b ON b.id = i.batch_id
                WHERE x.resource_group_id = groups.id AND {SENT_SINCE} groups.first
                    AND i.state = 'WAITING_EXECUTION' AND {MAY_START}
                    AND (%s::bigint[] IS NULL OR x.id = ANY(%s))
                ORDER BY x.id LIMIT %s FOR NO KEY UPDATE OF i, x SKIP LOCKED
            ) own ORDER BY own.id LIMIT %s
            """,
            [list(seen), list(seen.values()), wanted, wanted, room, room],
        )
        rows = cursor.fetchall()
        if not rows:
            look_where_sent(seen)
            return []
        ids, locked, names, firsts = (list(column) for column in zip(*rows, strict=True))
        note_sent_from(dict(zip(names, firsts, strict=True)))
        # The look at other rows comes in a new statement, which sees what was committed meanwhile.
        cursor.execute(
            f"""
            WITH claimed AS (
                UPDATE instances_execution AS x
                SET state = 'RUNNING', worker = %s, started_at = %s, lease_until = %s
                FROM instances_instance i LEFT JOIN instances_batch b ON b.id = i.batch_id
                WHERE x.id = ANY(%s) AND x.state = ANY(%s) AND x.instance_id = ANY(%s)
                    AND i.id = x.instance_id AND {MAY_START} AND NOT {BLOCKED}
                RETURNING x.id, x.instance_id
            )
            UPDATE instances_instance AS i
            SET state = 'RUNNING', started_at = %s, total_runs = i.total_runs + 1
            FROM claimed WHERE i.id = claimed.instance_id AND i.state = 'WAITING_EXECUTION'
            RETURNING claimed.id, i.id
            """,
            [worker, now, lease_until, ids, [ExecutionState.SENT.value], locked, now],
        )
        claimed = dict(cursor.fetchall())
        if len(claimed) < len(locked):
            rest = set(locked) - set(claimed.values())
            hold_back(blocked_ids(rest), now=now)
        return sorted(claimed)


def send(ids: Iterable[int], *, most: int, now: datetime) -> dict[int, int]:
    """Make a SENT execution for each of the first `most` of the instances that are ready.

    In the order of `ids`. Those that somebody else holds are passed over. Returns
    {instance id: execution id}, in that order. Their resource group must be locked.
    """
    listed = list(ids)
    if not listed:
        return {}
    with prepared_cursor() as cursor:
        cursor.execute(
            # Chosen once: a subquery in its place might be run for each row, and lock others then.
            # Not before it was ready: `now` may be older than the dispatcher's locks.
            f"""
            WITH chosen AS MATERIALIZED (
                SELECT i.id, array_position(%s::bigint[], i.id) AS place
                FROM instances_instance i LEFT JOIN instances_batch b ON b.id = i.batch_id
                WHERE i.id = ANY(%s) AND i.state = 'WAITING_EXECUTION'
                    AND i.dispatched_at IS NULL AND {MAY_START}
                ORDER BY place LIMIT %s FOR NO KEY UPDATE OF i SKIP LOCKED
            ), ready AS (
                UPDATE instances_instance AS i SET dispatched_at = greatest(%s, i.ready_at)
                FROM chosen WHERE i.id = chosen.id RETURNING i.*, chosen.place
            )
            INSERT INTO instances_execution (instance_id, task_id, number, cause, state,
                resource_group_id, worker, waiting_since, ready_at, dispatched_at, announced_at,
                code, parameters, error_code, error_message, log_bytes)
            SELECT i.id, i.task_id, coalesce(last.number, 0) + 1,
                CASE
                    WHEN last.round = i.waiting_since THEN 'RETRY'
                    WHEN i.total_runs > 0 THEN 'RERUN'
                    WHEN i.kind = 'BACKFILL' THEN 'BACKFILL'
                    ELSE 'FIRST'
                END,
                'SENT', i.resource_group_id, '', i.waiting_since, i.ready_at,
                i.dispatched_at, i.dispatched_at, '', '{{}}'::jsonb, '', '', 0
            FROM ready i LEFT JOIN LATERAL (
                SELECT max(x.number) AS number,
                    max(x.waiting_since) FILTER (WHERE x.started_at IS NOT NULL) AS round
                FROM instances_execution x WHERE x.instance_id = i.id
            ) last ON true
            ORDER BY i.place RETURNING instance_id, id
            """,
            [listed, listed, most, now],
        )
        return dict(cursor.fetchall())


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
    reports: Iterable[Report],
    *,
    now: datetime,
    worker: str | None = None,
    lease_before: datetime | None = None,
) -> dict[int, Closed]:
    """End the executions that a worker still holds; one that was told to stop ends TERMINATED, or
    DISMISSED when that was because its instance was marked success.

    worker: only those that it holds: after a failover of the database that lost a claim, the same
    execution may be another worker's. lease_before: only those whose lease ended before. Returns
    {execution id: what it was}; the instances must be locked already.
    """
    rows = [astuple(report) for report in reports]
    if not rows:
        return {}
    with prepared_cursor() as cursor:
        cursor.execute(
            """
            UPDATE instances_execution AS x SET
                state = CASE WHEN i.marked THEN 'DISMISSED'
                    WHEN old.state = 'TERMINATING' THEN 'TERMINATED' ELSE d.state END,
                ended_at = %s,
                error_code = CASE WHEN i.marked THEN ''
                    WHEN old.state = 'TERMINATING' THEN 'TERMINATED' ELSE d.error_code END,
                error_message = CASE WHEN i.marked THEN '' ELSE d.error_message END,
                exit_code = d.exit_code,
                log_bytes = greatest(x.log_bytes, d.log_bytes)
            FROM unnest(
                    %s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[], %s::bigint[]
                ) AS d (id, state, error_code, error_message, exit_code, log_bytes),
                instances_execution old
                JOIN instances_instance i ON i.id = old.instance_id
                LEFT JOIN workflows_task t ON t.id = i.task_id AND t.max_parallel IS NOT NULL
            WHERE x.id = d.id AND old.id = x.id AND x.state = ANY(%s)
                AND (%s::text IS NULL OR x.worker = %s)
                AND (%s::timestamptz IS NULL OR x.lease_until < %s)
            RETURNING x.id, x.instance_id, x.resource_group_id, old.state, t.id
            """,
            [
                now,
                *(list(column) for column in zip(*rows, strict=True)),
                _HELD,
                worker,
                worker,
                lease_before,
                lease_before,
            ],
        )
        return {
            pk: Closed(instance_id, group_id, ExecutionState(was), limited)
            for pk, instance_id, group_id, was, limited in cursor.fetchall()
        }


def close_sent_executions(
    instance_ids: Iterable[int], target: ExecutionState, *, now: datetime, error_code: str = ""
) -> list[int]:
    """End the executions of the instances that no worker has started: they never start.

    One that a worker has is never ended by an operation: its process lives. It is asked to stop,
    and ends with the report that the process is gone, or with its lease.
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_execution SET state = %s, ended_at = %s, error_code = %s"
            " WHERE instance_id = ANY(%s) AND state = 'SENT' RETURNING id",
            [target.value, now, error_code, list(instance_ids)],
        )
        return sorted(column(cursor))


def ask_to_stop(instance_ids: Iterable[int], *, now: datetime) -> list[int]:
    """RUNNING → TERMINATING for executions: their worker sees it at its next pulse."""
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_execution SET state = 'TERMINATING', stop_requested_at = %s"
            " WHERE instance_id = ANY(%s) AND state = 'RUNNING' RETURNING id",
            [now, list(instance_ids)],
        )
        return sorted(column(cursor))


def renew_leases(ids: Iterable[int], *, worker: str, lease_until: datetime) -> dict[int, str]:
    """Extend the leases that `worker` still holds; return {execution id: its state}.

    One that is missing was closed by somebody else, or somebody has locked it: that must not hold
    up the leases of the others. `held_executions` tells which.
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_execution AS x SET lease_until = %s FROM"
            " (SELECT id FROM instances_execution WHERE id = ANY(%s) AND worker = %s"
            " AND state = ANY(%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) AS mine"
            " WHERE x.id = mine.id RETURNING x.id, x.state",
            [lease_until, list(ids), worker, _HELD],
        )
        return dict(cursor.fetchall())


def held_executions(ids: Iterable[int], *, worker: str) -> dict[int, str]:
    """Return {execution id: its state} of those that `worker` still holds.

    An id that is missing was closed by somebody else: its process must go and its result is void.
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT id, state FROM instances_execution WHERE id = ANY(%s)"
            " AND worker = %s AND state = ANY(%s)",
            [list(ids), worker, _HELD],
        )
        return dict(cursor.fetchall())
