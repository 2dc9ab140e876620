"""Rescue: executions whose worker fell silent, announcements nobody answered (design §5.5)."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from instances.engine.announcing import announce, unless_told
from instances.engine.completion import Result, complete, complete_in_parts
from instances.error_codes import ErrorCode
from instances.models import Execution
from instances.states import IN_WORKER, ExecutionState
from projects.ground import clock
from projects.models.resource_group import ResourceGroup

# Executions in one transaction.
BATCH_SIZE = 1_000

logger = structlog.get_logger(__name__)


def rescue(*, now: datetime) -> tuple[int, int]:
    """Close lost executions and announce forgotten ones again; return both numbers.

    All there are, a transaction for each BATCH_SIZE of them; what is left when RESCUE_SECONDS have
    passed comes with the next tick.
    """
    ends_at = time.monotonic() + settings.RESCUE_SECONDS
    closed = announced = 0
    lost = list(
        Execution.objects.filter(state__in=IN_WORKER, lease_until__lt=now)
        .order_by("?")  # so that what somebody holds does not come before the others each time
        .values_list("pk", "instance_id", "worker")
    )
    for first in range(0, len(lost), BATCH_SIZE):
        seconds = ends_at - time.monotonic()
        closed += _close_lost(lost[first : first + BATCH_SIZE], now=now, seconds=seconds)
        if time.monotonic() > ends_at:
            break
    while number := _announce_again(now=now):
        announced += number
        if time.monotonic() > ends_at:
            break
    return closed, announced


def _close_lost(lost: list[tuple[int, int, str]], *, now: datetime, seconds: float) -> int:
    results = [
        Result(
            pk,
            error_code=ErrorCode.WORKER_LOST,
            error_message=f"The worker {worker} has not been heard of since its lease ran out.",
        )
        for pk, _, worker in lost
    ]
    closed = set(
        complete_in_parts(complete, results, seconds=seconds, now=now, lease_before=now)[0]
    )
    for pk, instance_id, worker in lost:
        if pk in closed:
            logger.warning(
                "execution_lost", execution_id=pk, instance_id=instance_id, worker=worker
            )
    return len(closed)


@transaction.atomic
def _announce_again(*, now: datetime) -> int:
    before = now - timedelta(seconds=settings.DISPATCH_RESEND_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE instances_execution SET announced_at = %s WHERE id IN ("
            "SELECT id FROM instances_execution WHERE state = 'SENT' AND announced_at < %s"
            " ORDER BY announced_at LIMIT %s FOR UPDATE SKIP LOCKED)"
            " RETURNING id, resource_group_id",
            [now, before, BATCH_SIZE],
        )
        rows = cursor.fetchall()
    queues = {group.pk: group.queue for group in ResourceGroup.objects.all()} if rows else {}
    again = [(pk, queues[group_id]) for pk, group_id in rows]
    transaction.on_commit(lambda: announce(unless_told(again)))
    return len(rows)


def release_executions_of(worker: str) -> int:
    """Give back what a worker that has ended still holds; return the number of executions.

    worker: its name, or the part of it before the last colon to mean all lives of the process.
    """
    now = clock.now()
    # With the colon: "host:12" is not "host:123:…".
    held = Execution.objects.filter(
        Q(worker=worker) | Q(worker__startswith=f"{worker}:"), state__in=IN_WORKER
    ).values_list("worker", "pk")
    by_life: dict[str, list[Result]] = {}
    seconds = settings.RESCUE_SECONDS
    for life, pk in held:
        by_life.setdefault(life, []).append(given_back(pk))
    return sum(
        len(complete_in_parts(complete, ended, seconds=seconds, now=now, worker=life)[0])
        for life, ended in by_life.items()
    )


def given_back(execution_id: int) -> Result:
    """Return the end of an execution whose worker stops: it starts again at once elsewhere."""
    message = "The worker was stopped; the work was given back."
    return Result(execution_id, ErrorCode.WORKER_STOPPED, message)


def announce_all_sent(*, now: datetime) -> int:
    """Announce every execution that nobody has started: for a broker that forgot its messages."""
    Execution.objects.filter(state=ExecutionState.SENT).update(
        announced_at=now - timedelta(seconds=settings.DISPATCH_RESEND_SECONDS + 1)
    )
    announced = 0
    while number := _announce_again(now=now):
        announced += number
    return announced
