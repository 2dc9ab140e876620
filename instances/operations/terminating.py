"""Terminate (I4): waiting instances end at once, running ones when their processes are gone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction

from instances import transitions
from instances.engine import groups_of, limited_tasks_of, settle
from instances.locking import lock_instances
from instances.models import Batch
from instances.operations.selecting import select
from instances.runners.error_codes import ErrorCode
from instances.states import TERMINABLE, UNFINISHED, ExecutionState, State
from projects import clock
from projects.access import Actor
from projects.bulk import repeat_on_deadlock
from projects.operations import BatchResult, record

BATCH_SIZE = 10_000
# How long a terminate_batch is left alone before the sweep takes it over, and how long it is cared
# for: the sweep does not look at every batch that ever was.
RESUMED_AFTER = timedelta(seconds=30)
RESUMED_FOR = timedelta(days=2)

_STOPPABLE = UNFINISHED - {State.TERMINATING, State.FROZEN}


@repeat_on_deadlock
@transaction.atomic
def terminate(*, actor: Actor, ids: Iterable[int]) -> BatchResult:
    """Terminate the instances that may be; the answer says which (I4, I10).

    A running one is TERMINATING until its processes are gone, within 5 seconds, and then FAILED
    with code TERMINATED. Its downstream stays waiting.
    """
    now = clock.now()
    selection = select(actor=actor, ids=ids, allowed=TERMINABLE, verb="terminate")
    done = _stop(selection.states, now=now, by="an operator")
    return record(
        actor=actor,
        verb="instances.terminate",
        object_type="instance",
        project_id=selection.project_id,
        outcomes=selection.outcomes(done),
    )


def _stop(states: dict[int, State], *, now: datetime, by: str) -> list[int]:
    """Stop locked instances, whatever unfinished state they are in; return those stopped."""
    running = [pk for pk, state in states.items() if state == State.RUNNING]
    stopping = transitions.move(running, State.TERMINATING, now=now)
    transitions.ask_to_stop(stopping, now=now)
    waiting = [pk for pk in states if pk not in set(running)]
    ended = transitions.move(
        waiting,
        State.FAILED,
        now=now,
        sources=_STOPPABLE - {State.RUNNING},
        error_code=ErrorCode.TERMINATED,
        error_message=f"Terminated by {by} before it ran.",
    )
    # What was sent and not yet started never starts; its slots go to others.
    sent = transitions.close_live_executions(
        ended, ExecutionState.TERMINATED, now=now, error_code=ErrorCode.TERMINATED
    )
    if sent:
        settle([], now=now, freed_groups=groups_of(ended), freed_tasks=limited_tasks_of(ended))
    return sorted([*stopping, *ended])


def terminate_batch(*, batch_id: int) -> int:
    """Stop a batch: from the first commit on nothing of it starts. Returns the instances stopped.

    Waiting instances end in chunks of 10,000; running ones stop as in `terminate`. Safe to repeat.
    Rights and record are the business of the verb that stops a plan.
    """
    # Anew each time: a plan that went on after its end, by reruns, is stopped like any other.
    Batch.objects.filter(pk=batch_id).update(stopped_at=clock.now(), paused_at=None)
    stopped = 0
    while chunk := _stop_chunk(batch_id):
        stopped += chunk
    return stopped


@repeat_on_deadlock
@transaction.atomic
def _stop_chunk(batch_id: int, *, begun_until: datetime | None = None) -> int:
    """Stop the next instances of the batch; with `begun_until`, rounds that began until then."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM instances_instance WHERE batch_id = %s AND state = ANY(%s)"
            " AND (%s::timestamptz IS NULL OR waiting_since <= %s) ORDER BY id LIMIT %s",
            [batch_id, sorted(_STOPPABLE), begun_until, begun_until, BATCH_SIZE],
        )
        ids = [row[0] for row in cursor.fetchall()]
    states = lock_instances(ids, _STOPPABLE)
    return len(_stop(states, now=clock.now(), by="the end of its plan"))


def end_stopped(*, now: datetime) -> int:
    """Go on where a `terminate_batch` broke off; return the instances stopped.

    It also ends rounds that an operator began while the batch was being stopped.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT b.id, b.stopped_at FROM instances_batch b"
            " WHERE b.stopped_at BETWEEN %s AND %s AND EXISTS ("
            "SELECT FROM instances_instance i WHERE i.batch_id = b.id"
            " AND i.state = ANY(%s) AND i.waiting_since <= b.stopped_at)",
            [now - RESUMED_FOR, now - RESUMED_AFTER, sorted(_STOPPABLE)],
        )
        broken_off = cursor.fetchall()
    stopped = 0
    for batch_id, stopped_at in broken_off:
        while chunk := _stop_chunk(batch_id, begun_until=stopped_at):
            stopped += chunk
    return stopped
