"""Why an instance waits (I12): what holds it back, in the words of who has to do something."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db import connection
from django.utils.translation import gettext as _

from instances.holds.hold import Asked, Blocker
from instances.holds.listed import HOLDS
from instances.holds.slots import SLOT
from instances.models import Instance
from instances.states import State
from projects.access import Actor, sight


def why_waiting(instance: Instance, *, actor: Actor, now: datetime) -> list[Blocker]:
    """Return what holds the instance back; empty when nothing does. At most nine queries.

    It is what the engine itself asks. What is upstream in projects that the actor does not see is
    named by id alone, each task once; a plan of such a project not at all (P2).
    """
    state = State(instance.state)
    told = [hold for hold in HOLDS if state in hold.stage.value]
    if not told:
        return []
    asked = ", ".join(f"({hold.sql})" for hold in told)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {asked} FROM instances_instance i"
            " LEFT JOIN instances_batch b ON b.id = i.batch_id WHERE i.id = %(id)s",
            {"now": now, "id": instance.pk},
        )
        answers = cursor.fetchone() or ()
    about = Asked(instance, sight(actor), now)
    holding = [hold for hold, holds in zip(told, answers, strict=False) if holds]
    blockers = [
        replace(blocker, reason=blocker.reason or hold.reason)
        for hold in holding
        for blocker in hold.explain(about)
    ]
    if not blockers and state is State.WAITING_EXECUTION:
        return [Blocker(_("It gets a slot within seconds."), SLOT.reason)]
    return blockers
