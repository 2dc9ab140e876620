"""Mark success (I6): an operator says that the work is done, and downstream goes on."""

from __future__ import annotations

from django.utils.translation import gettext as _

from instances import transitions
from instances.engine.settling import groups_of, limited_tasks_of, settle
from instances.states import ExecutionState, State
from instances.verbs.noun import INSTANCES
from projects.ground import clock
from projects.ground.words import gettext_lazy
from projects.verbs.catalogue import declare
from projects.verbs.recording import ItemOutcome
from projects.verbs.selecting import Selection
from projects.verbs.verb import Option

_GOES_ON = gettext_lazy("counts as done from now on; what waits for it goes on")


@declare(
    INSTANCES,
    "mark-success",
    title=gettext_lazy("Mark success"),
    done=gettext_lazy("marked success"),
    icon="check_circle",
    place=2,
    warning=gettext_lazy(
        "Nothing of the work itself is done. Who reads the data downstream will find what is there."
    ),
    effects={
        State.RUNNING: gettext_lazy(
            "its process is killed and its result ignored; as soon as that has "
            "ended it counts as done, and what waits for it goes on"
        ),
        State.FAILED: _GOES_ON,
        State.WAITING_EVENT: _GOES_ON,
        State.WAITING_UPSTREAM: _GOES_ON,
        State.WAITING_EXECUTION: _GOES_ON,
    },
    options=(
        Option(
            "reason",
            "text",
            gettext_lazy("It stands beside the state and in the operation record."),
            title=gettext_lazy("Reason"),
            limit=500,
        ),
    ),
)
def mark_success(selection: Selection, reason: str = "") -> list[ItemOutcome]:
    """Set the instances that may be to SUCCESS, and let go on what waits for them (I6).

    They say from then on who settled them, when and for which reason; the times of their runs stay.
    A running one is TERMINATING until its processes are gone, and then SUCCESS whatever they did:
    neither its downstream nor a rerun ever starts beside them. The answer says so.
    """
    now = clock.now()
    settled = transitions.settle_by_hand(
        selection.states,
        by=getattr(selection.actor, "pk", None),
        because=reason.strip(),
        now=now,
    )
    stopping = [pk for pk, state in settled.items() if state == State.TERMINATING]
    done = [pk for pk, state in settled.items() if state == State.SUCCESS]
    transitions.ask_to_stop(stopping, now=now)
    # What was sent and not yet started never starts; its slots go to others.
    closed = transitions.close_sent_executions(done, ExecutionState.DISMISSED, now=now)
    settle(
        [],
        now=now,
        succeeded=done,
        freed_groups=groups_of(done) if closed else (),
        freed_tasks=limited_tasks_of(done) if closed else (),
    )
    later = _("It is being stopped, and is a success as soon as its process has ended.")
    return selection.outcomes([*done, *stopping], details=dict.fromkeys(stopping, later))
