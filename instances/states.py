"""The states of instances and executions, their groups and the one transition table (design §4)."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models

from projects.ground.words import gettext_lazy


class State(models.TextChoices):
    """Where an instance is in its life."""

    NOT_RUN = "NOT_RUN", gettext_lazy("Not run")  # made; its time, day or lane has not come
    # A subscribed event is missing.
    WAITING_EVENT = "WAITING_EVENT", gettext_lazy("Waiting for event")
    # An edge is not SUCCESS.
    WAITING_UPSTREAM = "WAITING_UPSTREAM", gettext_lazy("Waiting for upstream")
    # Ready, or sent to a worker.
    WAITING_EXECUTION = "WAITING_EXECUTION", gettext_lazy("Waiting for execution")
    RUNNING = "RUNNING", gettext_lazy("Running")  # a worker has started its process
    # Its process is being killed: then it has ended.
    TERMINATING = "TERMINATING", gettext_lazy("Terminating")
    RETRYING = "RETRYING", gettext_lazy("Retrying")  # failed, and waits for its next try
    SUCCESS = "SUCCESS", gettext_lazy("Success")  # done: downstream goes on
    FAILED = "FAILED", gettext_lazy("Failed")  # given up, or terminated: downstream is held back
    FROZEN = "FROZEN", gettext_lazy("Frozen")  # set aside by an operator: not scheduled


class ExecutionState(models.TextChoices):
    """Where one attempt is."""

    SENT = "SENT", gettext_lazy("Sent")  # has a slot; a worker has been told
    RUNNING = "RUNNING", gettext_lazy("Running")  # a worker holds its lease
    TERMINATING = "TERMINATING", gettext_lazy("Terminating")  # its worker has been asked to kill it
    SUCCESS = "SUCCESS", gettext_lazy("Success")  # ended well
    FAILED = "FAILED", gettext_lazy("Failed")  # ended badly
    TERMINATED = "TERMINATED", gettext_lazy("Terminated")  # ended by an operator
    LOST = "LOST", gettext_lazy("Lost")  # its worker fell silent
    # Marked success, or not started and run again.
    DISMISSED = "DISMISSED", gettext_lazy("Dismissed")


class Kind(models.TextChoices):
    """Why an instance exists (I2)."""

    PERIODIC = "PERIODIC", gettext_lazy("Periodic")  # made by the schedule
    ONE_TIME = "ONE_TIME", gettext_lazy("Non-periodic")  # made by a one-time schedule
    BACKFILL = "BACKFILL", gettext_lazy("Supplementary")  # made by a backfill plan


class Cause(models.TextChoices):
    """Why an execution was started (I11)."""

    FIRST = "FIRST", gettext_lazy("First run")
    RETRY = "RETRY", gettext_lazy("Retry")
    RERUN = "RERUN", gettext_lazy("Rerun")
    BACKFILL = "BACKFILL", gettext_lazy("Backfill")


FINISHED = frozenset({State.SUCCESS, State.FAILED})
UNFINISHED = frozenset(State) - FINISHED
# Waits for something that readiness looks at.
PENDING = frozenset({State.NOT_RUN, State.WAITING_EVENT, State.WAITING_UPSTREAM})
# Waits for other rows, and is looked at round by round.
WAITING = PENDING - {State.NOT_RUN}
# Waits for its clock: due by not_before.
CLOCKED = frozenset({State.NOT_RUN, State.RETRYING})
IN_PROCESS = frozenset({State.RUNNING, State.TERMINATING})

# An attempt that holds a slot.
LIVE = frozenset({ExecutionState.SENT, ExecutionState.RUNNING, ExecutionState.TERMINATING})
IN_WORKER = frozenset({ExecutionState.RUNNING, ExecutionState.TERMINATING})

# What an operator may do, from which states (features I4 to I8).
TERMINABLE = frozenset(
    {State.WAITING_EVENT, State.WAITING_UPSTREAM, State.WAITING_EXECUTION, State.RUNNING}
)
FREEZABLE = frozenset(
    {State.WAITING_EVENT, State.WAITING_UPSTREAM, State.RETRYING, State.SUCCESS, State.FAILED}
)
RERUNNABLE = frozenset({State.FAILED, State.SUCCESS, State.WAITING_EXECUTION, State.RETRYING})
MARKABLE = frozenset(
    {
        State.RUNNING,
        State.FAILED,
        State.WAITING_EVENT,
        State.WAITING_UPSTREAM,
        State.WAITING_EXECUTION,
    }
)

# The moves of the engine and of operators: every write of a state goes through transitions.py,
# which refuses what is not here.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.NOT_RUN: frozenset(
        {
            State.WAITING_EVENT,
            State.WAITING_UPSTREAM,
            State.WAITING_EXECUTION,
            State.SUCCESS,
            State.FAILED,  # its plan was terminated
        }
    ),
    State.WAITING_EVENT: frozenset(
        {
            State.NOT_RUN,
            State.WAITING_UPSTREAM,
            State.WAITING_EXECUTION,
            State.SUCCESS,
            State.FAILED,
            State.FROZEN,
        }
    ),
    State.WAITING_UPSTREAM: frozenset(
        {
            State.NOT_RUN,
            State.WAITING_EVENT,
            State.WAITING_EXECUTION,
            State.SUCCESS,
            State.FAILED,
            State.FROZEN,
        }
    ),
    State.WAITING_EXECUTION: frozenset(
        {
            State.NOT_RUN,
            State.WAITING_UPSTREAM,  # an upstream is run again before this one started
            State.RUNNING,
            State.SUCCESS,
            State.FAILED,
        }
    ),
    State.RUNNING: frozenset(
        {
            State.SUCCESS,
            State.FAILED,
            State.RETRYING,
            State.TERMINATING,
        }
    ),
    State.TERMINATING: frozenset({State.FAILED, State.SUCCESS}),  # the second when marked so
    State.RETRYING: frozenset({State.NOT_RUN, State.FAILED, State.FROZEN}),
    State.SUCCESS: frozenset({State.NOT_RUN, State.FROZEN}),
    State.FAILED: frozenset({State.NOT_RUN, State.SUCCESS, State.FROZEN}),
    # Unfrozen: what was finished is so again, all else looks anew at what it waits for.
    State.FROZEN: frozenset({State.NOT_RUN, State.SUCCESS, State.FAILED}),
}


def sources_of(target: State) -> frozenset[State]:
    """Return the states from which `target` may be reached."""
    return frozenset(state for state, targets in TRANSITIONS.items() if target in targets)


def listed(states: Iterable[models.TextChoices]) -> str:
    """Return states for SQL's IN (…), in so many words: so the planner finds partial indexes."""
    return ", ".join(f"'{state.value}'" for state in sorted(states))
