"""Pausing a batch (B25): nothing of it starts until it is resumed; what runs goes on."""

from __future__ import annotations

from django.db import connection, transaction

from instances import transitions
from instances.engine import groups_of, limited_tasks_of, set_going, settle
from instances.models import Batch
from instances.states import PENDING
from projects import clock
from projects.bulk import repeat_on_deadlock

# Instances looked at in one go when a batch is resumed.
BATCH_SIZE = 5_000


def pause_batch(*, batch_id: int) -> None:
    """Pause a batch: when this returns, nothing of it starts any more. Safe to repeat.

    Rights and record are the business of the verb that pauses a plan.
    """
    # Committed first: whoever dispatches or starts from now on sees it. Who does so at this moment
    # is waited for when his instances are taken back.
    Batch.objects.filter(pk=batch_id, paused_at=None).update(paused_at=clock.now())
    _take_back(batch_id)


def resume_batch(*, batch_id: int) -> None:
    """Let a paused batch go on. Safe to repeat: that takes up what a broken-off call left."""
    Batch.objects.filter(pk=batch_id).update(paused_at=None)
    last = 0
    while ids := _pending_after(batch_id, last):
        # Locked, all of them: who looks at one at this moment may still see the pause.
        set_going(ids)
        last = ids[-1]
    # What was ready when the pause came wants its slots.
    with transaction.atomic():
        settle([], now=clock.now(), freed_groups=_ready_groups(batch_id))


def take_back_paused() -> int:
    """Take back what a dispatcher sent while its batch was being paused; answers the instances."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT b.id FROM instances_execution x"
            " JOIN instances_instance i ON i.id = x.instance_id"
            " JOIN instances_batch b ON b.id = i.batch_id"
            " WHERE x.state = 'SENT' AND b.paused_at IS NOT NULL"
        )
        paused = [row[0] for row in cursor.fetchall()]
    return sum(_take_back(batch_id) for batch_id in paused)


@repeat_on_deadlock
@transaction.atomic
def _take_back(batch_id: int) -> int:
    now = clock.now()
    taken = transitions.take_back(batch_id, now=now)
    settle([], now=now, freed_groups=groups_of(taken), freed_tasks=limited_tasks_of(taken))
    return len(taken)


def _pending_after(batch_id: int, last: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM instances_instance WHERE batch_id = %s AND state = ANY(%s)"
            " AND id > %s ORDER BY id LIMIT %s",
            [batch_id, sorted(PENDING), last, BATCH_SIZE],
        )
        return [row[0] for row in cursor.fetchall()]


def _ready_groups(batch_id: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT resource_group_id FROM instances_instance"
            " WHERE batch_id = %s AND state = 'WAITING_EXECUTION' AND dispatched_at IS NULL",
            [batch_id],
        )
        return [row[0] for row in cursor.fetchall()]
