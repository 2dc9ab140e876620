"""How far the days of a plan that runs day by day have come (B10)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection, models

from backfill.models import Plan
from backfill.planning.dates import ONE_DAY
from instances.models import BatchDay
from instances.states import State
from projects.ground.words import gettext_lazy


class DayState(models.TextChoices):
    """Where a day of a plan is."""

    WAITING = "waiting", gettext_lazy("Waits for the day before")
    OPEN = "open", gettext_lazy("Open")  # its instances may start
    # Open, and the next one does not open as it is.
    BLOCKED = "blocked", gettext_lazy("Held up by a failure")
    DONE = "done", gettext_lazy("Done")  # every instance is SUCCESS


@dataclass(frozen=True, slots=True)
class DayProgress:
    """A day of a plan. by_state: its instances of each state that occurs.

    lane: from 1 on; position: from 0 on in its lane. An open day whose work is run again is no
    longer DONE, and what follows it stays open.
    """

    id: int
    lane: int
    position: int
    planned_date: date
    state: DayState
    by_state: Mapping[State, int]
    opened_at: datetime | None

    @property
    def data_date(self) -> date:
        """The date of its data."""
        return self.planned_date - ONE_DAY

    @property
    def total(self) -> int:
        """Its instances, as many as are made."""
        return sum(self.by_state.values())

    @property
    def left(self) -> int:
        """Its instances that are other than SUCCESS."""
        return self.total - self.by_state.get(State.SUCCESS, 0)


def days_progress(plan: Plan, days: Collection[BatchDay] | None = None) -> list[DayProgress]:
    """Return the plan's days, or those of them in `days`, lane by lane; at most two queries.

    None for a draft and for a plan that runs by dependency.
    """
    if days is None:
        days = list(BatchDay.objects.filter(batch=plan.batch_id).order_by("lane", "position"))
    if not days:
        return []
    counts: dict[int, dict[State, int]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT day_id, state, count(*) FROM instances_instance WHERE day_id = ANY(%s)"
            " GROUP BY day_id, state",
            [[day.pk for day in days]],
        )
        for day_id, state, count in cursor.fetchall():
            counts[day_id][State(state)] = count
    return [
        DayProgress(
            id=day.pk,
            lane=day.lane,
            position=day.position,
            planned_date=day.day,
            state=_state(day, counts[day.pk]),
            by_state=counts[day.pk],
            opened_at=day.opened_at,
        )
        for day in days
    ]


def _state(day: BatchDay, by_state: Mapping[State, int]) -> DayState:
    if day.opened_at is None:
        return DayState.WAITING
    if by_state.get(State.FAILED):
        return DayState.BLOCKED
    left = sum(by_state.values()) - by_state.get(State.SUCCESS, 0)
    return DayState.DONE if day.made_at is not None and not left else DayState.OPEN
