"""Pausing a batch (B25): nothing of it starts until it is resumed; what runs goes on.

While it is paused nothing of it is ready: dispatch looks at what is ready in a group again and
again, and a pause may last. So what is ready is put back among the waiting ones, and resuming looks
at all of those. Both go in steps that commit. What is left is told by rows (a ready instance of a
paused batch; `Batch.resumed_until`), and whoever is killed is followed by the sweep.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction

from instances import transitions
from instances.engine.announcing import nudge_sweep
from instances.engine.settling import groups_of, limited_tasks_of, settle
from instances.ground.locking import lock_instances
from instances.holds.plan import PAUSED
from instances.models import Batch, BatchNote
from instances.states import PENDING, State
from projects.ground import clock
from projects.ground.bulk import is_held, limit_lock_waits, repeat_on_deadlock
from projects.ground.sql import column

# Instances dealt with in one transaction.
BATCH_SIZE = 2_000

logger = structlog.get_logger(__name__)


def mark_paused(batch_ids: Collection[int]) -> None:
    """Mark batches as paused: who dispatches or starts after the commit sees it."""
    Batch.objects.filter(pk__in=batch_ids, paused_at=None).update(
        paused_at=clock.now(), resumed_until=None
    )


def mark_resumed(batch_ids: Collection[int]) -> None:
    """Take the mark away. After the commit `go_on` has to look at what waits, or the sweep does."""
    Batch.objects.filter(pk__in=batch_ids).update(paused_at=None, resumed_until=0)


def note_batches(batch_ids: Collection[int]) -> None:
    """Let whoever keeps what stands above the batches true look at them."""
    BatchNote.objects.bulk_create(BatchNote(batch_id=pk) for pk in batch_ids)


def hold_paused(batch_ids: Iterable[int]) -> int:
    """Put back what is ready or sent in paused batches; return the instances.

    Call after the commit of the mark: who dispatches or starts one at this moment is waited for.
    Not for long: what is left then goes on on the system queue, as it does should this break off.
    """
    return sum(_for_a_while(_hold_chunk, batch_ids))


def hold_all_paused() -> int:
    """Put back what is ready or sent in any paused batch; return the instances.

    A pause that broke off, or a dispatcher beside it, left them. A probe for each paused batch.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT b.id FROM instances_batch b WHERE {PAUSED.sql} AND ("
            "SELECT true FROM instances_instance i WHERE i.batch_id = b.id"
            " AND i.state = 'WAITING_EXECUTION' LIMIT 1) ORDER BY b.id"
        )
        paused = column(cursor)
    return sum(_for_a_while(_hold_chunk, paused, skip_held=True))


def go_on(batch_ids: Iterable[int]) -> int:
    """Look at all that waits in batches that were resumed; return the instances.

    Not for long: what is left then goes on on the system queue, as it does should this break off.
    """
    return sum(_for_a_while(_go_on_chunk, batch_ids))


def go_on_with_all_resumed() -> int:
    """Go on with every resume that is under way; return the instances looked at."""
    resumed = Batch.objects.filter(resumed_until__isnull=False).order_by("pk")
    ids = resumed.values_list("pk", flat=True)
    return sum(_for_a_while(_go_on_chunk, list(ids), skip_held=True))


def _for_a_while(
    chunk: Callable[..., int], batch_ids: Iterable[int], *, skip_held: bool = False
) -> Iterator[int]:
    """Do chunk after chunk for each batch until it answers 0, or the time is up.

    skip_held: leave out a batch of which others hold something, for who looks again.
    """
    until = time.monotonic() + settings.GO_ON_SECONDS
    lock_seconds = settings.HELD_LOCK_SECONDS if skip_held else None
    for batch_id in batch_ids:
        try:
            while done := chunk(batch_id, lock_seconds=lock_seconds):
                yield done
                if time.monotonic() >= until:
                    nudge_sweep()
                    return
        except OperationalError as error:
            if not (skip_held and is_held(error)):
                raise
            logger.warning("batch_left_to_the_next_sweep", batch_id=batch_id)


@repeat_on_deadlock
@transaction.atomic
def _hold_chunk(batch_id: int, *, lock_seconds: float | None) -> int:
    if lock_seconds is not None:
        limit_lock_waits(lock_seconds)
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


@repeat_on_deadlock
@transaction.atomic
def _go_on_chunk(batch_id: int, *, lock_seconds: float | None) -> int:
    """Look at the next instances, and note how far this came, for whoever goes on."""
    if lock_seconds is not None:
        limit_lock_waits(lock_seconds)
    resuming = Batch.objects.select_for_update(no_key=True, skip_locked=True)
    batch = resuming.filter(pk=batch_id, resumed_until__isnull=False).first()
    if batch is None or batch.resumed_until is None:
        return 0  # paused again, all was looked at, or somebody else is at it
    ids = _ids(batch_id, PENDING, after=batch.resumed_until)
    batch.resumed_until = ids[-1] if ids else None
    batch.save(update_fields=["resumed_until"])
    # Locked, all of them: who looks at one at this moment may still see the pause. At the end, what
    # was made ready beside the pause wants its slots.
    ready = [] if ids else _ids(batch_id, [State.WAITING_EXECUTION], after=0)
    settle(ids, now=clock.now(), freed_groups=groups_of(ready))
    return len(ids)


def _ids(batch_id: int, states: Collection[State], *, after: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM instances_instance WHERE batch_id = %s AND state = ANY(%s)"
            " AND id > %s ORDER BY id LIMIT %s",
            [batch_id, sorted(states), after, BATCH_SIZE],
        )
        return column(cursor)
