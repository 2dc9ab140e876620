"""Terminate (I4): waiting instances end at once, running ones when their processes are gone."""

from __future__ import annotations

from instances.engine.stopping import stop
from instances.states import State
from instances.verbs.noun import INSTANCES
from projects.ground import clock
from projects.ground.words import gettext_lazy
from projects.verbs.catalogue import declare
from projects.verbs.recording import ItemOutcome
from projects.verbs.selecting import Selection

_ENDS_AT_ONCE = gettext_lazy("fails at once with code TERMINATED; it never runs")


@declare(
    INSTANCES,
    "terminate",
    title=gettext_lazy("Terminate"),
    done=gettext_lazy("terminated"),
    icon="cancel",
    place=3,
    danger=True,
    warning=gettext_lazy(
        "A running process and all its children are gone within 5 seconds. What waits "
        "for a terminated instance goes on waiting."
    ),
    effects={
        State.WAITING_EVENT: _ENDS_AT_ONCE,
        State.WAITING_UPSTREAM: _ENDS_AT_ONCE,
        State.WAITING_EXECUTION: _ENDS_AT_ONCE,
        State.RUNNING: gettext_lazy("its process is killed, then it fails with code TERMINATED"),
    },
)
def terminate(selection: Selection) -> list[ItemOutcome]:
    """Terminate the instances that may be; the answer says which (I4, I10).

    A running one is TERMINATING until its processes are gone, within 5 seconds, and then FAILED
    with code TERMINATED. Its downstream stays waiting.
    """
    done = stop(selection.states, now=clock.now(), by="an operator")
    return selection.outcomes(done)
