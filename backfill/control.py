"""Stopping, pausing and resuming plans (B23, B25)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.db import transaction

from backfill.expanding import skip_rest
from backfill.models import Plan
from backfill.nudging import nudge_expansion
from backfill.plans import find_plan
from backfill.settling import settle_plans
from backfill.states import ACTIVE, ALLOWING, PlanState
from instances.operations.pausing import go_on, hold_paused, mark_paused, mark_resumed
from instances.operations.terminating import terminate_batch
from projects import clock
from projects.access import Actor, projects_lacking, scope
from projects.operations import BatchResult, ItemOutcome, record
from projects.refusals import Conflict, Invalid
from projects.roles import Right


def terminate_plan(*, actor: Actor, plan_id: int) -> Plan:
    """Stop a plan: nothing of it starts any more, what waits fails, what runs is killed (B23).

    Raises NotFound, Forbidden, or Conflict when the plan is not active.
    """
    return _one(actor, plan_id, terminate_plans)


def terminate_plans(*, actor: Actor, plan_ids: Iterable[int]) -> BatchResult:
    """Stop several plans; outcome codes "not_found", "forbidden", "wrong_state".

    1 The batches are stopped and committed first: from then on nothing of them starts, however
      much there is to do after that. 2 The plans' rows: waits for a chunk that is being made.
    3 What such a chunk made is stopped as well.
    """
    settle_plans()  # people see what the instances make of a plan's state: judge by the same
    outcomes, plans = _sort_out(actor, plan_ids, "terminate")
    for plan in plans:
        assert plan.batch_id is not None  # it is active
        terminate_batch(batch_id=plan.batch_id)
    with transaction.atomic():
        result = record(
            actor=actor,
            verb="backfill.terminate",
            object_type="plan",
            project_id=_only([plan.project_id for plan in plans]),
            outcomes=outcomes,
        )
        for plan in plans:
            _mark_terminated(plan.pk)
    for plan in plans:
        if plan.state == PlanState.EXPANDING and plan.batch_id is not None:  # as when we began
            terminate_batch(batch_id=plan.batch_id)
    return result


def pause_plan(*, actor: Actor, plan_id: int) -> Plan:
    """Pause a plan: nothing of it starts until it is resumed, what runs goes on (B25).

    Raises NotFound, Forbidden, or Conflict when the plan is not active or paused already.
    """
    return _one(actor, plan_id, pause_plans)


def resume_plan(*, actor: Actor, plan_id: int) -> Plan:
    """Let a paused plan go on (B25). Raises NotFound, Forbidden, or Conflict when it is not."""
    return _one(actor, plan_id, resume_plans)


def pause_plans(*, actor: Actor, plan_ids: Iterable[int]) -> BatchResult:
    """Pause several plans; outcome codes "not_found", "forbidden", "wrong_state"."""
    return _switch(actor, plan_ids, "pause", mark_paused, hold_paused)


def resume_plans(*, actor: Actor, plan_ids: Iterable[int]) -> BatchResult:
    """Resume several plans; outcome codes "not_found", "forbidden", "wrong_state"."""
    return _switch(actor, plan_ids, "resume", mark_resumed, go_on)


def _one(actor: Actor, plan_id: int, verb: Callable[..., BatchResult]) -> Plan:
    plan = find_plan(actor, plan_id, Right.OPERATE)
    (outcome,) = verb(actor=actor, plan_ids=[plan_id]).outcomes
    if not outcome.ok:
        raise Conflict(outcome.detail)
    plan.refresh_from_db()
    return plan


def _switch(
    actor: Actor,
    plan_ids: Iterable[int],
    verb: str,
    mark: Callable[..., None],
    follow: Callable[[int], object],
) -> BatchResult:
    """Mark the batches of all the plans, with the record, and then do what follows for each.

    What follows may take long; should it break off, the sweep goes on with it.
    """
    ids = sorted(set(plan_ids))
    settle_plans()  # before the locks, as it locks plans itself
    with transaction.atomic():
        # A termination waits, and takes the mark away again.
        list(Plan.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk"))
        outcomes, plans = _sort_out(actor, ids, verb)
        result = record(
            actor=actor,
            verb=f"backfill.{verb}",
            object_type="plan",
            project_id=_only([plan.project_id for plan in plans]),
            outcomes=outcomes,
        )
        batch_ids = [plan.batch_id for plan in plans if plan.batch_id is not None]
        mark(batch_ids)
    for batch_id in batch_ids:
        follow(batch_id)
    return result


def _sort_out(
    actor: Actor, plan_ids: Iterable[int], verb: str
) -> tuple[list[ItemOutcome], list[Plan]]:
    """Return an outcome for each plan, and the plans that the verb acts on."""
    ids = list(dict.fromkeys(plan_ids))
    if not ids:
        raise Invalid.from_pairs([("ids", "Name at least one plan.")])
    rows = scope(Plan.objects.filter(pk__in=ids), actor).select_related("batch")
    found = rows.in_bulk()
    lacking = projects_lacking(actor, {plan.project_id for plan in found.values()}, Right.OPERATE)
    outcomes: list[ItemOutcome] = []
    plans: list[Plan] = []
    for pk in ids:
        plan = found.get(pk)
        if plan is None:
            detail = f"There is no plan {pk} in your projects."
            outcomes.append(ItemOutcome(pk, False, "not_found", detail))
        elif plan.project_id in lacking:
            detail = f"Your role does not allow you to {Right.OPERATE.label}."
            outcomes.append(ItemOutcome(pk, False, "forbidden", detail, plan.name))
        elif plan.shown_state not in ALLOWING[verb]:
            state = plan.shown_state.label.lower()
            needed = "a paused" if verb == "resume" else "an active"
            detail = f"The plan is {state}; {verb} needs {needed} one."
            outcomes.append(ItemOutcome(pk, False, "wrong_state", detail, plan.name))
        else:
            outcomes.append(ItemOutcome(pk, label=plan.name))
            plans.append(plan)
    return outcomes, plans


def _mark_terminated(plan_id: int) -> None:
    """Write the state of a plan whose batch is stopped, and skips of the cells that were left."""
    plan = Plan.objects.select_for_update(of=("self",)).select_related("batch").get(pk=plan_id)
    if plan.state not in ACTIVE:  # somebody else terminated it, or it completed just now
        return
    plan.state = PlanState.TERMINATED
    plan.ended_at = clock.now()
    plan.save(update_fields=["state", "ended_at"])
    if plan.batch_id is not None:
        mark_resumed([plan.batch_id])  # paused since it was stopped
    if plan.expanded_count < plan.planned_count:
        skip_rest(plan)
        transaction.on_commit(nudge_expansion)


def _only(project_ids: list[int]) -> int | None:
    return project_ids[0] if len(set(project_ids)) == 1 else None
