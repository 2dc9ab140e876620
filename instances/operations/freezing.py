"""Freeze and unfreeze (I8): an operator sets an instance aside, and takes it up again."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from instances import transitions
from instances.engine import groups_of, hold_back_below, limited_tasks_of, settle
from instances.operations.selecting import select
from instances.states import FREEZABLE, State
from projects import clock
from projects.access import Actor
from projects.bulk import repeat_on_deadlock
from projects.operations import BatchResult, record


@repeat_on_deadlock
@transaction.atomic
def freeze(*, actor: Actor, ids: Iterable[int]) -> BatchResult:
    """Set instances aside: a frozen one is not scheduled and holds its downstream back (I8).

    That of a success, too: what waits for it and has not started yet waits until it is unfrozen.
    """
    selection = select(actor=actor, ids=ids, allowed=FREEZABLE, verb="freeze")
    now = clock.now()
    frozen = transitions.freeze(selection.states)
    successes = [pk for pk, state in frozen.items() if state == State.SUCCESS]
    held = hold_back_below(successes, now=now) if successes else []
    settle([], now=now, freed_groups=groups_of(held), freed_tasks=limited_tasks_of(held))
    return record(
        actor=actor,
        verb="instances.freeze",
        object_type="instance",
        project_id=selection.project_id,
        outcomes=selection.outcomes(frozen),
    )


@repeat_on_deadlock
@transaction.atomic
def unfreeze(*, actor: Actor, ids: Iterable[int]) -> BatchResult:
    """Take frozen instances up again (I8).

    A finished one is what it was, and what waits for a success goes on; any other waits anew for
    its time, events and upstream, with the retries that it has left.
    """
    selection = select(actor=actor, ids=ids, allowed={State.FROZEN}, verb="unfreeze")
    # After the locks: a wait that begins after its batch was stopped must be seen to.
    now = clock.now()
    states = transitions.unfreeze(selection.states, now=now)
    settle(
        [pk for pk, state in states.items() if state == State.NOT_RUN],
        now=now,
        succeeded=[pk for pk, state in states.items() if state == State.SUCCESS],
    )
    return record(
        actor=actor,
        verb="instances.unfreeze",
        object_type="instance",
        project_id=selection.project_id,
        outcomes=selection.outcomes(states),
    )
