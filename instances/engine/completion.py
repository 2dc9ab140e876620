"""Completion: an execution ended, and its instance goes on to success, retry or failure.

Results are fenced by execution id and worker (design §5.3): only an execution that is still the
live one of its instance, and still its worker's, is closed here. A late result finds nothing to
close and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction

from instances import transitions
from instances.engine.retries import WORKER_GONE, WORKER_LOSSES, RetryPolicy, retry_at
from instances.engine.settling import settle
from instances.error_codes import ErrorCode
from instances.ground.locking import in_parts, lock_instances_of
from instances.logs.writing import insert_chunks
from instances.models import Instance
from instances.states import ExecutionState, State
from projects.ground.bulk import repeat_on_deadlock
from workflows.definitions.version_loading import read_definitions


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one execution. An empty error_code means success.

    log: the chunks (sequence, text) of its log that may not have been stored yet.
    """

    execution_id: int
    error_code: str = ""
    error_message: str = ""
    exit_code: int | None = None
    log_bytes: int = 0
    log: tuple[tuple[int, str], ...] = field(default=(), compare=False, repr=False)


def complete_in_parts(
    verb: Callable[..., list[int]], results: Sequence[Result], *, seconds: float, **options: Any
) -> tuple[list[int], list[Result]]:
    """Complete by `verb`, and leave out those whose rows somebody holds: closed ids, those left.

    seconds: see `in_parts`.
    """
    closed, left = in_parts(partial(verb, **options), results, seconds=seconds)
    return [pk for part in closed for pk in part], left


@repeat_on_deadlock
@transaction.atomic
def complete(
    results: Sequence[Result],
    *,
    now: datetime,
    worker: str | None = None,
    lease_before: datetime | None = None,
    lock_seconds: float | None = None,
) -> list[int]:
    """Close executions and move their instances on; return the execution ids that counted.

    worker: close only those that this worker holds: whoever reports on its own work must say who
    it is. lease_before: close only those whose lease ended before, as somebody else judges them
    lost. lock_seconds: wait for no lock longer (OperationalError, see `is_held`). The ends of their
    logs are stored with them. A constant number of queries for any number of results.
    """
    if lock_seconds is None:
        lock_seconds = settings.DATABASE_LOCK_SECONDS
    by_id = {result.execution_id: result for result in results}
    lock_instances_of(by_id, lock_seconds=lock_seconds)
    closed = transitions.close_reported(
        [
            transitions.Report(
                result.execution_id,
                _end_state(result.error_code),
                result.error_code,
                result.error_message,
                result.exit_code,
                result.log_bytes,
            )
            for result in results
        ],
        now=now,
        worker=worker,
        lease_before=lease_before,
    )
    insert_chunks(
        (one.execution_id, *chunk)
        for one in results
        if one.execution_id in closed
        for chunk in one.log
    )
    ran = {closed[pk].instance_id: pk for pk in closed if closed[pk].was == ExecutionState.RUNNING}
    stopped = [c.instance_id for c in closed.values() if c.was == ExecutionState.TERMINATING]

    succeeded = transitions.move(
        [pk for pk, execution in ran.items() if not by_id[execution].error_code],
        State.SUCCESS,
        now=now,
        sources=[State.RUNNING],
    )
    failed = {pk: by_id[execution] for pk, execution in ran.items() if by_id[execution].error_code}
    again: list[int] = []
    if failed:
        decisions = _decide(failed, now=now)
        retrying = transitions.fail_or_retry(decisions, now=now)
        due = [d.instance_id for d in decisions if d.retry_at is not None and d.retry_at <= now]
        # What is due at once, as after a lost worker, does not wait for the sweep.
        again = transitions.move(
            [pk for pk in due if pk in retrying], State.NOT_RUN, now=now, sources=[State.RETRYING]
        )
    ended = transitions.end_terminating(
        stopped,
        now=now,
        error_code=ErrorCode.TERMINATED,
        error_message="Terminated by an operator while it was running.",
    )
    succeeded += [pk for pk, state in ended.items() if state == State.SUCCESS]
    groups = {c.resource_group_id for c in closed.values()}
    limited = {c.limited_task_id for c in closed.values() if c.limited_task_id is not None}
    settle(again, now=now, succeeded=succeeded, freed_groups=groups, freed_tasks=limited)
    return sorted(closed)


def _end_state(error_code: str) -> ExecutionState:
    if not error_code:
        return ExecutionState.SUCCESS
    return ExecutionState.LOST if error_code in WORKER_GONE else ExecutionState.FAILED


def _decide(failed: dict[int, Result], *, now: datetime) -> list[transitions.Decision]:
    """Ask the retry policy of each instance's version what comes next."""
    decisions = []
    rows = list(
        Instance.objects.filter(pk__in=failed).values_list(
            "pk", "retry_count", "retry_limit", "lost_count", "version_id"
        )
    )
    definitions, _ = read_definitions(row[4] for row in rows)
    for pk, retries, limit, losses, version_id in rows:
        result = failed[pk]
        policy = RetryPolicy(
            limit=0, interval=0
        )  # what cannot be read is not tried again, and stops nobody
        if version_id in definitions:
            given = definitions[version_id].retries
            policy = RetryPolicy(limit, given.interval, given.backoff, given.max_interval)
        again_at = retry_at(
            policy,
            error_code=result.error_code,
            retries_so_far=retries,
            losses_so_far=losses,
            now=now,
        )
        decisions.append(
            transitions.Decision(
                pk,
                again_at,
                result.error_code,
                result.error_message,
                retries=int(again_at is not None and result.error_code not in WORKER_GONE),
                losses=int(result.error_code in WORKER_LOSSES),
            )
        )
    return decisions
