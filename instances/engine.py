"""The step that follows every change: look at what may go on, and give it slots.

`settle` is the one way through the house after something changed: readiness in the transaction of
the change, dispatch after its commit. Should the process die in between, the sweep dispatches.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from django.db import transaction

from instances import transitions
from instances.dispatch import dispatch
from instances.locking import blocked_ids, downstream_ids, lock_instances
from instances.prepared import prepared_cursor
from instances.readiness import advance, woken_by
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
    candidates = {*ids, *woken_by(succeeded)}
    groups = {*freed_groups, *advance(sorted(candidates), now=now)}
    if groups:
        # Robust: what is committed is done, whatever becomes of this. The sweep dispatches too.
        transaction.on_commit(partial(_dispatch_now, groups, set(freed_tasks)), robust=True)


def _dispatch_now(group_ids: set[int], task_ids: set[int]) -> None:
    # Looked up after the commit: who became ready before, in whatever group, still saw the task
    # full; who does after sees that it is not.
    dispatch(group_ids | _groups_waiting_for(task_ids), now=clock.now())


def _groups_waiting_for(task_ids: set[int]) -> set[int]:
    """Return the resource groups that have ready instances of the tasks."""
    if not task_ids:
        return set()
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT resource_group_id FROM instances_instance WHERE task_id = ANY(%s)"
            " AND state = 'WAITING_EXECUTION' AND dispatched_at IS NULL",
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
