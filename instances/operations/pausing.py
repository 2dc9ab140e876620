"""Pausing a batch (B25): nothing of it starts until it is resumed; what runs goes on.

While it is paused nothing of it is ready: dispatch looks at what is ready in a group again and
again, and a pause may last. So what is ready is put back among the waiting ones, and resuming looks
at all of those.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection, transaction

from instances import transitions
from instances.engine import groups_of, limited_tasks_of, set_going, settle
from instances.locking import lock_instances
from instances.models import Batch
from instances.states import PENDING, State
from projects import clock
from projects.bulk import repeat_on_deadlock

# Instances dealt with in one transaction.
BATCH_SIZE = 5_000


def pause_batch(*, batch_id: int) -> None:
    """Pause a batch: when this returns, nothing of it starts any more. Safe to repeat.

    Rights and record are the business of the verb that pauses a plan.
    """
    mark_paused([batch_id])
    hold_paused(batch_id)


def resume_batch(*, batch_id: int) -> None:
    """Let a paused batch go on. Safe to repeat: that takes up what a broken-off call left."""
    mark_resumed([batch_id])
    go_on(batch_id)


def mark_paused(batch_ids: Collection[int]) -> None:
    """Mark batches as paused: who dispatches or starts after the commit sees it."""
    Batch.objects.filter(pk__in=batch_ids, paused_at=None).update(paused_at=clock.now())


def mark_resumed(batch_ids: Collection[int]) -> None:
    """Take the mark away. After the commit `go_on` has to look at what waits."""
    Batch.objects.filter(pk__in=batch_ids).update(paused_at=None)


def hold_paused(batch_id: int) -> int:
    """Put back what is ready or sent in a paused batch; return the instances.

    Call after the commit of the mark: who dispatches or starts one at this moment is waited for.
    """
    held = 0
    while chunk := _hold_chunk(batch_id):
        held += chunk
    return held


def hold_all_paused() -> int:
    """Put back what a dispatcher sent while its batch was being paused; return the instances."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT b.id FROM instances_execution x"
            " JOIN instances_instance i ON i.id = x.instance_id"
            " JOIN instances_batch b ON b.id = i.batch_id"
            " WHERE x.state = 'SENT' AND b.paused_at IS NOT NULL"
        )
        paused = [row[0] for row in cursor.fetchall()]
    return sum(hold_paused(batch_id) for batch_id in paused)


def go_on(batch_id: int) -> None:
    """Look at all that waits in a batch that was resumed."""
    last = 0
    while ids := _ids(batch_id, PENDING, after=last):
        # Locked, all of them: who looks at one at this moment may still see the pause.
        set_going(ids)
        last = ids[-1]
    # What was made ready beside the pause wants its slots.
    with transaction.atomic():
        ready = _ids(batch_id, [State.WAITING_EXECUTION], after=0)
        settle([], now=clock.now(), freed_groups=groups_of(ready))


@repeat_on_deadlock
@transaction.atomic
def _hold_chunk(batch_id: int) -> int:
    # Locked: who resumes the batch waits, and then finds what is put back here.
    paused = Batch.objects.select_for_update(no_key=True).filter(paused_at__isnull=False)
    if paused.filter(pk=batch_id).first() is None:
        return 0  # resumed meanwhile
    ids = _ids(batch_id, [State.WAITING_EXECUTION], after=0)
    lock_instances(ids)
    now = clock.now()
    held = transitions.hold_back(ids, now=now)
    settle([], now=now, freed_groups=groups_of(held), freed_tasks=limited_tasks_of(held))
    return len(held)


def _ids(batch_id: int, states: Collection[State], *, after: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM instances_instance WHERE batch_id = %s AND state = ANY(%s)"
            " AND id > %s ORDER BY id LIMIT %s",
            [batch_id, sorted(states), after, BATCH_SIZE],
        )
        return [row[0] for row in cursor.fetchall()]
