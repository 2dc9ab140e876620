"""The states of plans and the one table of their moves (design §7)."""

from __future__ import annotations

from django.db import models

from instances.states import State


class PlanState(models.TextChoices):
    """Where a plan is in its life."""

    DRAFT = "draft", "Draft"  # may be edited and previewed
    EXPANDING = "expanding", "Expanding"  # submitted; its instances are being made
    RUNNING = "running", "Running"  # all instances are made; some are not finished
    PAUSED = "paused", "Paused"  # shown of an active plan whose batch is paused; never stored
    COMPLETED = "completed", "Completed"  # every instance is SUCCESS or FAILED
    TERMINATED = "terminated", "Terminated"  # stopped by an operator


class PlanResult(models.TextChoices):
    """What came of a plan."""

    SUCCEEDED = "succeeded", "Succeeded"  # over, and nothing of it failed
    PARTLY = "partly", "Partly succeeded"  # over: some of it succeeded, some did not
    FAILED = "failed", "Failed"  # over, and nothing of it succeeded
    WAITING = "waiting_for_resources", "Waiting for resources"  # ready, and nothing has a slot
    PENDING = "pending", "Pending"  # not begun, or under way


class SkipReason(models.TextChoices):
    """Why a cell of the plan has no instance."""

    NOT_EFFECTIVE = "not_effective", "Outside the task's effective dates"
    STOPPED = "stopped", "The plan was terminated before it was made"


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
    return "Completed with failures" if is_ill else state.label


def tone_key(state: PlanState, result: PlanResult) -> str:
    """What the colour of a state is looked up by."""
    is_ill = state == PlanState.COMPLETED and result in _ILL
    return f"{state.value}:{result.value}" if is_ill else state.value
