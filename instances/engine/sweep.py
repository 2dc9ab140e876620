"""The sweep: the safety net under every wake-up (design §5.2).

Every few seconds it looks at instances whose clock has come, at what waits for recent successes,
at a window of the waiting ones, at days of batches that go on, and at groups with free slots. Its
work is bounded: it depends on what happened lately and on the window, not on how much exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import connection, transaction

from instances import transitions
from instances.engine import days
from instances.engine.batches import go_on_with_all_resumed, hold_all_paused
from instances.engine.creation import resolve_edges_of
from instances.engine.dispatch import dispatch
from instances.engine.readiness import misplaced, woken_by
from instances.engine.releasing import release_of
from instances.engine.settling import go_on_with_days, settle
from instances.engine.stopping import end_stopped
from instances.ground.locking import in_parts, lock_instances, unless_held
from instances.holds.listed import BATCH_HELD, MAY_START
from instances.states import CLOCKED, PENDING, WAITING, State, listed
from projects.ground.bulk import limit_lock_waits, repeat_on_deadlock
from projects.ground.sql import column

logger = structlog.get_logger(__name__)

# How far back a success may lie whose wake-up was lost, when the sweep runs every few seconds.
RECENT = timedelta(minutes=2)
# Instances taken at a time; what is beyond comes with the next sweep.
BATCH_SIZE = 5_000
# Waiting instances, and days, looked at anew each sweep whatever happened, round and round.
WINDOW = 500


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found: instances whose clock came, wake-ups that had been lost, executions.

    ended: what was left of a batch whose termination broke off.
    """

    clocked: int
    woken: int
    dispatched: int
    ended: int


# Those whose clock has come. A paused batch may have very many, so batches are looked up first, one
# step into the index each.
_OF_CLOCK = f"i.state IN ({listed(CLOCKED)}) AND NOT i.awaits_day"
_CLOCKED = f"""
    WITH RECURSIVE found (id) AS (
        (SELECT i.batch_id FROM instances_instance i
        WHERE {_OF_CLOCK} AND i.batch_id IS NOT NULL ORDER BY i.batch_id LIMIT 1)
        UNION ALL
        SELECT (SELECT i.batch_id FROM instances_instance i
            WHERE {_OF_CLOCK} AND i.batch_id > found.id ORDER BY i.batch_id LIMIT 1)
        FROM found WHERE found.id IS NOT NULL
    )
    (SELECT i.id FROM instances_instance i
    WHERE {_OF_CLOCK} AND i.batch_id IS NULL AND i.not_before <= %(now)s
    ORDER BY i.not_before LIMIT %(most)s)
    UNION ALL
    SELECT due.id FROM found JOIN instances_batch b ON b.id = found.id
    CROSS JOIN LATERAL (
        SELECT i.id FROM instances_instance i
        WHERE {_OF_CLOCK} AND i.batch_id = b.id AND i.not_before <= %(now)s AND {MAY_START}
        ORDER BY i.not_before LIMIT %(most)s
    ) due
    WHERE NOT {BATCH_HELD}
    LIMIT %(most)s"""

_window_after = 0  # where this process's window over the waiting instances goes on
_days_after = 0  # and that over the days


def sweep(*, now: datetime) -> Swept:
    """Look once; return what was found. Safe to run anywhere, any number at a time."""
    # What somebody holds keeps no part of it from the others.
    clocked = unless_held(_start_clocked, now=now) or 0
    woken = unless_held(_wake_left_behind, now=now) or 0
    woken += unless_held(_wake_window, now=now) or 0
    unless_held(hold_all_paused)
    unless_held(go_on_with_all_resumed)
    dispatched = unless_held(_go_on_with_window) or 0
    dispatched += unless_held(_dispatch_ready, now=now) or 0
    ended = unless_held(end_stopped, now=now) or 0
    return Swept(clocked, woken, dispatched, ended)


def _in_parts(verb: Callable[..., int], ids: list[int], *, now: datetime) -> int:
    """Do `verb` with the instances; what meets something that others hold is left out."""
    done, left = in_parts(partial(verb, now=now), ids, seconds=settings.SYSTEM_JOB_SECONDS)
    if left:
        logger.warning("left_to_the_next_sweep", part=verb.__name__, instances=len(left))
    return sum(done)


def _start_clocked(*, now: datetime) -> int:
    """Advance instances that waited for their planned time, a retry or an opening."""
    with connection.cursor() as cursor:
        cursor.execute(_CLOCKED, {"now": now, "most": BATCH_SIZE})
        ids = column(cursor)
    return _in_parts(_start, ids, now=now)


@repeat_on_deadlock
@transaction.atomic
def _start(ids: list[int], *, now: datetime, lock_seconds: float) -> int:
    limit_lock_waits(lock_seconds)
    locked = lock_instances(ids, CLOCKED, skip_held=True)
    retrying = [pk for pk, state in locked.items() if state == State.RETRYING]
    transitions.move(retrying, State.NOT_RUN, now=now, sources=[State.RETRYING])
    resolve_edges_of(locked)
    settle(locked, now=now)
    return len(locked)


def _wake_left_behind(*, now: datetime) -> int:
    return _wake(_left_behind(now=now), now=now)


def _wake_window(*, now: datetime) -> int:
    return _wake(_next_window(), now=now)


def _wake(ids: list[int], *, now: datetime) -> int:
    # A look without locks first: mostly all is well, and nobody shall wait for the sweep.
    return _in_parts(_settle, misplaced(ids, now=now), now=now)


@repeat_on_deadlock
@transaction.atomic
def _settle(late: list[int], *, now: datetime, lock_seconds: float) -> int:
    limit_lock_waits(lock_seconds)
    before = lock_instances(late, WAITING, skip_held=True)
    settle(before, now=now)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM instances_instance WHERE id = ANY(%s)"
            f" AND state NOT IN ({listed(PENDING)})",
            [list(before)],
        )
        return int(cursor.fetchone()[0])


@repeat_on_deadlock
@transaction.atomic
def _left_behind(*, now: datetime) -> list[int]:
    """Return instances below a recent success.

    An edge that was made while a plan's instance succeeded on its slot is pointed at it here.
    """
    limit_lock_waits(settings.ENGINE_LOCK_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(
            "(SELECT id FROM instances_instance WHERE state = 'SUCCESS' AND ended_at > %s"
            " ORDER BY ended_at DESC LIMIT %s) UNION"
            " (SELECT id FROM instances_instance WHERE state = 'SUCCESS' AND settled_at > %s"
            " ORDER BY settled_at DESC LIMIT %s)",
            [now - RECENT, BATCH_SIZE, now - RECENT, BATCH_SIZE],
        )
        return woken_by(column(cursor)).ids


@repeat_on_deadlock
@transaction.atomic
def _next_window() -> list[int]:
    """Return the next few waiting instances, so that each is looked at sooner or later."""
    global _window_after
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM instances_instance WHERE id > %s"
            f" AND state IN ({listed(WAITING)}) ORDER BY id LIMIT %s",
            [_window_after, WINDOW],
        )
        ids = column(cursor)
    _window_after = ids[-1] if len(ids) == WINDOW else 0
    limit_lock_waits(settings.ENGINE_LOCK_SECONDS)
    resolve_edges_of(ids)
    release_of(ids)
    return ids


def _next_days() -> list[int]:
    """Return the next few days that go on: there are few of them, at most one a lane."""
    global _days_after
    ids = days.going_on(after=_days_after, limit=WINDOW)
    _days_after = ids[-1] if len(ids) == WINDOW else 0
    return ids


def _go_on_with_window() -> int:
    return go_on_with_days(_next_days())


def _dispatch_ready(*, now: datetime) -> int:
    return dispatch(_groups_with_ready(), now=now)


def _groups_with_ready() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            # Two lists, each with an index.
            "SELECT g.id FROM projects_resourcegroup g WHERE EXISTS (SELECT FROM"
            " instances_instance i WHERE i.resource_group_id = g.id AND NOT i.limited"
            " AND i.sort_key >= 0 AND i.state = 'WAITING_EXECUTION' AND i.dispatched_at IS NULL)"
            " OR EXISTS (SELECT FROM instances_instance i WHERE i.resource_group_id = g.id"
            " AND i.limited AND i.state = 'WAITING_EXECUTION' AND i.dispatched_at IS NULL)"
        )
        return column(cursor)
