"""The sweep: the safety net under every wake-up (design §5.2).

Every few seconds it looks at instances whose clock has come, at what waits for recent successes,
at a window of the waiting ones, at days of batches that go on, and at groups with free slots. Its
work is bounded: it depends on what happened lately and on the window, not on how much exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from instances import days, transitions
from instances.creation import resolve_edges_of
from instances.dispatch import dispatch
from instances.engine import go_on_with_days, settle
from instances.locking import MAY_START, lock_instances
from instances.operations.pausing import hold_all_paused
from instances.operations.terminating import end_stopped
from instances.readiness import misplaced, woken_by
from instances.states import CLOCKED, State
from projects.bulk import repeat_on_deadlock

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


_window_after = 0  # where this process's window over the waiting instances goes on
_days_after = 0  # and that over the days


def sweep(*, now: datetime) -> Swept:
    """Look once; return what was found. Safe to run anywhere, any number at a time."""
    clocked = _start_clocked(now=now)
    woken = _wake(_left_behind(now=now), now=now) + _wake(_next_window(), now=now)
    hold_all_paused()
    dispatched = go_on_with_days(_next_days()) + dispatch(_groups_with_ready(), now=now)
    return Swept(clocked, woken, dispatched, end_stopped(now=now))


@repeat_on_deadlock
@transaction.atomic
def _start_clocked(*, now: datetime) -> int:
    """Advance instances that waited for their planned time, a retry or an opening."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.id FROM instances_instance i LEFT JOIN instances_batch b ON b.id = i.batch_id"
            " WHERE i.state IN ('NOT_RUN', 'RETRYING') AND NOT i.awaits_day AND i.not_before <= %s"
            f" AND {MAY_START} ORDER BY i.not_before LIMIT %s",
            [now, BATCH_SIZE],
        )
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return 0
    locked = lock_instances(ids, CLOCKED)
    retrying = [pk for pk, state in locked.items() if state == State.RETRYING]
    transitions.move(retrying, State.NOT_RUN, now=now, sources=[State.RETRYING])
    resolve_edges_of(locked)
    settle(locked, now=now)
    return len(locked)


@repeat_on_deadlock
@transaction.atomic
def _wake(ids: list[int], *, now: datetime) -> int:
    # A look without locks first: mostly all is well, and nobody shall wait for the sweep.
    late = misplaced(ids, now=now)
    if not late:
        return 0
    before = lock_instances(late, [State.WAITING_EVENT, State.WAITING_UPSTREAM])
    settle(before, now=now)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM instances_instance WHERE id = ANY(%s)"
            " AND state NOT IN ('NOT_RUN', 'WAITING_EVENT', 'WAITING_UPSTREAM')",
            [list(before)],
        )
        return int(cursor.fetchone()[0])


@repeat_on_deadlock
@transaction.atomic
def _left_behind(*, now: datetime) -> list[int]:
    """Return instances below a recent success.

    An edge that was made while a plan's instance succeeded on its slot is pointed at it here.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM instances_instance WHERE state = 'SUCCESS' AND ended_at > %s"
            " ORDER BY ended_at DESC LIMIT %s",
            [now - RECENT, BATCH_SIZE],
        )
        return woken_by(row[0] for row in cursor.fetchall()).ids


@repeat_on_deadlock
@transaction.atomic
def _next_window() -> list[int]:
    """Return the next few waiting instances, so that each is looked at sooner or later."""
    global _window_after
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM instances_instance WHERE id > %s"
            " AND state IN ('WAITING_EVENT', 'WAITING_UPSTREAM') ORDER BY id LIMIT %s",
            [_window_after, WINDOW],
        )
        ids = [row[0] for row in cursor.fetchall()]
    _window_after = ids[-1] if len(ids) == WINDOW else 0
    resolve_edges_of(ids)
    return ids


def _next_days() -> list[int]:
    """Return the next few days that go on: there are few of them, at most one a lane."""
    global _days_after
    ids = days.going_on(after=_days_after, limit=WINDOW)
    _days_after = ids[-1] if len(ids) == WINDOW else 0
    return ids


def _groups_with_ready() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT g.id FROM projects_resourcegroup g WHERE EXISTS (SELECT FROM"
            " instances_instance i WHERE i.resource_group_id = g.id"
            " AND i.state = 'WAITING_EXECUTION' AND i.dispatched_at IS NULL)"
        )
        return [row[0] for row in cursor.fetchall()]
