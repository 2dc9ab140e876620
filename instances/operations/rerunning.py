"""Rerun (I5, scope "this"): a finished or ready instance begins a new round."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from instances import transitions
from instances.engine import groups_of, hold_back_below, limited_tasks_of, settle
from instances.operations.selecting import select
from instances.states import RERUNNABLE, ExecutionState
from projects import clock
from projects.access import Actor
from projects.bulk import repeat_on_deadlock
from projects.operations import BatchResult, record


@repeat_on_deadlock
@transaction.atomic
def rerun(*, actor: Actor, ids: Iterable[int]) -> BatchResult:
    """Run the instances again, each when its upstream allows (I5, I14).

    Retries count from 0 again, the total of runs goes on. What waits for one of them and has not
    started yet is held back until the new run succeeds; what has run stays as it is.
    """
    selection = select(actor=actor, ids=ids, allowed=RERUNNABLE, verb="rerun")
    # After the locks: a round that begins after its batch was stopped must be seen to.
    now = clock.now()
    done = begin_round(selection.states, now=now)
    freed = [*done, *hold_back_below(done, now=now)]
    settle(done, now=now, freed_groups=groups_of(freed), freed_tasks=limited_tasks_of(freed))
    return record(
        actor=actor,
        verb="instances.rerun",
        object_type="instance",
        project_id=selection.project_id,
        options={"scope": "this"},
        outcomes=selection.outcomes(done),
    )


def begin_round(ids: Iterable[int], *, now: datetime) -> list[int]:
    """Set locked instances back to NOT_RUN for a new round; return those that were."""
    listed = list(ids)
    transitions.close_live_executions(listed, ExecutionState.DISMISSED, now=now)
    return transitions.begin_round(listed, now=now)
