"""Execution: a worker's part in one attempt, from the claim to the result.

Claims and notes are made for many executions at once; what runs in between needs no database but
for its log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from structlog.contextvars import bound_contextvars

from instances import transitions
from instances.completion import Result
from instances.logs.collecting import LogCollector
from instances.logs.redaction import Redactor
from instances.logs.writing import chunk_sink
from instances.models import Execution
from instances.prepared import prepared_cursor
from instances.preparing import NotPrepared, Prepared, prepare
from instances.pulse import Pulse
from instances.runners.base import BadConfig, Runner
from instances.runners.error_codes import ErrorCode
from instances.runners.registry import UnknownTaskType, get_runner
from instances.runners.running import run_launch
from instances.runners.spawner_client import get_client
from projects import clock
from projects.bulk import repeat_on_deadlock
from projects.models.resource_group import group_of_queue
from workflows.models import Task

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


def begin(execution_ids: Sequence[int]) -> list[Attempt]:
    """Prepare claimed executions; a constant number of queries but for data sources."""
    executions = Execution.objects.select_related(
        "instance__task__workflow", "instance__project"
    ).in_bulk(execution_ids)
    attempts = [_prepare(executions[pk]) for pk in execution_ids if pk in executions]
    _note_code([attempt for attempt in attempts if attempt.prepared is not None])
    _note_first_runs(executions.values())
    return attempts


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


def _note_code(attempts: Sequence[Attempt]) -> None:
    """Store the code as executed and the parameters that were filled in (I11)."""
    rows = [
        (attempt.execution_id, attempt.prepared.context.code, dict(attempt.prepared.parameters))
        for attempt in attempts
        if attempt.prepared is not None
    ]
    if not rows:
        return
    ids, codes, parameters = zip(*rows, strict=True)
    with prepared_cursor() as cursor:
        cursor.execute(
            "UPDATE instances_execution AS x SET code = d.code, parameters = d.parameters"
            " FROM unnest(%s::bigint[], %s::text[], %s::jsonb[]) AS d (id, code, parameters)"
            " WHERE x.id = d.id",
            [list(ids), list(codes), [json.dumps(values) for values in parameters]],
        )


def _note_first_runs(executions: Iterable[Execution]) -> None:
    first = [one for one in executions if one.instance.task.first_run_at is None]
    if first:
        # Claimed together, they have started at one instant.
        Task.objects.filter(
            pk__in={one.instance.task_id for one in first}, first_run_at=None
        ).update(first_run_at=first[0].started_at)


def run(attempt: Attempt, pulse: Pulse) -> Result:
    """Run one attempt to its end and return how it ended.

    Whatever goes wrong in here ends it as INTERNAL_ERROR; only the death of the process itself is
    left to rescue. Every line that is logged meanwhile carries both ids.
    """
    if attempt.refusal is not None:
        return attempt.refusal
    with bound_contextvars(execution_id=attempt.execution_id, instance_id=attempt.instance_id):
        try:
            return _run(attempt, pulse)
        except Exception as error:  # noqa: BLE001  # whatever it is, the execution ends by it
            return _broken(attempt.execution_id, error)


def _run(attempt: Attempt, pulse: Pulse) -> Result:
    pk, prepared, runner = attempt.execution_id, attempt.prepared, attempt.runner
    assert prepared is not None and runner is not None
    try:
        launch = runner.prepare(prepared.context)
    except BadConfig as error:
        return Result(pk, ErrorCode.BAD_CONFIG, str(error))
    if launch is None:
        return Result(pk)
    collector = LogCollector(chunk_sink(pk), secrets=prepared.context.secrets)
    outcome = run_launch(
        launch,
        runner=runner,
        client=get_client(),
        collector=collector,
        timeout=prepared.timeout,
        should_stop=lambda: pulse.stop_of(pk),
        lease_until=lambda: pulse.lease_of(pk),
    )
    if collector.unsent and not collector.finish():
        logger.warning("log_incomplete", error=str(collector.sink_error))
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


def _broken(execution_id: int, error: Exception) -> Result:
    logger.exception("execution_broke")
    message = f"Tidemill failed while it drove the execution: {type(error).__name__}."
    return Result(execution_id, ErrorCode.INTERNAL_ERROR, message)
