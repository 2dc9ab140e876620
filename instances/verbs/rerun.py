"""Rerun (I5, scope "this"): a finished or ready instance begins a new round."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from instances import transitions
from instances.engine.settling import groups_of, hold_back_below, limited_tasks_of, settle
from instances.states import ExecutionState, State
from instances.verbs.noun import INSTANCES
from projects.ground import clock
from projects.ground.words import gettext_lazy
from projects.verbs.catalogue import declare
from projects.verbs.recording import ItemOutcome
from projects.verbs.selecting import Selection


@declare(
    INSTANCES,
    "rerun",
    title=gettext_lazy("Rerun"),
    done=gettext_lazy("run again"),
    icon="replay",
    place=1,
    warning=gettext_lazy(
        "Each runs again as soon as its upstream allows. Retries count from 0. "
        "What waits for one of them and has not started is held back until the new run "
        "succeeds; what has run stays as it is."
    ),
    effects={
        State.FAILED: gettext_lazy("runs again"),
        State.SUCCESS: gettext_lazy("runs again, and is no success until it has"),
        State.WAITING_EXECUTION: gettext_lazy(
            "looks at its upstream again and takes its place anew"
        ),
        State.RETRYING: gettext_lazy("is tried at once, not at its next try"),
    },
)
def rerun(selection: Selection) -> list[ItemOutcome]:
    """Run the instances again, each when its upstream allows (I5, I14).

    Retries count from 0 again, the total of runs goes on. What waits for one of them and has not
    started yet is held back until the new run succeeds; what has run stays as it is.
    """
    # After the locks: a round that begins after its batch was stopped must be seen to.
    now = clock.now()
    done = begin_round(selection.states, now=now)
    freed = [*done, *hold_back_below(done, now=now)]
    settle(done, now=now, freed_groups=groups_of(freed), freed_tasks=limited_tasks_of(freed))
    return selection.outcomes(done)


def begin_round(ids: Iterable[int], *, now: datetime) -> list[int]:
    """Set locked instances back to NOT_RUN for a new round; return those that were."""
    listed = list(ids)
    transitions.close_sent_executions(listed, ExecutionState.DISMISSED, now=now)
    return transitions.begin_round(listed, now=now)
