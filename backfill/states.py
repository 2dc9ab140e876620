"""The states of plans and the one table of their moves (design §7)."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext as _

from instances.states import State
from projects.ground.words import gettext_lazy


class PlanState(models.TextChoices):
    """Where a plan is in its life."""

    DRAFT = "draft", gettext_lazy("Draft")  # may be edited and previewed
    EXPANDING = "expanding", gettext_lazy("Expanding")  # submitted; its instances are being made
    RUNNING = "running", gettext_lazy("Running")  # all instances are made; some are not finished
    # Shown of an active plan whose batch is paused; never stored.
    PAUSED = "paused", gettext_lazy("Paused")
    COMPLETED = "completed", gettext_lazy("Completed")  # every instance is SUCCESS or FAILED
    TERMINATED = "terminated", gettext_lazy("Terminated")  # stopped by an operator


class PlanResult(models.TextChoices):
    """What came of a plan."""

    SUCCEEDED = "succeeded", gettext_lazy("Succeeded")  # over, and nothing of it failed
    PARTLY = "partly", gettext_lazy("Partly succeeded")  # over: some of it succeeded, some did not
    FAILED = "failed", gettext_lazy("Failed")  # over, and nothing of it succeeded
    # Ready, and nothing has a slot.
    WAITING = "waiting_for_resources", gettext_lazy("Waiting for resources")
    PENDING = "pending", gettext_lazy("Pending")  # not begun, or under way


class SkipReason(models.TextChoices):
    """Why a cell of the plan has no instance."""

    NOT_EFFECTIVE = "not_effective", gettext_lazy("Outside the task's effective dates")
    STOPPED = "stopped", gettext_lazy("The plan was terminated before it was made")


ACTIVE = frozenset({PlanState.EXPANDING, PlanState.RUNNING})
OVER = frozenset({PlanState.COMPLETED, PlanState.TERMINATED})
STORED = frozenset(PlanState) - {PlanState.PAUSED}

# Every write of a state goes through transitions.py, which refuses what is not here.
TRANSITIONS: dict[PlanState, frozenset[PlanState]] = {
    PlanState.DRAFT: frozenset({PlanState.EXPANDING}),
    PlanState.EXPANDING: frozenset({PlanState.RUNNING, PlanState.TERMINATED}),
    PlanState.RUNNING: frozenset({PlanState.COMPLETED, PlanState.TERMINATED}),
    # An instance of a finished plan that is run again sets its plan going again.
    PlanState.COMPLETED: frozenset({PlanState.RUNNING}),
    PlanState.TERMINATED: frozenset({PlanState.RUNNING}),
}

# An instance that is frozen neither waits nor runs, and one that is being terminated is on its way
# out: neither sets a finished plan going again.
GOING = frozenset(State) - {State.SUCCESS, State.FAILED, State.FROZEN, State.TERMINATING}


def sources_of(target: PlanState) -> frozenset[PlanState]:
    """Return the states from which `target` may be reached."""
    return frozenset(state for state, targets in TRANSITIONS.items() if target in targets)


_ILL = frozenset({PlanResult.PARTLY, PlanResult.FAILED})


def spelled(state: PlanState, result: PlanResult) -> str:
    """The state in words: a plan that completed with failures says so."""
    is_ill = state == PlanState.COMPLETED and result in _ILL
    return _("Completed with failures") if is_ill else state.label


def tone_key(state: PlanState, result: PlanResult) -> str:
    """What the colour of a state is looked up by."""
    is_ill = state == PlanState.COMPLETED and result in _ILL
    return f"{state.value}:{result.value}" if is_ill else state.value
