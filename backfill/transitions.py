"""The one module that writes the states of plans, by guarded updates (design §7).

A plan that is no more in a state from which it may be moved is left as it is. The columns that
belong to a state are set with it, so that the CHECK constraints always hold.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F

from backfill.models import Plan
from backfill.models.shown import with_states
from backfill.states import OVER, PlanState, sources_of
from instances.models import Batch
from instances.states import listed

# What a state means for the other columns: the totals are those of a plan that is over.
_NOT_OVER: dict[str, Any] = {"ended_at": None, "succeeded_count": None, "failed_count": None}


def begin_expansion(plan: Plan, batch: Batch, *, now: datetime) -> None:
    """DRAFT → EXPANDING for a locked plan: from now on `batch` is its own."""
    _move_one(plan, PlanState.EXPANDING, batch=batch, submitted_at=now)


def end_expansion(plan: Plan, *, stopped: bool, now: datetime) -> None:
    """EXPANDING → RUNNING, or TERMINATED when it was stopped, for a locked plan that is whole."""
    if stopped:
        _move_one(plan, PlanState.TERMINATED, ended_at=now)
    else:
        _move_one(plan, PlanState.RUNNING)


def terminate(plan: Plan, *, now: datetime) -> bool:
    """EXPANDING or RUNNING → TERMINATED; False when the plan is over already."""
    return _move_one(plan, PlanState.TERMINATED, ended_at=now)


@dataclass(frozen=True, slots=True)
class Settled:
    """Batches whose plans were completed, or go on after their end. held: somebody holds the plan;
    it is as it was.
    """

    completed: list[int]
    reopened: list[int]
    held: set[int]


def settle(batch_ids: Collection[int], *, now: datetime) -> Settled:
    """Move the plans of the batches to what their instances make them; a few statements.

    What changes meanwhile has a note of its own, and is settled next time.
    """
    plans = Plan.objects.filter(batch__in=batch_ids).order_by("pk")
    locking = plans.select_for_update(of=("self",), skip_locked=True, no_key=True)
    locked = {batch_id for batch_id in locking.values_list("batch_id", flat=True) if batch_id}
    # In a new statement, which sees what was committed until then.
    found: dict[str, list[int]] = {PlanState.COMPLETED: [], PlanState.RUNNING: []}
    changed = with_states(Plan.objects.filter(batch__in=locked)).exclude(state=F("true_state"))
    for batch_id, state in changed.values_list("batch_id", "true_state"):
        found[state].append(batch_id)
    completed, reopened = found[PlanState.COMPLETED], found[PlanState.RUNNING]
    _move(completed, PlanState.COMPLETED, ended_at=now)
    _move(reopened, PlanState.RUNNING, **_NOT_OVER)
    _write_totals(locked)
    held = set(plans.exclude(batch__in=locked).values_list("batch_id", flat=True))
    return Settled(completed, reopened, held)


def _move(batch_ids: Collection[int], target: PlanState, **columns: Any) -> None:
    moving = Plan.objects.filter(batch__in=batch_ids, state__in=sorted(sources_of(target)))
    moving.update(state=target, **columns)


def _move_one(plan: Plan, target: PlanState, **columns: Any) -> bool:
    """Move the plan, and the object with it; False when its state does not allow it any more."""
    values = {**columns, "state": target}
    moving = Plan.objects.filter(pk=plan.pk, state__in=sorted(sources_of(target)))
    if not moving.update(**values):
        return False
    for name, value in values.items():
        setattr(plan, name, value)
    return True


def _write_totals(batch_ids: Collection[int]) -> None:
    """Write the totals of the plans that are over: they stay when the instances are deleted.

    A completed plan ended with its last instance, a terminated one when it was terminated.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            # Plan by plan, whatever the statistics.
            f"""
            UPDATE backfill_plan AS p SET succeeded_count = c.succeeded, failed_count = c.failed,
                ended_at = CASE WHEN p.state = 'completed' THEN coalesce(c.ended_at, p.ended_at)
                    ELSE p.ended_at END
            FROM unnest(%s::bigint[]) AS b (id) CROSS JOIN LATERAL (
                SELECT count(*) AS number, max(i.ended_at) AS ended_at,
                    count(*) FILTER (WHERE i.state = 'SUCCESS') AS succeeded,
                    count(*) FILTER (WHERE i.state = 'FAILED') AS failed
                FROM instances_instance i WHERE i.batch_id = b.id
            ) AS c
            WHERE p.batch_id = b.id AND p.state IN ({listed(OVER)})
                -- What retention has left would tell less than what was counted before.
                AND c.number >= coalesce(p.succeeded_count + p.failed_count, 0)
            """,
            [sorted(batch_ids)],
        )
