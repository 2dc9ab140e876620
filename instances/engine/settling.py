"""The step that follows every change: look at what may go on, and give it slots.

`settle` is the one way through the house after something changed: readiness in the transaction of
the change; long chains of inline instances, days that it may have finished, and dispatch, after its
commit, in bounded transactions and not for long. What is left then is found by the sweep, which is
told of it; it finds it all the same should the process die in between.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import transaction

from instances import transitions
from instances.engine import days
from instances.engine.announcing import nudge_sweep
from instances.engine.dispatch import dispatch
from instances.engine.readiness import Advanced, advance, woken_by
from instances.ground.locking import (
    blocked_ids,
    downstream_ids,
    in_parts,
    lock_instances,
    unless_held,
)
from instances.ground.prepared import prepared_cursor
from projects.ground import clock
from projects.ground.bulk import limit_lock_waits, repeat_on_deadlock
from projects.ground.sql import column


def settle(
    ids: Iterable[int],
    *,
    now: datetime,
    succeeded: Iterable[int] = (),
    freed_groups: Iterable[int] = (),
    freed_tasks: Iterable[int] = (),
) -> None:
    """Advance `ids` and what waits for `succeeded`; after the commit fill the slots this opens.

    ids: instances that may be able to go on. succeeded: instances that have just become SUCCESS.
    freed_groups: resource groups that got a slot back. freed_tasks: tasks with a limit of which one
    execution less runs. Call inside the transaction of the change.
    """
    woken = woken_by(succeeded)
    advanced = advance(sorted({*ids, *woken.ids}), now=now)
    rest = _Rest(advanced.left, woken.days | advanced.days, {*freed_groups, *advanced.groups})
    if rest:
        # Robust: what is committed is done, whatever becomes of this. The sweep does it too.
        # Django names in its log what failed, and a partial has no name.
        tasks = set(freed_tasks)
        transaction.on_commit(lambda: _go_on(rest, tasks), robust=True)


@dataclass(slots=True)
class _Rest:
    """What is still to be done: instances and days to look at, groups with slots to fill."""

    ids: set[int] = field(default_factory=set)
    days: set[int] = field(default_factory=set)
    groups: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.ids or self.days or self.groups)

    def add(self, advanced: Advanced) -> None:
        self.ids |= advanced.left
        self.days |= advanced.days
        self.groups |= advanced.groups


def _go_on(rest: _Rest, task_ids: Iterable[int] = ()) -> int:
    """Let a bounded number of instances go on, fill slots, and so forth; return the executions.

    Not for long: whoever calls has other things to do. task_ids: tasks with a limit of which one
    execution less runs.
    """
    until = time.monotonic() + settings.GO_ON_SECONDS
    made = 0
    while rest:
        # The days first, so that what they open is among those who get a slot by its priority. The
        # tasks after the commit: who became ready before, in whatever group, still saw the task
        # full; who does after sees that it is not.
        try:
            _go_on_with_instances(rest)
            _go_on_with_days(rest)
            rest.groups |= _groups_waiting_for(set(task_ids))
        finally:  # whatever becomes of the others: the slots that came free are not theirs alone
            groups, rest.groups, task_ids = rest.groups, set(), ()
            if groups:
                made += dispatch(groups, now=clock.now())
        if rest and time.monotonic() >= until:
            nudge_sweep()
            break
    return made


def _groups_waiting_for(task_ids: set[int]) -> set[int]:
    """Return the resource groups that have ready instances of the tasks."""
    if not task_ids:
        return set()
    with prepared_cursor() as cursor:
        cursor.execute(
            # A probe for each group: a task may have very many that are ready.
            "SELECT g.id FROM projects_resourcegroup g WHERE EXISTS (SELECT FROM"
            " instances_instance i WHERE i.task_id = ANY(%s) AND i.resource_group_id = g.id"
            " AND i.state = 'WAITING_EXECUTION' AND i.dispatched_at IS NULL AND i.limited)",
            [list(task_ids)],
        )
        return set(column(cursor))


def limited_tasks_of(ids: Iterable[int]) -> set[int]:
    """Return the tasks of the instances that have a limit of their own."""
    listed = list(ids)
    if not listed:
        return set()
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT t.id FROM instances_instance i JOIN workflows_task t"
            " ON t.id = i.task_id WHERE i.id = ANY(%s) AND t.max_parallel IS NOT NULL",
            [listed],
        )
        return set(column(cursor))


def hold_back_below(ids: Iterable[int], *, now: datetime) -> list[int]:
    """Hold back what waits for locked instances that are no success any more, unless it started.

    Returns the instances held back. Call inside the transaction of the change.
    """
    chosen = set(ids)
    # Read after the upstreams were locked: who succeeds as a plan's instance gains downstreams.
    # Readiness holds the downstream's lock when it finds an upstream SUCCESS, so it is either
    # before us, and what it let go on is held back here, or after us.
    below = set(downstream_ids(chosen)) - chosen
    # And looked at after these were locked: a dependency may have been removed meanwhile.
    return transitions.hold_back(blocked_ids(lock_instances(below)), now=now)


def go_on_with_days(day_ids: Iterable[int]) -> int:
    """Do what is to be done about the days of batches, and dispatch; return the executions made.

    Call outside of a transaction, after the commit of what was done in the days.
    """
    return _go_on(_Rest(days=set(day_ids)))


def _go_on_with_instances(rest: _Rest) -> None:
    """Look at the next of the instances; what somebody holds is left to the sweep."""
    if rest.ids:
        ids, rest.ids = sorted(rest.ids), set()
        for advanced in in_parts(_advance, ids, seconds=settings.GO_ON_SECONDS)[0]:
            rest.add(advanced)


def _go_on_with_days(rest: _Rest) -> None:
    """Let the next instances of open days go on, and open the days after those that are done.

    What somebody holds of them is left to the sweep.
    """
    if not rest.days:
        return
    look = days.look_at(rest.days)
    rest.days = set(look.awaited)
    for day_id in look.done:
        rest.days.update(unless_held(_open_next, day_id) or ())
    room = days.RELEASED_AT_ONCE
    for day_id in look.awaited:
        ids = days.awaiting(day_id)
        # Long enough to come to those that nobody holds: the sweep comes this way too.
        released = in_parts(_release, ids, seconds=settings.SYSTEM_JOB_SECONDS)[0]
        for advanced in released:
            rest.add(advanced)
        if ids and not released:
            rest.days.discard(day_id)
        room -= len(ids)
        if room <= 0:
            break


@repeat_on_deadlock
@transaction.atomic
def _advance(ids: Iterable[int], *, lock_seconds: float) -> Advanced:
    limit_lock_waits(lock_seconds)
    return advance(ids, now=clock.now())


@repeat_on_deadlock
@transaction.atomic
def _open_next(day_id: int) -> list[int]:
    limit_lock_waits(settings.ENGINE_LOCK_SECONDS)
    return days.open_next(day_id, now=clock.now())


@repeat_on_deadlock
@transaction.atomic
def _release(ids: list[int], *, lock_seconds: float) -> Advanced:
    """Let instances go on whose day is open."""
    limit_lock_waits(lock_seconds)
    lock_instances(ids)
    transitions.release(ids)
    return advance(ids, now=clock.now())


def groups_of(ids: Iterable[int]) -> set[int]:
    """Return the resource groups of the instances."""
    listed = list(ids)
    if not listed:
        return set()
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT resource_group_id FROM instances_instance WHERE id = ANY(%s)",
            [listed],
        )
        return set(column(cursor))


def set_going(ids: Collection[int]) -> None:
    """Advance and dispatch instances that were made, or whose clock has come.

    Those for which this meets what others hold are left to the sweep.
    """
    in_parts(_set_going, ids, seconds=settings.SYSTEM_JOB_SECONDS)


@repeat_on_deadlock
@transaction.atomic
def _set_going(ids: Iterable[int], *, lock_seconds: float) -> None:
    limit_lock_waits(lock_seconds)
    settle(ids, now=clock.now())
