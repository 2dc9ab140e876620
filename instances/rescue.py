"""Rescue: executions whose worker fell silent, announcements nobody answered (design §5.5)."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from instances.announcing import announce
from instances.completion import Result, complete
from instances.models import Execution
from instances.runners.error_codes import ErrorCode
from instances.states import IN_WORKER, ExecutionState
from projects import clock
from projects.models.resource_group import ResourceGroup

BATCH_SIZE = 1_000

logger = structlog.get_logger(__name__)


def rescue(*, now: datetime) -> tuple[int, int]:
    """Close lost executions and announce forgotten ones again; return both numbers."""
    return _close_lost(now=now), _announce_again(now=now)


def _close_lost(*, now: datetime) -> int:
    lost = list(
        Execution.objects.filter(state__in=IN_WORKER, lease_until__lt=now)
        .order_by("lease_until")
        .values_list("pk", "instance_id", "worker")[:BATCH_SIZE]
    )
    results = [
        Result(
            pk,
            error_code=ErrorCode.WORKER_LOST,
            error_message=f"The worker {worker} has not been heard of since its lease ran out.",
        )
        for pk, _, worker in lost
    ]
    closed = set(complete(results, now=now, lease_before=now)) if results else set()
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
    transaction.on_commit(lambda: announce([(pk, queues[group_id]) for pk, group_id in rows]))
    return len(rows)


def release_executions_of(worker: str) -> int:
    """Give back what a worker that has ended still holds; return the number of executions.

    worker: its name, or the part of it before the last colon to mean all lives of the process.
    """
    now = clock.now()
    # With the colon: "host:12" is not "host:123:…".
    held = Execution.objects.filter(
        Q(worker=worker) | Q(worker__startswith=f"{worker}:"), state__in=IN_WORKER
    ).values_list("pk", flat=True)
    results = [
        Result(
            pk,
            error_code=ErrorCode.WORKER_STOPPED,
            error_message="The worker was stopped; the work was given back.",
        )
        for pk in held
    ]
    return len(complete(results, now=now)) if results else 0


def announce_all_sent(*, now: datetime) -> int:
    """Announce every execution that nobody has started: for a broker that forgot its messages."""
    Execution.objects.filter(state=ExecutionState.SENT).update(
        announced_at=now - timedelta(seconds=settings.DISPATCH_RESEND_SECONDS + 1)
    )
    return _announce_again(now=now)
