"""What a plan's state and its result are: the one expression that every reader of plans uses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import (
    BooleanField,
    Case,
    CharField,
    F,
    Func,
    Q,
    QuerySet,
    Value,
    When,
)

from backfill.states import ACTIVE, GOING, OVER, PlanResult, PlanState
from instances.holds.plan import STOPPED
from instances.models import BatchNote
from instances.states import IN_PROCESS, UNFINISHED, State, listed


def with_states(plans: QuerySet[Any]) -> QuerySet[Any]:
    """Add `true_state`, `shown_state` and `result` to each of the plans.

    true_state: what its instances make it, which the row learns a few seconds later. shown_state:
    the same, or PAUSED when nothing of it may start. Lists, filters, orders, the API, verbs and
    settling all go by these, so that they never differ.
    """
    plans = plans.annotate(true_state=true_state(), shown_state=shown_state())
    return plans.annotate(result=_result())


def true_state() -> Case:
    """Return the expression for what a plan's instances make it."""
    return Case(*_changes(), default=F("state"), output_field=CharField())


def shown_state() -> Case:
    """Return the expression for a plan's state as people see it."""
    paused = Q(state__in=sorted(ACTIVE), batch__paused_at__isnull=False)
    return Case(
        *_changes(),
        When(paused, then=Value(PlanState.PAUSED)),
        default=F("state"),
        output_field=CharField(),
    )


def _changes() -> list[When]:
    """The states that rows have to learn."""
    is_whole = Q(expanded_count=F("planned_count"))
    done = Q(state=PlanState.RUNNING) & _noted() & ~_has(UNFINISHED)
    again = Q(state__in=sorted(OVER)) & is_whole & _noted() & _has(GOING, but=STOPPED.sql)
    return [
        When(done, then=Value(PlanState.COMPLETED)),
        When(again, then=Value(PlanState.RUNNING)),
    ]


def _has(states: Iterable[State], *, but: str = "false") -> Q:
    """The plan has an instance in one of the states: a step or two into an index.

    but: SQL for an instance `i` and its batch `b` that does not count. A scalar: looked up plan by
    plan, whatever the statistics, and never hashed for all of them.
    """
    found = (
        "coalesce((SELECT true FROM instances_instance i"
        " LEFT JOIN instances_batch b ON b.id = i.batch_id WHERE i.batch_id = %(expressions)s"
        f" AND i.state IN ({listed(states)}) AND NOT ({but}) LIMIT 1), false)"
    )
    return Q(Func(F("batch"), template=found, output_field=BooleanField()))


def _noted() -> Q:
    """Its instances changed since it was settled. Of all other plans what is stored holds."""
    return Q(batch__in=BatchNote.objects.values("batch"))


def _result() -> Case:
    is_settled = Q(succeeded_count__isnull=False) & ~_noted()
    failed, succeeded = (
        Q(is_settled, **{f"{column}__gt": 0}) | (~is_settled & _has([state]))
        for column, state in (("failed_count", State.FAILED), ("succeeded_count", State.SUCCESS))
    )
    is_active = Q(true_state__in=sorted(ACTIVE))
    is_ready = _has([State.WAITING_EXECUTION]) & ~_has(IN_PROCESS)
    is_whole = Q(true_state=PlanState.COMPLETED) & ~failed
    return Case(
        When(is_active & Q(batch__paused_at=None) & is_ready, then=Value(PlanResult.WAITING)),
        When(is_active | Q(true_state=PlanState.DRAFT), then=Value(PlanResult.PENDING)),
        When(is_whole, then=Value(PlanResult.SUCCEEDED)),
        When(succeeded, then=Value(PlanResult.PARTLY)),
        default=Value(PlanResult.FAILED),
        output_field=CharField(),
    )
