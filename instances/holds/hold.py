"""What a hold is: a reason for which an instance waits, in SQL for the engine, in words for people.

Where one is added: docs/architecture.md, "A reason to wait".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique

from instances.models import Instance
from instances.states import PENDING, State
from projects.ground.closed_box import Sight


@unique
class Stage(Enum):
    """How far an instance gets that is held, by the states in which the hold is told of."""

    # Nowhere: its state itself says so, and no step of the engine comes across it.
    ASIDE = frozenset({State.FROZEN})
    # Nowhere: it stays as it is. Readiness, dispatch, the claim and the sweep ask.
    STILL = PENDING | {State.RETRYING, State.WAITING_EXECUTION}
    # It is not ready. Readiness asks, and moves it to the state in which it waits for this.
    READY = PENDING | {State.RETRYING}
    # It is ready, and has no slot. Dispatch counts, inside its locks.
    SLOT = frozenset({State.WAITING_EXECUTION})


@dataclass(frozen=True, slots=True)
class Asked:
    """The instance of which somebody wants to know why it waits, what they see, and when."""

    instance: Instance
    sight: Sight
    now: datetime


@dataclass(frozen=True, slots=True)
class Blocker:
    """One thing that holds an instance back. `instance_id` names the upstream, where there is one.

    reason: that of the hold unless there is a closer one. task_id and scheduled_at name the slot
    waited for; `state` is the upstream instance's.
    """

    text: str
    reason: str = ""
    instance_id: int | None = None
    task_id: int | None = None
    project_id: int | None = None
    scheduled_at: datetime | None = None
    state: str = ""

    @property
    def state_label(self) -> str:
        """The state as people say it."""
        return str(State(self.state).label)


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason to wait.

    reason: its word in answers. sql: for an instance `i` and its batch `b`, which may be missing,
    whether it is held; never null. Only what readiness alone asks may name the instant, as %(now)s.
    explain: what to tell people, asked when it is held.
    """

    reason: str
    stage: Stage
    sql: str
    explain: Callable[[Asked], Iterable[Blocker]]
    # Of stage READY: where it waits.
    state: State | None = None
    # Of stage READY: it may come back once an instance is ready, so that the claim asks again.
    again: bool = False
    # It speaks of `b` alone, so that the sweep passes over such a batch at once.
    whole_batch: bool = False
    # SQL, for an instance `i`: others that are unfinished wait for it by this, so it is kept.
    needed: str = ""

    def __post_init__(self) -> None:
        if (self.stage is Stage.READY) != (self.state is not None):
            raise ValueError(f"{self.reason}: a state goes with the stage READY, and with no other")
