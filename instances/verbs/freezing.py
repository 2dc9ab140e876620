"""Freeze and unfreeze (I8): an operator sets an instance aside, and takes it up again."""

from __future__ import annotations

from instances import transitions
from instances.engine.settling import groups_of, hold_back_below, limited_tasks_of, settle
from instances.states import State
from instances.verbs.noun import INSTANCES
from projects.ground import clock
from projects.ground.words import gettext_lazy
from projects.verbs.catalogue import declare
from projects.verbs.recording import ItemOutcome
from projects.verbs.selecting import Selection

_SCHEDULED = gettext_lazy(
    "is not scheduled until it is unfrozen; what waits for it goes on waiting"
)


@declare(
    INSTANCES,
    "freeze",
    title=gettext_lazy("Freeze"),
    done=gettext_lazy("frozen"),
    icon="ac_unit",
    place=4,
    alternate=True,
    warning=gettext_lazy(
        "A frozen instance is not scheduled, and what waits for it waits until it is "
        "unfrozen. Nothing that runs is stopped."
    ),
    effects={
        State.WAITING_EVENT: _SCHEDULED,
        State.WAITING_UPSTREAM: _SCHEDULED,
        State.RETRYING: gettext_lazy("is not tried again until it is unfrozen"),
        State.SUCCESS: gettext_lazy(
            "is no success until it is unfrozen: what waits for it and has not started is held back"
        ),
        State.FAILED: gettext_lazy("cannot be run again until it is unfrozen"),
    },
)
def freeze(selection: Selection) -> list[ItemOutcome]:
    """Set instances aside: a frozen one is not scheduled and holds its downstream back (I8).

    That of a success, too: what waits for it and has not started yet waits until it is unfrozen.
    """
    now = clock.now()
    frozen = transitions.freeze(selection.states)
    successes = [pk for pk, state in frozen.items() if state == State.SUCCESS]
    held = hold_back_below(successes, now=now) if successes else []
    settle([], now=now, freed_groups=groups_of(held), freed_tasks=limited_tasks_of(held))
    return selection.outcomes(frozen)


@declare(
    INSTANCES,
    "unfreeze",
    title=gettext_lazy("Unfreeze"),
    done=gettext_lazy("unfrozen"),
    icon="mode_heat",
    place=5,
    alternate=True,
    warning=gettext_lazy(
        "What was finished when it was frozen is so again, and what waits for a "
        "success goes on. Any other waits anew for its time, events and upstream."
    ),
    effects={State.FROZEN: gettext_lazy("goes on where it was set aside")},
)
def unfreeze(selection: Selection) -> list[ItemOutcome]:
    """Take frozen instances up again (I8).

    A finished one is what it was, and what waits for a success goes on; any other waits anew for
    its time, events and upstream, with the retries that it has left.
    """
    # After the locks: a wait that begins after its batch was stopped must be seen to.
    now = clock.now()
    states = transitions.unfreeze(selection.states, now=now)
    settle(
        [pk for pk, state in states.items() if state == State.NOT_RUN],
        now=now,
        succeeded=[pk for pk, state in states.items() if state == State.SUCCESS],
    )
    return selection.outcomes(states)
