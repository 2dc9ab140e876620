"""The fires of a rule in a zone, local day by local day (T11).

A fire belongs to the local day of its instant. A wall time that a spring gap skips becomes the
first instant after the gap, which may be on a later local day; what falls together there is one
fire. Effective ranges are not known here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from workflows.schedules.local_time import DAY, LocalClock
from workflows.schedules.rules import Rule

_MIDNIGHT = time()
_LAST_SECOND = time(23, 59, 59)


class DayPlan:
    """A rule on a clock. Keeps what it has worked out, so share one among equal schedules."""

    def __init__(self, rule: Rule, clock: LocalClock) -> None:
        self.rule = rule
        self.clock = clock
        self.seconds = rule.walls()
        self.walls = tuple(timedelta(seconds=second) for second in self.seconds)
        self._months: dict[tuple[int, int], tuple[int, ...]] = {}
        self._possible: dict[tuple[int, int], tuple[date, ...]] = {}
        self._irregular: dict[date, tuple[datetime, ...]] = {}

    def month_days(self, year: int, month: int) -> tuple[int, ...]:
        """The days of a month that the rule names."""
        key = (year, month)
        found = self._months.get(key)
        if found is None:
            found = self._months[key] = self.rule.days(year, month)
        return found

    def names(self, day: date) -> bool:
        """True when the rule names the day."""
        return day.day in self.month_days(day.year, day.month)

    def fires(self, day: date) -> tuple[datetime, ...]:
        """The fires (UTC, in order) of a local day."""
        offset = self.clock.offset(day)
        if offset is None:
            return self._irregular_fires(day)
        if not self.names(day):
            return ()
        start = datetime.combine(day, _MIDNIGHT, UTC) - offset
        return tuple([start + wall for wall in self.walls])

    def fires_within(
        self, day: date, start: datetime, end: datetime, *, step: Literal[1, -1] = 1
    ) -> Iterator[datetime]:
        """The fires of a local day that are after `start` and not after `end`, in order or, with
        step -1, in reverse. Lazy: who wants the next fire only does not pay for a day of minutes.
        """
        offset = self.clock.offset(day)
        if offset is None:
            fires = self._irregular_fires(day)[::step]
            return (fire for fire in fires if start < fire <= end)
        if not self.names(day):
            return iter(())
        midnight = datetime.combine(day, _MIDNIGHT, UTC) - offset
        low = bisect_right(self.walls, start - midnight)
        high = bisect_right(self.walls, end - midnight)
        return (midnight + wall for wall in self.walls[low:high][::step])

    def days(self, first: date, last: date) -> Iterator[date]:
        """The days from `first` to `last`, in order, on which there may be fires."""
        year, month = first.year, first.month
        while (year, month) <= (last.year, last.month):
            for day in self._candidates(year, month):
                if first <= day <= last:
                    yield day
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)

    def days_back(self, last: date, first: date) -> Iterator[date]:
        """As `days`, from `last` back to `first`."""
        year, month = last.year, last.month
        while (year, month) >= (first.year, first.month):
            for day in reversed(self._candidates(year, month)):
                if first <= day <= last:
                    yield day
            year, month = (year - 1, 12) if month == 1 else (year, month - 1)

    def is_irregular(self, day: date) -> bool:
        """True when the clock changes on the day, or a change reaches into it."""
        return self.clock.offset(day) is None

    def _candidates(self, year: int, month: int) -> tuple[date, ...]:
        key = (year, month)
        found = self._possible.get(key)
        if found is None:
            days = set(self.month_days(year, month))
            # A gap may carry fires from the day before into a day that the rule does not name.
            days.update(day.day for day in self.clock.irregular_days(year) if day.month == month)
            found = tuple(date(year, month, day) for day in sorted(days))
            self._possible[key] = found
        return found

    def _irregular_fires(self, day: date) -> tuple[datetime, ...]:
        found = self._irregular.get(day)
        if found is None:
            found = self._irregular[day] = self._work_out(day)
        return found

    def _work_out(self, day: date) -> tuple[datetime, ...]:
        """The fires of an irregular day, one wall time after the other."""
        clock = self.clock
        found: set[datetime] = set()
        for named in self._days_ending_in(day):
            if not self.names(named):
                continue
            midnight = datetime.combine(named, _MIDNIGHT)
            for wall in self.walls:
                instants = clock.instants(midnight + wall)
                if instants:
                    found.update(instants if self.rule.repeats_in_fold else instants[:1])
                elif not self.rule.skips_gap:
                    found.add(clock.gap_end(midnight + wall))
        return tuple(sorted(fire for fire in found if clock.local_date(fire) == day))

    def _days_ending_in(self, day: date) -> list[date]:
        """The day, and those before it whose end a gap cuts off and carries into it."""
        days = [day]
        while True:
            end = datetime.combine(days[-1] - DAY, _LAST_SECOND)
            if self.clock.instants(end):
                return days
            if self.clock.local_date(self.clock.gap_end(end)) != day:
                return days
            days.append(days[-1] - DAY)
