"""The step that follows every change: look at what may go on, and give it slots.

`settle` is the one way through the house after something changed: readiness in the transaction of
the change; days that it may have finished, and dispatch, after its commit. Should the process die
in between, the sweep does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from django.db import transaction

from instances import days, transitions
from instances.dispatch import dispatch
from instances.locking import blocked_ids, downstream_ids, lock_instances
from instances.prepared import prepared_cursor
from instances.readiness import Advanced, advance, woken_by
from projects import clock
from projects.bulk import repeat_on_deadlock


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
    groups = {*freed_groups, *advanced.groups}
    day_ids = woken.days | advanced.days
    if groups or day_ids:
        # Robust: what is committed is done, whatever becomes of this. The sweep does it too.
        transaction.on_commit(partial(_go_on, day_ids, groups, set(freed_tasks)), robust=True)


def _go_on(day_ids: set[int], group_ids: set[int], task_ids: set[int]) -> None:
    # The days first, so that what they open is among those who get a slot by its priority. The
    # tasks after the commit: who became ready before, in whatever group, still saw the task full;
    # who does after sees that it is not.
    groups = group_ids
    try:
        groups = groups | _go_on_with_days(day_ids) | _groups_waiting_for(task_ids)
    finally:  # whatever becomes of the days: the slots that came free are not theirs alone
        if groups:
            dispatch(groups, now=clock.now())


def _groups_waiting_for(task_ids: set[int]) -> set[int]:
    """Return the resource groups that have ready instances of the tasks."""
    if not task_ids:
        return set()
    with prepared_cursor() as cursor:
        cursor.execute(
            # A probe for each group: a task may have very many that are ready.
            "SELECT g.id FROM projects_resourcegroup g WHERE EXISTS (SELECT FROM"
            " instances_instance i WHERE i.task_id = ANY(%s) AND i.resource_group_id = g.id"
            " AND i.state = 'WAITING_EXECUTION' AND i.dispatched_at IS NULL)",
            [list(task_ids)],
        )
        return {row[0] for row in cursor.fetchall()}


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
        return {row[0] for row in cursor.fetchall()}


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
    groups = _go_on_with_days(day_ids)
    return dispatch(groups, now=clock.now()) if groups else 0


def _go_on_with_days(day_ids: Iterable[int]) -> set[int]:
    """Let instances of open days go on, open the days after those that are done, and so forth.

    Returns the resource groups in which instances became ready. Bounded transactions: one for a
    day that opens, one for each few thousand instances that are let go on.
    """
    groups: set[int] = set()
    left = set(day_ids)
    while left:
        look = days.look_at(left)
        left = set()
        for day_id in look.awaited:
            while ids := days.awaiting(day_id):
                advanced = _release(ids)
                groups |= advanced.groups
                left |= advanced.days
            left.add(day_id)  # by now it may be done
        for day_id in look.done:
            left.update(days.open_next(day_id, now=clock.now()))
    return groups


@repeat_on_deadlock
@transaction.atomic
def _release(ids: list[int]) -> Advanced:
    """Let instances go on whose day is open."""
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
        return {row[0] for row in cursor.fetchall()}


@repeat_on_deadlock
@transaction.atomic
def set_going(ids: Iterable[int]) -> None:
    """Advance and dispatch instances that were made, or whose clock has come."""
    settle(ids, now=clock.now())
