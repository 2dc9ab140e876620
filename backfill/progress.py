"""How far plans have come: the figures of their lists (B21, B22)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from backfill.models import Plan
from backfill.settling import NOT_GOING
from backfill.states import PlanState
from instances.states import FINISHED, State


@dataclass(frozen=True, slots=True)
class Progress:
    """The figures of one plan, or of one of its tasks.

    total: its instances, those included that are still to be made. by_state: instances of each
    state that occurs. Rates are from 0 to 1; a terminated instance is FAILED, so it counts as
    completed. The plan starts with its first instance and ends with its last one, so ended_at is
    None while an instance is unfinished.
    """

    state: PlanState
    total: int
    by_state: Mapping[State, int]
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def finished(self) -> int:
        """Instances that are SUCCESS or FAILED."""
        return sum(self.by_state.get(state, 0) for state in FINISHED)

    @property
    def succeeded(self) -> int:
        """Instances that are SUCCESS."""
        return self.by_state.get(State.SUCCESS, 0)

    @property
    def completion_rate(self) -> float:
        """(success + terminated + failed) / all."""
        return self.finished / self.total if self.total else 0.0

    @property
    def success_rate(self) -> float:
        """success / all."""
        return self.succeeded / self.total if self.total else 0.0


@dataclass(slots=True)
class _Tally:
    """What the instances of one plan or task add up to."""

    by_state: dict[State, int]
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def add(
        self, state: str, count: int, started_at: datetime | None, ended_at: datetime | None
    ) -> None:
        self.by_state[State(state)] = count
        started = [moment for moment in (self.started_at, started_at) if moment]
        ended = [moment for moment in (self.ended_at, ended_at) if moment]
        self.started_at = min(started, default=None)
        self.ended_at = max(ended, default=None)

    def progress(self, plan: Plan, still_to_make: int) -> Progress:
        """The figures of the plan, or of one of its tasks."""
        made = sum(self.by_state.values())
        unfinished = made - sum(self.by_state.get(state, 0) for state in FINISHED)
        going = made - sum(self.by_state.get(state, 0) for state in NOT_GOING)
        total = made + still_to_make
        return Progress(
            state=_state_now(plan, total, unfinished + still_to_make, going + still_to_make),
            total=total,
            by_state=self.by_state,
            started_at=self.started_at,
            ended_at=None if unfinished or still_to_make else self.ended_at,
        )


def progress_of(plan_ids: Collection[int]) -> dict[int, Progress]:
    """Return the progress of each plan; two queries, however many plans there are.

    A plan's state is the one that its instances make it have at this moment, which its row may
    learn a few seconds later: running while one is unfinished, completed when all are finished, and
    paused when nothing of it may start.
    """
    plans = list(
        Plan.objects.filter(pk__in=list(plan_ids))
        .select_related("batch")
        .only("state", "batch__paused_at", "planned_count", "expanded_count")
    )
    tallies = {plan.pk: _Tally({}) for plan in plans}
    plan_of_batch = {plan.batch_id: plan.pk for plan in plans if plan.batch_id is not None}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT batch_id, state, count(*), min(started_at), max(ended_at)"
            " FROM instances_instance WHERE batch_id = ANY(%s) GROUP BY batch_id, state",
            [list(plan_of_batch)],
        )
        for batch_id, *figures in cursor.fetchall():
            tallies[plan_of_batch[batch_id]].add(*figures)
    return {plan.pk: tallies[plan.pk].progress(plan, _still_to_make(plan)) for plan in plans}


def tasks_progress(plan_id: int) -> dict[int, Progress]:
    """Return {task id: its progress in a plan}, in the plan's order; three queries.

    Cells that are still to be made count for the plan as a whole, not for its tasks.
    """
    plan = Plan.objects.select_related("batch").get(pk=plan_id)
    task_ids = plan.tasks.order_by("position").values_list("task_id", flat=True)
    tallies = {task_id: _Tally({}) for task_id in task_ids}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT task_id, state, count(*), min(started_at), max(ended_at)"
            " FROM instances_instance WHERE batch_id = %s GROUP BY task_id, state",
            [plan.batch_id],
        )
        for task_id, *figures in cursor.fetchall():
            tallies[task_id].add(*figures)
    return {task_id: tally.progress(plan, 0) for task_id, tally in tallies.items()}


def _still_to_make(plan: Plan) -> int:
    """Cells that may become instances yet; of a stopped plan none do."""
    return plan.planned_count - plan.expanded_count if plan.state == PlanState.EXPANDING else 0


def _state_now(plan: Plan, total: int, unfinished: int, going: int) -> PlanState:
    """What `settle_plans` will have made of the stored state; see there."""
    state = plan.shown_state
    if plan.state == PlanState.RUNNING and total and not unfinished:
        return PlanState.COMPLETED
    if plan.state == PlanState.COMPLETED and going:
        return PlanState.RUNNING
    return state
