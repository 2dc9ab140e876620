"""The list of holds: all that keeps an instance waiting, in the order in which people are told.

Every step of the engine takes its SQL from here, and "Why is it waiting?" its answer. The list is
the one place that says which holds there are.
"""

from __future__ import annotations

from itertools import groupby

from django.utils.translation import gettext as _

from instances.holds.hold import Asked, Blocker, Hold, Stage
from instances.holds.plan import DAY, PAUSED, STOPPED
from instances.holds.slots import SLOT, TASK_LIMIT, WORKER
from instances.holds.upstream import MISSING, UPSTREAM
from instances.states import State
from projects.ground.showing import instant_text


def _frozen(asked: Asked) -> list[Blocker]:
    return [Blocker(_("An operator has frozen it; unfreeze it to go on."))]


def _time(asked: Asked) -> list[Blocker]:
    instance = asked.instance
    at = instant_text(instance.not_before)
    again = _("Failed, and is tried again at {time}.")
    due = _("Its time has not come: it is due at {time}.")
    text = again if instance.state == State.RETRYING else due
    return [Blocker(text.format(time=at), scheduled_at=instance.not_before)]


FROZEN = Hold("frozen", Stage.ASIDE, "i.state = 'FROZEN'", _frozen)

# Its planned time, or its next try, has not come.
TIME = Hold("time", Stage.READY, "i.not_before > %(now)s", _time, state=State.NOT_RUN)

HOLDS: tuple[Hold, ...] = (
    FROZEN,
    STOPPED,
    PAUSED,
    TIME,
    DAY,
    # An event that is missing will come here: before the upstreams, as people are told first what
    # they can do least about.
    UPSTREAM,
    SLOT,
    TASK_LIMIT,
    WORKER,
)

# What "Why is it waiting?" may answer.
REASONS = [*(hold.reason for hold in HOLDS), MISSING]

READINESS = [hold for hold in HOLDS if hold.stage is Stage.READY]


def any_of(holds: list[Hold]) -> str:
    """Return SQL for an instance `i` and its batch `b`: one of the holds holds it."""
    return " OR ".join(f"({hold.sql})" for hold in holds) or "false"


def none_of(conditions: list[str]) -> str:
    """Return SQL: none of the conditions is true. Each by itself, as the planner knows it best."""
    return " AND ".join(f"NOT ({condition})" for condition in conditions) or "true"


# SQL, for an instance `i` and its batch `b`, which may be missing: a step may be taken with it.
MAY_START = f"({none_of([hold.sql for hold in HOLDS if hold.stage is Stage.STILL])})"

# SQL, for a batch `b`: nothing of it may be taken up.
BATCH_HELD = f"({any_of([hold for hold in HOLDS if hold.whole_batch])})"

# SQL, for an instance `i`: it may be held back again after it was ready.
BLOCKED = f"({any_of([hold for hold in HOLDS if hold.again])})"

# SQL, for an instance `i`: nobody unfinished needs it.
NOT_NEEDED = none_of([hold.needed for hold in HOLDS if hold.needed])

# SQL, for an instance `i` and its batch `b`: the state in which it waits for what holds it, or null
# when it is ready. The first hold counts.
WAITS_IN = "\n        ".join(
    [
        "CASE",
        *(
            f"WHEN {any_of(list(holds))} THEN '{state}'"
            for state, holds in groupby(READINESS, lambda hold: hold.state)
        ),
        "END",
    ]
)
