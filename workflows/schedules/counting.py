"""How many fires a schedule has, day by day, without making them (B6, B16)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import date, time

from workflows.schedules.firing import fires_on, minute_of
from workflows.schedules.local_time import DAY, FIRST_DAY, LAST_DAY
from workflows.schedules.schedule import Schedule


def count_on(
    schedule: Schedule,
    day: date,
    *,
    time_from: time | None = None,
    time_until: time | None = None,
) -> int:
    """The number of fires that `fires_on` gives."""
    return len(fires_on(schedule, day, time_from=time_from, time_until=time_until))


def count_between_days(
    schedule: Schedule,
    first: date,
    last: date,
    *,
    time_from: time | None = None,
    time_until: time | None = None,
) -> int:
    """The number of fires planned on the local days from `first` to `last`, both included.

    Costs a step for each month, and real work only on days that are unlike the others: those of a
    clock change, and those at the ends of the effective range.
    """
    first, last = _effective_days(schedule, first, last)
    if last < first:
        return 0
    plan = schedule.plan
    ordinary = _ordinary_count(schedule, time_from, time_until)
    total = 0
    for year, month in _months(first, last):
        days = plan.month_days(year, month)
        low = first.day if (year, month) == (first.year, first.month) else 1
        high = last.day if (year, month) == (last.year, last.month) else 31
        if low > 1 or high < 31:
            total += (bisect_right(days, high) - bisect_left(days, low)) * ordinary
        else:
            total += len(days) * ordinary
    for day in _unlike_days(schedule, first, last):
        total += count_on(schedule, day, time_from=time_from, time_until=time_until)
        total -= ordinary if plan.names(day) else 0
    return total


def counts_by_day(
    schedule: Schedule,
    first: date,
    last: date,
    *,
    time_from: time | None = None,
    time_until: time | None = None,
) -> dict[date, int]:
    """The number of fires of each local day from `first` to `last` that has any, in order."""
    first, last = _effective_days(schedule, first, last)
    if last < first:
        return {}
    plan = schedule.plan
    ordinary = _ordinary_count(schedule, time_from, time_until)
    unlike = {
        day: count_on(schedule, day, time_from=time_from, time_until=time_until)
        for day in _unlike_days(schedule, first, last)
    }
    # `days` has every irregular day, so no fire that a gap carries into another day is missed.
    counts = {day: unlike.get(day, ordinary) for day in plan.days(first, last)}
    return {day: count for day, count in counts.items() if count}


def _ordinary_count(schedule: Schedule, time_from: time | None, time_until: time | None) -> int:
    """The fires of a regular day that the rule names, within the times of day."""
    seconds = schedule.plan.seconds
    if not schedule.is_sub_day:
        return len(seconds)
    low = minute_of(time_from, 0) * 60
    high = minute_of(time_until, 24 * 60) * 60 + 59
    return max(bisect_right(seconds, high) - bisect_left(seconds, low), 0)


def _effective_days(schedule: Schedule, first: date, last: date) -> tuple[date, date]:
    """The days, cut to those that the effective range can touch."""
    clock = schedule.plan.clock
    first, last = max(first, FIRST_DAY), min(last, LAST_DAY)
    if schedule.effective_start is not None:
        first = max(first, clock.local_date(schedule.effective_start) - DAY)
    if schedule.effective_end is not None:
        last = min(last, clock.local_date(schedule.effective_end) + DAY)
    return first, last


def _unlike_days(schedule: Schedule, first: date, last: date) -> set[date]:
    """The days whose fires must be looked at one by one."""
    clock = schedule.plan.clock
    unlike = {
        day
        for year in range(first.year, last.year + 1)
        for day in clock.irregular_days(year)
        if first <= day <= last
    }
    for end in (schedule.effective_start, schedule.effective_end):
        if end is not None:
            # The days beside it as well: a change over midnight mixes the fires of two days.
            day = clock.local_date(end)
            unlike |= {near for near in (day - DAY, day, day + DAY) if first <= near <= last}
    return unlike


def _months(first: date, last: date) -> Iterator[tuple[int, int]]:
    for month in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        yield month // 12, month % 12 + 1
