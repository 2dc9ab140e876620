"""A schedule's mapping, read into its parts, with every fault named at its field (T11)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from typing import TypedDict, TypeVar

from django.utils.translation import gettext as _

from projects.ground.fields.reader import FieldReader
from projects.ground.words import listed
from workflows.schedules.cron import parse_crontab
from workflows.schedules.cycles import Cycle
from workflows.schedules.errors import ScheduleError
from workflows.schedules.local_time import FIRST_DAY, LAST_DAY, is_time_zone
from workflows.schedules.rules import (
    AtHours,
    ByCrontab,
    EveryDay,
    EveryHours,
    EveryMinutes,
    Once,
    OnDates,
    OnMonthDays,
    OnWeekdays,
    Rule,
)
from workflows.schedules.wall_times import parse_date_or_datetime, parse_datetime, parse_time

T = TypeVar("T")

LAST = "last"
END_OF_DAY = 23 * 60 + 59

# The keys that say when, for each cycle; every cycle takes the general ones as well.
KEYS: dict[Cycle, tuple[str, ...]] = {
    Cycle.MINUTE: ("every", "from", "until"),
    Cycle.HOUR: ("every", "from", "until", "hours", "minute"),
    Cycle.DAY: ("at",),
    Cycle.WEEK: ("weekdays", "at"),
    Cycle.MONTH: ("days", "at"),
    Cycle.YEAR: ("dates", "at"),
    Cycle.CRONTAB: ("expression",),
    Cycle.ONE_TIME: ("at",),
}
GENERAL_KEYS = ("cycle", "time_zone", "effective_from", "effective_until")

# Keys that have a default: they are written back only when given, or when not the default.
DEFAULTS: dict[str, object] = {"from": "00:00", "until": "23:59", "minute": 0}

_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class ScheduleParts(TypedDict):
    """What `Schedule` is made from."""

    cycle: Cycle
    rule: Rule
    time_zone: str
    effective_from: date | None
    effective_until: date | None
    given: frozenset[str]


def read_parts(data: Mapping[str, object], time_zone: str) -> ScheduleParts:
    """Read a mapping; `time_zone` counts where the mapping names none.

    Raises ScheduleError with all faults found.
    """
    if not isinstance(data, Mapping):
        raise ScheduleError("schedule", _("must be a mapping with a cycle"))
    reader = _Reader(data, None, path="schedule")
    zone = reader.parsed("time_zone", time_zone, _zone)
    cycle = reader.parsed("cycle", None, _cycle)
    if cycle is None:
        if not reader.has("cycle"):
            message = _("is missing; it is one of {cycles}")
            reader.refuse("cycle", message.format(cycles=listed(Cycle)))
        raise ScheduleError.collect(reader.errors)
    reader.refuse_other_keys(cycle)
    rule = _READERS[cycle](reader)
    effective_from = reader.parsed("effective_from", None, _effective_from)
    effective_until = reader.parsed("effective_until", None, _effective_until)
    if reader.errors:
        raise ScheduleError.collect(reader.errors)
    assert rule is not None
    return ScheduleParts(
        cycle=cycle,
        rule=rule,
        time_zone=zone,
        effective_from=effective_from,
        effective_until=effective_until,
        given=frozenset(key for key in (*DEFAULTS, "time_zone") if data.get(key) is not None),
    )


class _Reader(FieldReader):
    """The keys of a schedule; null counts as absent."""

    def has(self, key: str) -> bool:
        return self.raw(key) is not None

    def required(self, key: str, parse: Callable[[object], T]) -> T | None:
        """As `parsed`; a fault when it is absent."""
        if not self.has(key):
            message = _("is missing: cycle {cycle} needs it")
            self.refuse(key, message.format(cycle=self.raw("cycle")))
            return None
        return self.parsed(key, None, parse)

    def refuse_other_keys(self, cycle: Cycle) -> None:
        known = {key for keys in KEYS.values() for key in keys}
        for key in self.keys():
            if key in GENERAL_KEYS or key in KEYS[cycle]:
                continue
            if key in known:
                message = _("does not belong to cycle {cycle}")
                self.refuse(str(key), message.format(cycle=cycle))
            else:
                allowed = listed((*KEYS[cycle], *GENERAL_KEYS))
                message = _("is not a key of a schedule; cycle {cycle} has {keys}")
                self.refuse(str(key), message.format(cycle=cycle, keys=allowed))

    def window(self) -> tuple[int, int] | None:
        """`from` and `until` in minutes of the day, or None when they are at fault."""
        start = self.parsed("from", 0, _minute_of_day)
        until = self.parsed("until", END_OF_DAY, _minute_of_day)
        if until < start:
            self.refuse("until", _("must not be before from"))
            return None
        return start, until


def _read_minute(reader: _Reader) -> Rule | None:
    every = reader.required("every", _number(1, 59))
    window = reader.window()
    return EveryMinutes(every, *window) if every is not None and window else None


def _read_hour(reader: _Reader) -> Rule | None:
    if reader.has("hours"):
        for key in ("every", "from", "until"):
            if reader.has(key):
                reader.refuse(key, _("cannot stand beside hours: give every or hours"))
        hours = reader.required("hours", _numbers(0, 23))
        minute = reader.parsed("minute", 0, _number(0, 59))
        return AtHours(hours, minute) if hours else None
    if reader.has("minute"):
        reader.refuse("minute", _("belongs to hours; with every, the minute is that of from"))
    every = reader.required("every", _number(1, 23))
    window = reader.window()
    return EveryHours(every, *window) if every is not None and window else None


def _read_day(reader: _Reader) -> Rule | None:
    at = reader.required("at", parse_time)
    return EveryDay(at) if at is not None else None


def _read_week(reader: _Reader) -> Rule | None:
    weekdays = reader.required("weekdays", _numbers(1, 7))
    at = reader.required("at", parse_time)
    return OnWeekdays(at, weekdays) if weekdays and at is not None else None


def _read_month(reader: _Reader) -> Rule | None:
    days = reader.required("days", _month_days)
    at = reader.required("at", parse_time)
    return OnMonthDays(at, *days) if days and at is not None else None


def _read_year(reader: _Reader) -> Rule | None:
    dates = reader.required("dates", _dates)
    at = reader.required("at", parse_time)
    return OnDates(at, dates) if dates and at is not None else None


def _read_crontab(reader: _Reader) -> Rule | None:
    expression = reader.required("expression", _expression)
    return ByCrontab(expression) if expression else None


def _read_one_time(reader: _Reader) -> Rule | None:
    at = reader.required("at", _one_time)
    return Once(at) if at is not None else None


_READERS: dict[Cycle, Callable[[_Reader], Rule | None]] = {
    Cycle.MINUTE: _read_minute,
    Cycle.HOUR: _read_hour,
    Cycle.DAY: _read_day,
    Cycle.WEEK: _read_week,
    Cycle.MONTH: _read_month,
    Cycle.YEAR: _read_year,
    Cycle.CRONTAB: _read_crontab,
    Cycle.ONE_TIME: _read_one_time,
}


def _cycle(value: object) -> Cycle:
    try:
        return Cycle(value)  # type: ignore[arg-type]
    except ValueError:
        message = _("must be one of {cycles}, not {value}")
        raise ValueError(message.format(cycles=listed(Cycle), value=repr(value))) from None


def _zone(value: object) -> str:
    if not isinstance(value, str) or not is_time_zone(value):
        message = _("{value} is not an IANA time zone, such as Europe/Berlin")
        raise ValueError(message.format(value=repr(value)))
    return value


def _one_time(value: object) -> datetime:
    moment = parse_datetime(value)
    _check_calendar(moment)
    return moment


def _effective_from(value: object) -> date:
    moment = parse_date_or_datetime(value)
    _check_calendar(moment)
    return moment


def _effective_until(value: object) -> date:
    moment = parse_date_or_datetime(value)
    # Any end will do: 9999-12-31 is a way to say that there is none.
    _check_calendar(min(date(moment.year, 1, 1), date(LAST_DAY.year - 1, 1, 1)))
    return moment


def _check_calendar(moment: date) -> None:
    if not FIRST_DAY.year < moment.year < LAST_DAY.year:
        message = _("must be in a year after {first} and before {last}")
        raise ValueError(message.format(first=FIRST_DAY.year, last=LAST_DAY.year))


def _minute_of_day(value: object) -> int:
    return parse_time(value, seconds=False) // 60


def _number(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            message = _("must be a whole number from {low} to {high}, not {value}")
            raise ValueError(message.format(low=low, high=high, value=repr(value)))
        return value

    return parse


def _numbers(low: int, high: int) -> Callable[[object], tuple[int, ...]]:
    parse_one = _number(low, high)

    def parse(value: object) -> tuple[int, ...]:
        return tuple(sorted({parse_one(item) for item in _items(value)}))

    return parse


def _month_days(value: object) -> tuple[tuple[int, ...], bool]:
    items = _items(value)
    numbers = [item for item in items if item != LAST]
    try:
        days = _numbers(1, 31)(numbers) if numbers else ()
    except ValueError as error:
        message = _('{problem}; "last" is the last day of the month').format(problem=error)
        raise ValueError(message) from None
    return days, LAST in items


def _dates(value: object) -> tuple[tuple[int, int], ...]:
    found = set()
    for item in _items(value):
        month, __, day = item.partition("-") if isinstance(item, str) else ("", "", "")
        if not (month.isascii() and month.isdigit() and day.isascii() and day.isdigit()):
            message = _('must be dates of the form "MM-DD", not {value}')
            raise ValueError(message.format(value=repr(item)))
        number = int(month)
        if not 1 <= number <= 12 or not 1 <= int(day) <= _LONGEST_MONTH[number - 1]:
            raise ValueError(_("{value} is not a date of any year").format(value=repr(item)))
        found.add((number, int(day)))
    return tuple(sorted(found))


def _expression(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(_("must be text, not {value}").format(value=repr(value)))
    expression = " ".join(value.split())
    parse_crontab(expression)
    return expression


def _items(value: object) -> Collection[object]:
    if not isinstance(value, list | tuple) or not value:
        message = _("must be a list with at least one entry, not {value}")
        raise ValueError(message.format(value=repr(value)))
    return value
