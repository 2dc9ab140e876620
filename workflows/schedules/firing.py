"""When a schedule fires: in a range, next, before, on a local day (T11)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

from workflows.schedules.local_time import DAY, FIRST_DAY, LAST_DAY
from workflows.schedules.rules import Once
from workflows.schedules.schedule import Schedule

_MICROSECOND = timedelta(microseconds=1)
_BEGINNING = datetime.combine(FIRST_DAY + DAY, time(), UTC)
_END = datetime.combine(LAST_DAY - DAY, time(), UTC)

# How far `next_fire` and `previous_fire` look. The rarest schedule that fires at all, a crontab
# for a certain weekday on 29 February, waits 40 years where a leap year is left out.
_HORIZON = timedelta(days=366 * 60)


def fires_between(
    schedule: Schedule, start: datetime, end: datetime, *, limit: int | None = None
) -> list[datetime]:
    """The fires with start < fire <= end within the effective range, UTC, in order.

    `start` and `end` are aware; the first `limit` fires when a limit is given. Costs the days of
    the range on which the schedule fires, and its fires, not its minutes.
    """
    return list(islice(_forward(schedule, _utc(start), _utc(end)), limit))


def next_fire(schedule: Schedule, after: datetime) -> datetime | None:
    """The first fire after an instant, or None when there is none any more."""
    after = _utc(after)
    if schedule.effective_start is not None:
        after = max(after, schedule.effective_start - _MICROSECOND)
    end = _END
    if not isinstance(schedule.rule, Once):
        end = min(after, _END - _HORIZON) + _HORIZON
    return next(_forward(schedule, after, end), None)


def has_fire(schedule: Schedule, at: datetime) -> bool:
    """True when it fires at that very instant."""
    return bool(fires_between(schedule, at - _MICROSECOND, at, limit=1))


def previous_fire(schedule: Schedule, before: datetime) -> datetime | None:
    """The last fire strictly before an instant, or None when there was none."""
    end = _utc(before) - _MICROSECOND
    if schedule.effective_end is not None:
        end = min(end, schedule.effective_end)
    start = _BEGINNING
    if not isinstance(schedule.rule, Once):
        start = max(end, _BEGINNING + _HORIZON) - _HORIZON
    return next(_backward(schedule, start, end), None)


def fires_on(
    schedule: Schedule,
    day: date,
    *,
    time_from: time | None = None,
    time_until: time | None = None,
    ignore_effective: bool = False,
) -> tuple[datetime, ...]:
    """The fires (UTC, in order) planned on a local day: the day of the fire's instant in the
    schedule's zone.

    `time_from` and `time_until` keep the fires of minute and hour schedules whose wall time is
    within them, both included to the minute; other cycles ignore them (B6).
    """
    fires = schedule.plan.fires(day) if FIRST_DAY <= day <= LAST_DAY else ()
    if not ignore_effective and (schedule.effective_start or schedule.effective_end):
        fires = tuple(fire for fire in fires if schedule.is_effective(fire))
    if schedule.is_sub_day and (time_from is not None or time_until is not None):
        low, high = minute_of(time_from, 0), minute_of(time_until, 24 * 60)
        zone = schedule.zone
        fires = tuple(
            fire for fire in fires if low <= minute_of(fire.astimezone(zone).time(), 0) <= high
        )
    return fires


def minute_of(wall: time | None, default: int) -> int:
    """The minute of the day of a wall time."""
    return default if wall is None else wall.hour * 60 + wall.minute


def _forward(schedule: Schedule, start: datetime, end: datetime) -> Iterator[datetime]:
    """The effective fires in (start, end], in order."""
    if schedule.effective_start is not None:
        start = max(start, schedule.effective_start - _MICROSECOND)
    if schedule.effective_end is not None:
        end = min(end, schedule.effective_end)
    plan, (first, last) = schedule.plan, _local_days(schedule, start, end)
    # An autumn change over midnight takes the clock back to the day before, so the fires of
    # neighbouring irregular days are in each other's way: hold them until their run is over.
    held: list[datetime] = []
    for day in plan.days(first, last):
        fires = plan.fires_within(day, start, end)
        if plan.is_irregular(day):
            held.extend(fires)
            continue
        yield from sorted(held)
        held = []
        yield from fires
    yield from sorted(held)


def _backward(schedule: Schedule, start: datetime, end: datetime) -> Iterator[datetime]:
    """The effective fires in (start, end], last first."""
    if schedule.effective_start is not None:
        start = max(start, schedule.effective_start - _MICROSECOND)
    plan, (first, last) = schedule.plan, _local_days(schedule, start, end)
    held: list[datetime] = []
    for day in plan.days_back(last, first):
        fires = plan.fires_within(day, start, end, step=-1)
        if plan.is_irregular(day):
            held.extend(fires)
            continue
        yield from sorted(held, reverse=True)
        held = []
        yield from fires
    yield from sorted(held, reverse=True)


def _local_days(schedule: Schedule, start: datetime, end: datetime) -> tuple[date, date]:
    """The first and last local day that can have a fire in (start, end]; an empty range (first
    after last) when there is none.
    """
    if end <= start:
        return LAST_DAY, FIRST_DAY
    plan = schedule.plan
    first = plan.clock.local_date(min(max(start, _BEGINNING), _END))
    last = plan.clock.local_date(min(max(end, _BEGINNING), _END))
    if plan.is_irregular(first):
        first = max(first - DAY, FIRST_DAY)
    if plan.is_irregular(last):
        last = min(last + DAY, LAST_DAY)
    if isinstance(schedule.rule, Once):
        # A gap may carry the fire over a midnight, and over a day that the zone leaves out.
        day = schedule.rule.at.date()
        first, last = max(first, day), min(last, day + 2 * DAY)
    return first, last


def _utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("a schedule needs aware datetimes")
    return instant.astimezone(UTC)
