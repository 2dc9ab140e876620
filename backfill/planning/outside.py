"""Slots outside a plan that its instances wait for: which of them exist (design §6)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from backfill.planning.facts import TaskFacts
from instances.engine.fires import existing_slots

Slot = tuple[int, datetime]  # (task id, planned time)


def not_waited_for(slots: Collection[Slot], facts: Mapping[int, TaskFacts]) -> set[Slot]:
    """Return the slots that are neither there nor owed by their task: no edge is made to them."""
    doubtful = {slot for slot in slots if not facts[slot[0]].owes(slot[1])}
    return doubtful - existing_slots(doubtful)
