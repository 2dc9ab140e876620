"""Stopping, pausing and resuming plans (B23, B25)."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from backfill import transitions
from backfill.models import Plan
from backfill.running.expanding import skip_rest
from backfill.running.nudging import nudge_expansion
from backfill.states import PlanState
from backfill.verbs.noun import PLANS
from instances.engine.batches import go_on, hold_paused, mark_paused, mark_resumed
from instances.engine.stopping import end_marked, mark_stopped
from projects.ground import clock
from projects.ground.words import gettext_lazy
from projects.verbs.catalogue import declare
from projects.verbs.recording import ItemOutcome
from projects.verbs.selecting import Selection

_STOPS = gettext_lazy("what runs is killed, what waits fails")
_WAITS = gettext_lazy("what runs goes on to its end, what waits goes on waiting")


def _stop(selection: Selection) -> None:
    mark_stopped(_batches(selection).values())


def _end(selection: Selection) -> None:
    end_marked(_batches(selection).values(), seconds=settings.SYSTEM_JOB_SECONDS)


@declare(
    PLANS,
    "terminate",
    title=gettext_lazy("Terminate"),
    done=gettext_lazy("terminated"),
    icon="cancel",
    place=4,
    danger=True,
    alternate=True,
    warning=gettext_lazy(
        "From this moment nothing of it starts. What waits fails with code TERMINATED; running"
        " processes are killed within 5 seconds; what is finished or frozen stays as it is."
        " Instances that were not made yet are recorded as skipped."
    ),
    effects={
        PlanState.EXPANDING: gettext_lazy(
            "what runs is killed, what waits fails, what was not made yet is skipped"
        ),
        PlanState.RUNNING: _STOPS,
        PlanState.PAUSED: _STOPS,
    },
    first=_stop,
    after=_end,
)
def terminate_plans(selection: Selection) -> list[ItemOutcome]:
    """Stop plans: nothing of them starts any more, what waits fails, what runs is killed (B23).

    1 The batches are marked and committed first: from then on nothing of them starts, however much
      there is to do after that. 2 The plans' rows: waits for a chunk that is being made, and marks
      what it made. No instance has ended by this so far, so no plan completes by it. 3 Instances.
    """
    for pk in sorted(selection.rows):
        _mark_terminated(pk)
    return selection.outcomes(selection.rows)


@declare(
    PLANS,
    "pause",
    title=gettext_lazy("Pause"),
    done=gettext_lazy("paused"),
    icon="pause_circle",
    place=2,
    alternate=True,
    warning=gettext_lazy(
        "From this moment nothing of it starts, until it is resumed. What runs goes on to its end,"
        " and instances that were not made yet are made."
    ),
    effects={
        PlanState.EXPANDING: gettext_lazy(
            "what runs goes on to its end, what waits goes on waiting, the rest is made"
        ),
        PlanState.RUNNING: _WAITS,
    },
    # What follows is left to the sweep when it takes long, or breaks off.
    after=lambda selection: hold_paused(list(_batches(selection).values())),
)
def pause_plans(selection: Selection) -> list[ItemOutcome]:
    """Pause plans: nothing of them starts until they are resumed, what runs goes on (B25)."""
    mark_paused(list(_batches(selection).values()))
    return selection.outcomes(selection.rows)


@declare(
    PLANS,
    "resume",
    title=gettext_lazy("Resume"),
    done=gettext_lazy("resumed"),
    icon="play_circle",
    place=3,
    alternate=True,
    warning=gettext_lazy("What is ready gets slots at once, in the order of priority and plan."),
    effects={PlanState.PAUSED: gettext_lazy("what waits goes on")},
    after=lambda selection: go_on(list(_batches(selection).values())),
)
def resume_plans(selection: Selection) -> list[ItemOutcome]:
    """Let paused plans go on (B25)."""
    mark_resumed(list(_batches(selection).values()))
    return selection.outcomes(selection.rows)


def _batches(selection: Selection) -> dict[int, int]:
    """Return {plan: batch} of the chosen plans, in id order: all of them were submitted."""
    rows = Plan.objects.filter(pk__in=selection.rows, batch__isnull=False).order_by("pk")
    return dict(rows.values_list("pk", "batch_id"))


def _mark_terminated(plan_id: int) -> None:
    """Write the state of a plan whose batch is stopped, and skips of the cells that were left."""
    plan = Plan.objects.select_for_update(of=("self",)).select_related("batch").get(pk=plan_id)
    if not transitions.terminate(plan, now=clock.now()):
        return  # somebody else terminated it, or it completed just now
    if plan.batch_id is not None:
        mark_stopped([plan.batch_id])  # what a chunk made since, or somebody paused
    if plan.expanded_count < plan.planned_count:
        skip_rest(plan)
        transaction.on_commit(nudge_expansion)
