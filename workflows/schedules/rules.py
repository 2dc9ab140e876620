"""When each cycle fires: the days of a month, and the wall times on such a day (T11)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar, Protocol

from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from projects.ground.words import listed
from workflows.schedules.cron import parse_crontab
from workflows.schedules.cycles import Cycle
from workflows.schedules.wall_times import format_datetime, format_time

_WHOLE_DAY = (0, 23 * 60 + 59)  # from the first to the last minute


class Rule(Protocol):
    """What a cycle says, without zone and effective range. Wall times are seconds of the day."""

    @property
    def effective_cycle(self) -> Cycle:
        """The cycle by what it does; differs from the cycle's name only for a crontab."""

    @property
    def repeats_in_fold(self) -> bool:
        """Fires on both passes of an hour that an autumn change repeats, else on the first."""

    @property
    def skips_gap(self) -> bool:
        """Does not make up for wall times that a spring change skips."""

    def walls(self) -> tuple[int, ...]:
        """The wall times on a day that it fires, in order."""

    def days(self, year: int, month: int) -> tuple[int, ...]:
        """The days of a month on which it fires, in order."""

    def fields(self) -> Mapping[str, object]:
        """The keys of its mapping that say when, `cycle` apart."""

    def describe(self) -> str:
        """In words, to stand before the name of the zone."""

    def __hash__(self) -> int:
        """Rules are values."""


def all_days(year: int, month: int) -> tuple[int, ...]:
    """The days of a month."""
    return tuple(range(1, monthrange(year, month)[1] + 1))


@dataclass(frozen=True, slots=True)
class EveryMinutes:
    """At `start`, `start` + `every`, … up to and including `until`; times in minutes of the day."""

    every: int
    start: int
    until: int

    effective_cycle: ClassVar[Cycle] = Cycle.MINUTE
    repeats_in_fold: ClassVar[bool] = True
    skips_gap: ClassVar[bool] = False

    def walls(self) -> tuple[int, ...]:
        return tuple(minute * 60 for minute in range(self.start, self.until + 1, self.every))

    def days(self, year: int, month: int) -> tuple[int, ...]:
        return all_days(year, month)

    def fields(self) -> Mapping[str, object]:
        return {
            "every": self.every,
            "from": format_time(self.start * 60),
            "until": format_time(self.until * 60),
        }

    def describe(self) -> str:
        if (self.start, self.until) == _WHOLE_DAY:
            sentence = ngettext("every minute", "every {count} minutes", self.every)
        else:
            sentence = ngettext(
                "every minute from {start} until {until}",
                "every {count} minutes from {start} until {until}",
                self.every,
            )
        return _filled(sentence, self)


@dataclass(frozen=True, slots=True)
class EveryHours:
    """As `EveryMinutes`, with `every` in hours."""

    every: int
    start: int
    until: int

    effective_cycle: ClassVar[Cycle] = Cycle.HOUR
    skips_gap: ClassVar[bool] = False

    @property
    def repeats_in_fold(self) -> bool:
        # Only then has every real hour an instance; every third hour is a choice of wall times.
        return self.every == 1

    def walls(self) -> tuple[int, ...]:
        return tuple(minute * 60 for minute in range(self.start, self.until + 1, self.every * 60))

    def days(self, year: int, month: int) -> tuple[int, ...]:
        return all_days(year, month)

    def fields(self) -> Mapping[str, object]:
        return {
            "every": self.every,
            "from": format_time(self.start * 60),
            "until": format_time(self.until * 60),
        }

    def describe(self) -> str:
        if (self.start, self.until) == _WHOLE_DAY:
            sentence = ngettext("every hour", "every {count} hours", self.every)
        else:
            sentence = ngettext(
                "every hour from {start} until {until}",
                "every {count} hours from {start} until {until}",
                self.every,
            )
        return _filled(sentence, self)


@dataclass(frozen=True, slots=True)
class AtHours:
    """At a minute of listed hours."""

    hours: tuple[int, ...]
    minute: int

    effective_cycle: ClassVar[Cycle] = Cycle.HOUR
    repeats_in_fold: ClassVar[bool] = False
    skips_gap: ClassVar[bool] = False

    def walls(self) -> tuple[int, ...]:
        return tuple(hour * 3600 + self.minute * 60 for hour in self.hours)

    def days(self, year: int, month: int) -> tuple[int, ...]:
        return all_days(year, month)

    def fields(self) -> Mapping[str, object]:
        return {"hours": list(self.hours), "minute": self.minute}

    def describe(self) -> str:
        times = _listed([format_time(wall) for wall in self.walls()])
        return _("every day at {time}").format(time=times)


@dataclass(frozen=True, slots=True)
class _OnceADay:
    """Once, `at` seconds of the local day, on the days that a subclass names."""

    at: int

    effective_cycle: ClassVar[Cycle] = Cycle.DAY
    repeats_in_fold: ClassVar[bool] = False
    skips_gap: ClassVar[bool] = False

    def walls(self) -> tuple[int, ...]:
        return (self.at,)


@dataclass(frozen=True, slots=True)
class EveryDay(_OnceADay):
    """Every local day."""

    def days(self, year: int, month: int) -> tuple[int, ...]:
        return all_days(year, month)

    def fields(self) -> Mapping[str, object]:
        return {"at": format_time(self.at)}

    def describe(self) -> str:
        return _("every day at {time}").format(time=format_time(self.at))


@dataclass(frozen=True, slots=True)
class OnWeekdays(_OnceADay):
    """On listed weekdays, 1 = Monday."""

    weekdays: tuple[int, ...]

    effective_cycle: ClassVar[Cycle] = Cycle.WEEK

    def days(self, year: int, month: int) -> tuple[int, ...]:
        before_first, length = date(year, month, 1).isoweekday() - 1, monthrange(year, month)[1]
        return tuple(
            day for day in range(1, length + 1) if (before_first + day - 1) % 7 + 1 in self.weekdays
        )

    def fields(self) -> Mapping[str, object]:
        return {"weekdays": list(self.weekdays), "at": format_time(self.at)}

    def describe(self) -> str:
        names = _listed([str(WEEKDAYS[weekday - 1]) for weekday in self.weekdays])
        return _("every {weekdays} at {time}").format(weekdays=names, time=format_time(self.at))


@dataclass(frozen=True, slots=True)
class OnMonthDays(_OnceADay):
    """On listed days of the month, and on the last one when `last`. A day that a month lacks does
    not fire in that month.
    """

    month_days: tuple[int, ...]
    last: bool

    effective_cycle: ClassVar[Cycle] = Cycle.MONTH

    def days(self, year: int, month: int) -> tuple[int, ...]:
        length = monthrange(year, month)[1]
        found = [day for day in self.month_days if day <= length]
        if self.last and length not in found:
            found.append(length)
        return tuple(found)

    def fields(self) -> Mapping[str, object]:
        days: list[object] = list(self.month_days)
        return {"days": [*days, "last"] if self.last else days, "at": format_time(self.at)}

    def describe(self) -> str:
        days = [str(day) for day in self.month_days]
        if not days:
            sentence = _("on the last day of every month at {time}")
        elif self.last:
            sentence = _("every month on days {days} and the last at {time}")
        else:
            sentence = ngettext(
                "every month on day {days} at {time}",
                "every month on days {days} at {time}",
                len(days),
            )
        told = listed(days) if self.last else _listed(days)
        return sentence.format(days=told, time=format_time(self.at))


@dataclass(frozen=True, slots=True)
class OnDates(_OnceADay):
    """On listed (month, day) dates of the year; 29 February in leap years."""

    dates: tuple[tuple[int, int], ...]

    effective_cycle: ClassVar[Cycle] = Cycle.YEAR

    def days(self, year: int, month: int) -> tuple[int, ...]:
        length = monthrange(year, month)[1]
        return tuple(day for wanted, day in self.dates if wanted == month and day <= length)

    def fields(self) -> Mapping[str, object]:
        return {"dates": self._texts(), "at": format_time(self.at)}

    def describe(self) -> str:
        return _("every year on {dates} at {time}").format(
            dates=_listed(self._texts()), time=format_time(self.at)
        )

    def _texts(self) -> list[str]:
        return [f"{month:02d}-{day:02d}" for month, day in self.dates]


@dataclass(frozen=True, slots=True)
class ByCrontab:
    """Whenever a crontab matches; the expression must be one that `parse_crontab` takes."""

    expression: str

    @property
    def effective_cycle(self) -> Cycle:
        crontab = parse_crontab(self.expression)
        if len(crontab.minutes) > 1:
            return Cycle.MINUTE
        return Cycle.HOUR if len(crontab.hours) > 1 else Cycle.DAY

    @property
    def repeats_in_fold(self) -> bool:
        return parse_crontab(self.expression).wildcard

    @property
    def skips_gap(self) -> bool:
        return parse_crontab(self.expression).wildcard

    def walls(self) -> tuple[int, ...]:
        crontab = parse_crontab(self.expression)
        return tuple(
            hour * 3600 + minute * 60 for hour in crontab.hours for minute in crontab.minutes
        )

    def days(self, year: int, month: int) -> tuple[int, ...]:
        return parse_crontab(self.expression).days(year, month)

    def fields(self) -> Mapping[str, object]:
        return {"expression": self.expression}

    def describe(self) -> str:
        return _("by crontab {expression}").format(expression=self.expression)


@dataclass(frozen=True, slots=True)
class Once:
    """Once, ever, at a naive local time."""

    at: datetime

    effective_cycle: ClassVar[Cycle] = Cycle.ONE_TIME
    repeats_in_fold: ClassVar[bool] = False
    skips_gap: ClassVar[bool] = False

    def walls(self) -> tuple[int, ...]:
        return (self.at.hour * 3600 + self.at.minute * 60 + self.at.second,)

    def days(self, year: int, month: int) -> tuple[int, ...]:
        return (self.at.day,) if (year, month) == (self.at.year, self.at.month) else ()

    def fields(self) -> Mapping[str, object]:
        return {"at": format_datetime(self.at)}

    def describe(self) -> str:
        return _("once at {time}").format(time=format_datetime(self.at))


def _listed(words: list[str]) -> str:
    """The words with commas, and "and" before the last."""
    *most, last = words
    return _("{most} and {last}").format(most=listed(most), last=last) if most else last


def _filled(sentence: str, rule: EveryMinutes | EveryHours) -> str:
    return sentence.format(
        count=rule.every,
        start=format_time(rule.start * 60),
        until=format_time(rule.until * 60),
    )
