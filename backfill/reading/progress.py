"""How far plans have come: the figures of their lists (B21, B22)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count

from backfill.models import Plan, Skip
from backfill.models.shown import with_states
from backfill.states import ACTIVE, OVER, PlanResult, PlanState, spelled, tone_key
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
    result: PlanResult
    total: int
    by_state: Mapping[State, int]
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def tone(self) -> str:
        """What the state's colour goes by: red is for what needs a person."""
        return tone_key(self.state, self.result)

    @property
    def spelled(self) -> str:
        """The state in words, such as "Completed with failures"."""
        return spelled(self.state, self.result)

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

    def progress(self, state: PlanState, result: PlanResult, still_to_make: int) -> Progress:
        """The figures of the plan, or of one of its tasks."""
        made = sum(self.by_state.values())
        finished = sum(self.by_state.get(state, 0) for state in FINISHED)
        return Progress(
            state=state,
            result=result,
            total=made + still_to_make,
            by_state=self.by_state,
            started_at=self.started_at,
            ended_at=self.ended_at if finished == made and not still_to_make else None,
        )

    def progress_of_task(self, plan: Any, still_to_make: int) -> Progress:
        """The figures of a task: one that is done is so before its plan."""
        made = sum(self.by_state.values())
        failed, succeeded = (self.by_state.get(end, 0) for end in (State.FAILED, State.SUCCESS))
        state, result = PlanState(plan.shown_state), PlanResult.PENDING
        if plan.true_state in ACTIVE and made == failed + succeeded and made and not still_to_make:
            state = PlanState.COMPLETED
        if state in OVER:
            ended = PlanResult.PARTLY if succeeded else PlanResult.FAILED
            whole = state == PlanState.COMPLETED and not failed
            result = PlanResult.SUCCEEDED if whole else ended
        return self.progress(state, result, still_to_make)


def progress_of(plan_ids: Collection[int]) -> dict[int, Progress]:
    """Return the progress of each plan; two queries, however many plans there are.

    A plan's state is the one that its instances make it have at this moment, which its row may
    learn a few seconds later.
    """
    plans = list(_with_states().filter(pk__in=list(plan_ids)))
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
    return {
        plan.pk: tallies[plan.pk].progress(
            PlanState(plan.shown_state), PlanResult(plan.result), _still_to_make(plan)
        )
        for plan in plans
    }


def tasks_progress(plan_id: int) -> dict[int, Progress]:
    """Return {task id: its progress in a plan}, in the plan's order; three queries, and one more
    while its instances are being made.

    Until all of a plan is made, a task's instances are counted as planned: no cell of it that is
    still to be made is known to be a skip.
    """
    plan = _with_states().get(pk=plan_id)
    cells = dict(plan.tasks.order_by("position", "pk").values_list("task_id", "cell_count"))
    tallies = {task_id: _Tally({}) for task_id in cells}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT task_id, state, count(*), min(started_at), max(ended_at)"
            " FROM instances_instance WHERE batch_id = %s GROUP BY task_id, state",
            [plan.batch_id],
        )
        for task_id, *figures in cursor.fetchall():
            tallies[task_id].add(*figures)
    left = dict.fromkeys(cells, 0)
    if _still_to_make(plan):
        skips = Skip.objects.filter(plan=plan).order_by().values_list("task_id")
        skipped = dict(skips.annotate(number=Count("id")))
        for task_id, tally in tallies.items():
            dealt_with = sum(tally.by_state.values()) + skipped.get(task_id, 0)
            left[task_id] = max(0, cells[task_id] - dealt_with)
    return {
        task_id: tally.progress_of_task(plan, left[task_id]) for task_id, tally in tallies.items()
    }


def _with_states() -> Any:
    columns = ("state", "batch", "planned_count", "expanded_count")
    return with_states(Plan.objects.only(*columns))


def _still_to_make(plan: Plan) -> int:
    """Cells that may become instances yet; of a stopped plan none do."""
    return plan.planned_count - plan.expanded_count if plan.state == PlanState.EXPANDING else 0
