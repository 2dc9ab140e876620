"""Slots outside a plan that its instances wait for: which of them exist (design §6)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import connection

from backfill.facts import TaskFacts

Slot = tuple[int, datetime]  # (task id, planned time)


def existing_slots(slots: Collection[Slot]) -> set[Slot]:
    """Return the slots that have a periodic instance, or else one of any plan that succeeded.

    One query. These are what an edge to a slot outside the plan can be joined with.
    """
    if not slots:
        return set()
    task_ids, times = zip(*slots, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT i.task_id, i.scheduled_at FROM instances_instance i"
            " JOIN unnest(%s::bigint[], %s::timestamptz[]) AS s (task_id, scheduled_at)"
            " USING (task_id, scheduled_at) WHERE i.batch_id IS NULL OR i.state = 'SUCCESS'",
            [list(task_ids), list(times)],
        )
        return set(cursor.fetchall())


def not_waited_for(slots: Collection[Slot], facts: Mapping[int, TaskFacts]) -> set[Slot]:
    """Return the slots that are neither there nor owed by their task: no edge is made to them."""
    doubtful = {slot for slot in slots if not facts[slot[0]].owes(slot[1])}
    return doubtful - existing_slots(doubtful)
