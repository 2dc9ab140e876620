"""Mark success (I6): an operator says that the work is done, and downstream goes on."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from instances import transitions
from instances.engine import groups_of, limited_tasks_of, settle
from instances.operations.selecting import select
from instances.states import MARKABLE, ExecutionState, State
from projects import clock
from projects.access import Actor
from projects.bulk import repeat_on_deadlock
from projects.operations import BatchResult, record


@repeat_on_deadlock
@transaction.atomic
def mark_success(*, actor: Actor, ids: Iterable[int]) -> BatchResult:
    """Set the instances that may be to SUCCESS (I6).

    A running process is killed and its result ignored; what waits for the instance goes on.
    """
    now = clock.now()
    selection = select(actor=actor, ids=ids, allowed=MARKABLE, verb="mark success")
    done = transitions.move(selection.states, State.SUCCESS, now=now, sources=MARKABLE)
    closed = transitions.close_live_executions(done, ExecutionState.DISMISSED, now=now)
    settle(
        [],
        now=now,
        succeeded=done,
        freed_groups=groups_of(done) if closed else (),
        freed_tasks=limited_tasks_of(done) if closed else (),
    )
    return record(
        actor=actor,
        verb="instances.mark_success",
        object_type="instance",
        project_id=selection.project_id,
        outcomes=selection.outcomes(done),
    )
