"""The states of plans (design §7)."""

from __future__ import annotations

from django.db import models


class PlanState(models.TextChoices):
    """Where a plan is in its life."""

    DRAFT = "draft", "Draft"  # may be edited and previewed
    EXPANDING = "expanding", "Expanding"  # submitted; its instances are being made
    RUNNING = "running", "Running"  # all instances are made; some are not finished
    PAUSED = "paused", "Paused"  # shown of an active plan whose batch is paused; never stored
    COMPLETED = "completed", "Completed"  # every instance is SUCCESS or FAILED
    TERMINATED = "terminated", "Terminated"  # stopped by an operator


class SkipReason(models.TextChoices):
    """Why a cell of the plan has no instance."""

    NOT_EFFECTIVE = "not_effective", "Outside the task's effective dates"
    STOPPED = "stopped", "The plan was terminated before it was made"


ACTIVE = frozenset({PlanState.EXPANDING, PlanState.RUNNING})
# The shown states that allow an operation.
ALLOWING: dict[str, frozenset[PlanState]] = {
    "terminate": ACTIVE | {PlanState.PAUSED},
    "pause": ACTIVE,
    "resume": frozenset({PlanState.PAUSED}),
}

TRANSITIONS: dict[PlanState, frozenset[PlanState]] = {
    PlanState.DRAFT: frozenset({PlanState.EXPANDING}),
    PlanState.EXPANDING: frozenset({PlanState.RUNNING, PlanState.TERMINATED}),
    PlanState.RUNNING: frozenset({PlanState.COMPLETED, PlanState.TERMINATED}),
    # An instance of a finished plan that is run again sets its plan going again.
    PlanState.COMPLETED: frozenset({PlanState.RUNNING}),
    PlanState.TERMINATED: frozenset({PlanState.RUNNING}),
}
