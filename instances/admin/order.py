"""The order of states in bars and counts: what is done first, what has not begun last."""

from __future__ import annotations

from instances.states import State

PROGRESS_ORDER = (
    State.SUCCESS,
    State.FAILED,
    State.RUNNING,
    State.TERMINATING,
    State.RETRYING,
    State.WAITING_EXECUTION,
    State.WAITING_UPSTREAM,
    State.WAITING_EVENT,
    State.FROZEN,
    State.NOT_RUN,
)
