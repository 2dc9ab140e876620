"""Keeping the stored states of plans true to their instances (B21)."""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import Min

from backfill import transitions
from instances.models import Batch, BatchNote
from projects.ground import clock

# PostgreSQL's advisory lock of whoever settles: a number of our own.
_LOCK = 7_316_406
# Batches of one transaction, those with the oldest notes: of plans that are over it counts all
# instances.
BATCHES_AT_ONCE = 100


@transaction.atomic
def settle_plans() -> tuple[int, int]:
    """Complete running plans whose instances have all finished, and set finished plans running of
    which an instance was run again. Returns how many of each.

    Looks at the plans of batches with a note and at no others, and takes the notes away: it costs
    what changed, however many plans run or ever ended. A plan ends when its last instance ended; a
    pause ends with it. A plan that somebody holds is left to the next time. Returns at once when
    somebody else is at it.
    """
    with connection.cursor() as cursor:
        # One at a time: else one could take a note away while another, which does not see it yet,
        # completes that plan.
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0, 0
    oldest = BatchNote.objects.values("batch").annotate(first=Min("pk")).order_by("first")
    chosen = list(oldest.values_list("batch", flat=True)[:BATCHES_AT_ONCE])
    notes = dict(BatchNote.objects.filter(batch__in=chosen).values_list("pk", "batch_id"))
    if not notes:
        return 0, 0
    settled = transitions.settle(set(notes.values()), now=clock.now())
    paused = Batch.objects.filter(pk__in=settled.completed, paused_at__isnull=False)
    paused.update(paused_at=None)
    read = [pk for pk, batch_id in notes.items() if batch_id not in settled.held]
    BatchNote.objects.filter(pk__in=read).delete()
    return len(settled.completed), len(settled.reopened)
