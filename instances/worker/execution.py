"""Execution: a worker's part in one attempt, from the claim to the result.

Claims and notes are made for many executions at once; what runs in between needs no database but
for its log.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from structlog.contextvars import bound_contextvars

from instances import transitions
from instances.engine.completion import Result
from instances.error_codes import ErrorCode
from instances.ground.prepared import prepared_cursor
from instances.logs.collecting import LogCollector
from instances.logs.redaction import Redactor
from instances.models import Execution
from instances.runners.base import BadConfig, Runner
from instances.runners.registry import UnknownTaskType, get_runner
from instances.runners.running import run_launch
from instances.runners.users import user_of
from instances.worker.life import Life
from instances.worker.preparing import NotPrepared, Prepared, prepare
from projects.ground import clock
from projects.ground.bulk import repeat_on_deadlock
from projects.ground.sql import column
from projects.models.resource_group import group_of_queue

_MAX_CODE_LENGTH = Execution._meta.get_field("error_code").max_length

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claimed execution, ready to run; or, with `refusal`, one that cannot run at all."""

    execution_id: int
    instance_id: int
    prepared: Prepared | None = None
    runner: Runner | None = None
    refusal: Result | None = None
    # What could not be noted, as somebody held the row; it is tried again when it has run.
    notes_left: tuple[Callable[[], object], ...] = ()


@repeat_on_deadlock
@transaction.atomic
def claim(queues: Iterable[str], *, room: int, worker: str) -> list[int]:
    """Claim up to `room` sent executions of the queues' resource groups, the oldest first."""
    now = clock.now()
    return transitions.claim_executions(
        [group_of_queue(queue) for queue in queues],
        room=room,
        worker=worker,
        lease_until=now + timedelta(seconds=settings.EXECUTION_LEASE_SECONDS),
        now=now,
    )


def begin(execution_ids: Sequence[int], *, worker: str) -> list[Attempt]:
    """Prepare executions that the worker claimed; a constant number of queries but for data
    sources. One that was deleted meanwhile is missing from the answer."""
    executions = Execution.objects.select_related(
        "instance__task__workflow", "instance__project"
    ).in_bulk(execution_ids)
    attempts = [_prepare(executions[pk]) for pk in execution_ids if pk in executions]
    noted = _note_code(attempts, worker)
    first_runs = _note_first_runs(executions.values())
    left: dict[int, list[Callable[[], object]]] = defaultdict(list)
    for attempt in attempts:
        pk = attempt.execution_id
        if attempt.prepared is not None and pk not in noted:
            left[pk].append(partial(_note_code, [attempt], worker, skip_held=False))
        if executions[pk].instance.task_id in first_runs:
            left[pk].append(partial(_note_first_runs, [executions[pk]]))
    return [
        replace(attempt, notes_left=tuple(left.get(attempt.execution_id, ())))
        for attempt in attempts
    ]


def _prepare(execution: Execution) -> Attempt:
    pk, instance_id = execution.pk, execution.instance_id
    with bound_contextvars(execution_id=pk, instance_id=instance_id):
        try:
            prepared = prepare(execution)
            runner = get_runner(prepared.context.task_type)
            return Attempt(pk, instance_id, prepared, runner)
        except NotPrepared as error:
            refusal = Result(pk, error.code, str(error))
        except UnknownTaskType as error:
            refusal = Result(pk, ErrorCode.UNKNOWN_TASK_TYPE, str(error))
        except Exception as error:  # noqa: BLE001  # one bad row must not stop the others
            refusal = _broken(pk, error)
    return Attempt(pk, instance_id, refusal=refusal)


def _note_code(attempts: Sequence[Attempt], worker: str, *, skip_held: bool = True) -> set[int]:
    """Store the code as executed and the parameters that were filled in (I11).

    Returns the executions for which this was done; skip_held: not those that somebody holds.
    """
    rows = [
        (attempt.execution_id, attempt.prepared.context.code, dict(attempt.prepared.parameters))
        for attempt in attempts
        if attempt.prepared is not None
    ]
    if not rows:
        return set()
    ids, codes, parameters = zip(*rows, strict=True)
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_execution AS x SET code = d.code, parameters = d.parameters"
            " FROM unnest(%s::bigint[], %s::text[], %s::jsonb[]) AS d (id, code, parameters),"
            " (SELECT id FROM instances_execution WHERE id = ANY(%s) AND worker = %s"
            " AND ended_at IS NULL ORDER BY id FOR NO KEY UPDATE"
            f"{' SKIP LOCKED' if skip_held else ''}) AS free"
            " WHERE x.id = d.id AND x.id = free.id RETURNING x.id",
            [
                list(ids),
                list(codes),
                [json.dumps(values) for values in parameters],
                list(ids),
                worker,
            ],
        )
        return set(column(cursor))


def _note_first_runs(executions: Iterable[Execution]) -> set[int]:
    """Note when tasks ran for the first time; return those that somebody holds: none waits.

    What a plan runs is no run of the schedule's.
    """
    first = [
        one
        for one in executions
        if one.instance.task.first_run_at is None and one.instance.batch_id is None
    ]
    if not first:
        return set()
    task_ids = {one.instance.task_id for one in first}
    with prepared_cursor() as cursor:
        # Claimed together, they have started at one instant.
        cursor.execute(
            "UPDATE workflows_task SET first_run_at = %s WHERE id IN (SELECT id FROM"
            " workflows_task WHERE id = ANY(%s) AND first_run_at IS NULL"
            " FOR NO KEY UPDATE SKIP LOCKED) RETURNING id",
            [first[0].started_at, list(task_ids)],
        )
        # Or another run of it was first.
        return task_ids - set(column(cursor))


def run(attempt: Attempt, life: Life) -> Result:
    """Run one attempt to its end and return how it ended.

    Whatever goes wrong in here ends it as INTERNAL_ERROR; only the death of the process itself is
    left to rescue. Every line that is logged meanwhile carries both ids. The end of its log comes
    with the result.
    """
    if attempt.refusal is not None:
        return attempt.refusal
    with bound_contextvars(execution_id=attempt.execution_id, instance_id=attempt.instance_id):
        try:
            result = _run(attempt, life)
        except MemoryError as error:
            result = exhausted(attempt.execution_id, error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the execution ends by it
            result = _broken(attempt.execution_id, error)
        for note in attempt.notes_left:
            try:
                note()
            except Exception:
                logger.warning("not_noted", exc_info=True)
        return replace(result, log=life.pulse.logs.take(attempt.execution_id))


def _run(attempt: Attempt, life: Life) -> Result:
    pulse = life.pulse
    pk, prepared, runner = attempt.execution_id, attempt.prepared, attempt.runner
    assert prepared is not None and runner is not None
    try:
        launch = runner.launch(prepared.context)
    except BadConfig as error:
        return Result(pk, ErrorCode.BAD_CONFIG, str(error))
    if launch is None:
        return Result(pk)
    launch = replace(launch, user=user_of(prepared.project_id))
    collector = LogCollector(pulse.logs.sink_of(pk), secrets=prepared.context.secrets)
    try:
        outcome = run_launch(
            launch,
            runner=runner,
            client=life.client,
            collector=collector,
            timeout=prepared.timeout,
            should_stop=lambda: pulse.stop_of(pk),
            lease_until=lambda: pulse.lease_of(pk),
        )
    finally:
        collector.finish()
    return Result(
        pk,
        # What the task itself reported may be anything.
        error_code=_storable(outcome.error_code or "")[:_MAX_CODE_LENGTH],
        error_message=_storable(Redactor(prepared.context.secrets).redact(outcome.message)),
        exit_code=outcome.exit_code,
        log_bytes=outcome.log_bytes,
    )


def _storable(text: str) -> str:
    """Replace what PostgreSQL's texts cannot hold."""
    return text.replace("\0", "␀").encode("utf-8", "replace").decode()


def exhausted(execution_id: int, error: BaseException) -> Result:
    """Return the end of an execution for which this worker had no thread or no memory."""
    with suppress(Exception):  # there may be no memory for that either
        logger.warning("worker_exhausted", execution_id=execution_id, error=repr(error))
    message = f"This worker could not run it: {str(error) or type(error).__name__}."
    return Result(execution_id, ErrorCode.WORKER_EXHAUSTED, message)


def _broken(execution_id: int, error: Exception) -> Result:
    logger.exception("execution_broke")
    message = f"Tidemill failed while it drove the execution: {type(error).__name__}."
    return Result(execution_id, ErrorCode.INTERNAL_ERROR, message)
