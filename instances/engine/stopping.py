"""Stopping instances or a whole batch: waiting ones at once, running ones as they end."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction

from instances import transitions
from instances.engine.settling import groups_of, limited_tasks_of, settle
from instances.error_codes import ErrorCode
from instances.ground.locking import lock_instances
from instances.holds.plan import STOPPED
from instances.models import Batch
from instances.states import UNFINISHED, ExecutionState, State
from projects.ground import clock
from projects.ground.bulk import is_held, limit_lock_waits, repeat_on_deadlock
from projects.ground.sql import column

BATCH_SIZE = 10_000
# How long who stops a batch is left alone before the sweep takes it over, and how long it is cared
# for: the sweep does not look at every batch that ever was.
RESUMED_AFTER = timedelta(seconds=30)
RESUMED_FOR = timedelta(days=2)

logger = structlog.get_logger(__name__)

_STOPPABLE = UNFINISHED - {State.TERMINATING, State.FROZEN}
_RUNNING = frozenset({State.RUNNING})


def stop(states: dict[int, State], *, now: datetime, by: str) -> list[int]:
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
    sent = transitions.close_sent_executions(
        ended, ExecutionState.TERMINATED, now=now, error_code=ErrorCode.TERMINATED
    )
    if sent:
        settle([], now=now, freed_groups=groups_of(ended), freed_tasks=limited_tasks_of(ended))
    return sorted([*stopping, *ended])


def mark_stopped(batch_ids: Collection[int]) -> None:
    """From the commit on nothing of the batches starts, but for rounds that begin later.

    Anew each time: a plan that went on after its end, by reruns, is stopped like any other.
    """
    Batch.objects.filter(pk__in=batch_ids).update(stopped_at=clock.now(), paused_at=None)


def end_marked(batch_ids: Collection[int], *, seconds: float) -> int:
    """Stop the instances of stopped batches; return how many. Safe to repeat.

    What runs first, however long that takes: there is no more of it than there are slots. Then what
    waits, in chunks, for so long: the sweep does the rest (`end_stopped`). Rights and record are
    the business of the verb that stops a plan.
    """
    until = time.monotonic() + seconds
    stopped = 0
    for batch_id in batch_ids:
        while chunk := _stop_chunk(batch_id, _RUNNING):
            stopped += chunk
    for batch_id in batch_ids:
        while chunk := _stop_chunk(batch_id):
            stopped += chunk
            if time.monotonic() >= until:
                return stopped
    return stopped


@repeat_on_deadlock
@transaction.atomic
def _stop_chunk(
    batch_id: int,
    among: Collection[State] = _STOPPABLE,
    *,
    lock_seconds: float | None = None,
) -> int:
    """Stop the next instances of the batch, of rounds that began before its stop."""
    if lock_seconds is not None:
        limit_lock_waits(lock_seconds)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.id FROM instances_instance i JOIN instances_batch b ON b.id = i.batch_id"
            f" WHERE i.batch_id = %s AND i.state = ANY(%s) AND {STOPPED.sql}"
            " ORDER BY i.id LIMIT %s",
            [batch_id, sorted(among), BATCH_SIZE],
        )
        ids = column(cursor)
    states = lock_instances(ids, among)
    return len(stop(states, now=clock.now(), by="the end of its plan"))


def end_stopped(*, now: datetime) -> int:
    """Go on where `end_marked` broke off; return the instances stopped.

    It also ends rounds that an operator began while the batch was being stopped. Not for long, and
    not those batches of which somebody holds something: the next sweep comes back to them.
    """
    until = time.monotonic() + settings.SYSTEM_JOB_SECONDS
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT b.id FROM instances_batch b"
            " WHERE b.stopped_at BETWEEN %s AND %s AND EXISTS ("
            "SELECT FROM instances_instance i WHERE i.batch_id = b.id"
            f" AND i.state = ANY(%s) AND {STOPPED.sql})",
            [now - RESUMED_FOR, now - RESUMED_AFTER, sorted(_STOPPABLE)],
        )
        broken_off = column(cursor)
    stopped = 0
    for batch_id in broken_off:
        stop_chunk = partial(
            _stop_chunk,
            batch_id,
            lock_seconds=settings.HELD_LOCK_SECONDS,
        )
        try:
            while chunk := stop_chunk():
                stopped += chunk
                if time.monotonic() >= until:
                    return stopped
        except OperationalError as error:
            if not is_held(error):
                raise
            logger.warning("batch_left_to_the_next_sweep", batch_id=batch_id)
    return stopped
