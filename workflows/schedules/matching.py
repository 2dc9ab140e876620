"""Which upstream instances a downstream instance waits for (T12).

Everything is seen from the downstream: its fire falls on a local day of its own zone, and "the
upstream's instances of that day" are the upstream's fires whose instants lie within that day,
wherever the upstream's own midnight may be. Where the two zones change their clocks on different
dates, a daily upstream near the downstream's midnight can therefore have no fire, or two, on one
local day of the year.

"Day or coarser" are day, week, month, year, one-time and crontabs that fire at most once a day;
two of these meet on the same local day. Minute and hour schedules are "of one cycle" when both
are minute or both are hour, crontabs by what they do.

Fires outside the upstream's effective range do not exist, and nothing waits for them; only to pair
the k-th fire with the k-th are whole days counted, so that a range that begins at noon does not
shift the pairs.
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from collections.abc import Callable
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import islice

from workflows.schedules.cycles import Cycle
from workflows.schedules.firing import fires_between, fires_on, previous_fire
from workflows.schedules.local_time import DAY
from workflows.schedules.schedule import Schedule

Fires = tuple[datetime, ...]

_MICROSECOND = timedelta(microseconds=1)


class Offset(StrEnum):
    """From which of the downstream's fires the rule is seen."""

    SAME = "same"  # from the fire itself
    PREVIOUS = "previous"  # from the downstream's fire before it


class Scope(StrEnum):
    """Which of the upstream's instances are meant."""

    DEFAULT = "default"  # what the two cycles imply
    PREVIOUS_DAY = "previous_day"  # all of the local day before
    WHOLE_PERIOD = "whole_period"  # all of the downstream's day, week, month or year
    LATEST = "latest"  # the last one at or before the fire
    INTERVAL = "interval"  # all since the downstream's previous fire


def self_previous(schedule: Schedule, fire: datetime) -> datetime | None:
    """The fire of the same schedule that a self-dependent instance waits for, if there is one."""
    return previous_fire(schedule, fire)


class Matcher:
    """One dependency's rule, with the upstream's fires by local day kept for the next question.

    The kept days grow with the days asked for: make a matcher for a batch of work, not for good.
    Dependencies with equal schedules and options can share one. limit: who only wants to know
    whether there are more is content with that many, and some.
    """

    def __init__(
        self,
        downstream: Schedule,
        upstream: Schedule,
        *,
        offset: Offset = Offset.SAME,
        scope: Scope = Scope.DEFAULT,
        upstream_self_dependent: bool = False,
        limit: int | None = None,
    ) -> None:
        self.downstream = downstream
        self.upstream = upstream
        self.offset = offset
        self.scope = scope
        self.upstream_self_dependent = upstream_self_dependent
        self.limit = limit
        self._clock = downstream.plan.clock
        self._same_zone = downstream.time_zone == upstream.time_zone
        self._days: dict[date, Fires] = {}
        self._whole_days: dict[date, Fires] = {}
        self._periods: dict[date, Fires] = {}
        self._own_days: dict[date, dict[datetime, int]] = {}
        self._rule = self._choose_rule()

    def match(self, fire: datetime) -> Fires:
        """The upstream fires that the downstream's fire waits for, in order."""
        if self.offset is Offset.PREVIOUS:
            previous = previous_fire(self.downstream, fire)
            return () if previous is None else self._rule(previous)
        return self._rule(fire)

    def _choose_rule(self) -> Callable[[datetime], Fires]:
        match self.scope:
            case Scope.PREVIOUS_DAY:
                return self._day_before
            case Scope.WHOLE_PERIOD:
                return self._whole_period
            case Scope.LATEST:
                return self._latest
            case Scope.INTERVAL:
                return self._interval
            case Scope.DEFAULT:
                return self._choose_default()

    def _choose_default(self) -> Callable[[datetime], Fires]:
        if not self.upstream.is_sub_day:
            return self._same_day
        if not self.downstream.is_sub_day:
            return self._last_in_chain if self.upstream_self_dependent else self._same_day
        if self.downstream.effective_cycle is self.upstream.effective_cycle:
            return self._pair
        return self._interval_or_nearest

    # The rules: from the downstream's fire to the upstream's fires.

    def _same_day(self, fire: datetime) -> Fires:
        return self._on_day(self._local_date(fire))

    def _day_before(self, fire: datetime) -> Fires:
        return self._on_day(self._local_date(fire) - DAY)

    def _last_in_chain(self, fire: datetime) -> Fires:
        """Of a self-dependent upstream, the last one at or before the fire: the chain implies the
        others of the day. The first of the day where all are later, so that the day is never
        taken for granted.
        """
        fires = self._on_day(self._local_date(fire))
        position = bisect_right(fires, fire)
        return fires[max(position - 1, 0) : max(position, 1)]

    def _pair(self, fire: datetime) -> Fires:
        """k-th with k-th on days with as many fires on either side; else by interval."""
        day = self._local_date(fire)
        own = self._own_positions(day)
        others = self._on_whole_day(day)
        if len(own) != len(others) or fire not in own:
            return self._interval_or_nearest(fire)
        other = others[own[fire]]
        return (other,) if self.upstream.is_effective(other) else ()

    def _interval_or_nearest(self, fire: datetime) -> Fires:
        found = self._interval(fire)
        if found:
            return found
        return self._last_in_chain(fire)

    def _interval(self, fire: datetime) -> Fires:
        """All upstream fires since the downstream's previous one; those since the beginning of its
        period where it has no previous one.
        """
        previous = previous_fire(self.downstream, fire)
        if previous is None:
            first, _ = self._period(self._local_date(fire))
            previous = self._clock.day_start(first) - _MICROSECOND
        return tuple(fires_between(self.upstream, previous, fire, limit=self.limit))

    def _latest(self, fire: datetime) -> Fires:
        found = previous_fire(self.upstream, fire + _MICROSECOND)
        return () if found is None else (found,)

    def _whole_period(self, fire: datetime) -> Fires:
        first, last = self._period(self._local_date(fire))
        found = self._periods.get(first)
        if found is None:
            days = range((last - first).days + 1)
            fires = (one for day in days for one in self._on_day(first + day * DAY))
            found = self._periods[first] = tuple(sorted(islice(fires, self.limit)))
        return found

    # What the rules stand on.

    def _local_date(self, fire: datetime) -> date:
        return fire.astimezone(self._clock.zone).date()

    def _period(self, day: date) -> tuple[date, date]:
        """The first and last local day of the downstream's cycle period around a day: ISO week,
        calendar month or year; the day itself for all other cycles.
        """
        match self.downstream.effective_cycle:
            case Cycle.WEEK:
                first = day - (day.isoweekday() - 1) * DAY
                return first, first + 6 * DAY
            case Cycle.MONTH:
                return day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])
            case Cycle.YEAR:
                return date(day.year, 1, 1), date(day.year, 12, 31)
            case _:
                return day, day

    def _on_day(self, day: date) -> Fires:
        """The upstream's effective fires on a local day of the downstream."""
        found = self._days.get(day)
        if found is None:
            upstream = self.upstream
            found = self._on_whole_day(day)
            if upstream.effective_start is not None or upstream.effective_end is not None:
                found = tuple(one for one in found if upstream.is_effective(one))
            self._days[day] = found
        return found

    def _on_whole_day(self, day: date) -> Fires:
        """The upstream's fires on a local day of the downstream, whatever its effective range."""
        found = self._whole_days.get(day)
        if found is None:
            if self._same_zone:
                found = fires_on(self.upstream, day, ignore_effective=True)
            else:
                found = self._of_other_zone(day)
            self._whole_days[day] = found
        return found

    def _of_other_zone(self, day: date) -> Fires:
        # No two zones are more than a day and a bit apart, so a local day of one lies within five
        # of the other.
        near = (day + number * DAY for number in range(-2, 3))
        return tuple(
            sorted(
                one
                for other in near
                for one in fires_on(self.upstream, other, ignore_effective=True)
                if self._local_date(one) == day
            )
        )

    def _own_positions(self, day: date) -> dict[datetime, int]:
        found = self._own_days.get(day)
        if found is None:
            fires = fires_on(self.downstream, day, ignore_effective=True)
            found = self._own_days[day] = {one: number for number, one in enumerate(fires)}
        return found
