"""Crontab expressions: five fields, read by cronsim, by Debian cron's rules (T11)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

MAX_LENGTH = 200

# Any 28 years in a row between two skipped leap years hold every kind of year there is: each
# weekday for 1 January, leap and common. A crontab with no match in them never fires.
_EVERY_KIND_OF_YEAR = range(2000, 2028)


@dataclass(frozen=True, slots=True)
class Crontab:
    """A crontab, split into the days that it matches and the wall times on them.

    `wildcard`: the minute or the hour begins with a star. Debian cron runs such a line by the real
    clock: wall times that a spring change skips are not made up for, and those that an autumn
    change repeats run again. Any other line it runs once for each wall time, after the gap where
    the time is skipped and at the first of two.
    """

    months: frozenset[int]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    wildcard: bool
    simulator: CronSim

    def days(self, year: int, month: int) -> tuple[int, ...]:
        """The days of a month on which it fires."""
        if month not in self.months:
            return ()
        day, found = date(year, month, 1), []
        while day.month == month:
            if self.simulator.match_day(day):
                found.append(day.day)
            day += timedelta(days=1)
        return tuple(found)


@lru_cache(maxsize=4096)
def parse_crontab(expression: str) -> Crontab:
    """Read a crontab; ValueError says what is wrong with it, also when it would never fire."""
    if len(expression) > MAX_LENGTH:
        raise ValueError(f"may have at most {MAX_LENGTH} characters")
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(
            "must have five fields: minute, hour, day of month, month, day of week; "
            f"it has {len(fields)}"
        )
    try:
        simulator = CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))
    except (CronSimError, AssertionError, ValueError, TypeError) as error:
        if _fields_are_valid(fields):
            raise ValueError(f'"{expression}" never fires: no year has such a day') from None
        raise ValueError(f'"{expression}" is not a crontab: {_explain(error)}') from None
    crontab = Crontab(
        months=frozenset(simulator.months),
        minutes=tuple(sorted(simulator.minutes)),
        hours=tuple(sorted(simulator.hours)),
        wildcard=fields[0].startswith("*") or fields[1].startswith("*"),
        simulator=simulator,
    )
    if not any(crontab.days(year, month) for year in _EVERY_KIND_OF_YEAR for month in range(1, 13)):
        raise ValueError(f'"{expression}" never fires: no year has such a day')
    return crontab


def _fields_are_valid(fields: list[str]) -> bool:
    """True when each field is good by itself, so that only their combination is not."""
    minute, hour, day, month, weekday = fields
    try:
        # The months in which a day may fail to exist are left out, so only spelling can fail.
        CronSim(f"{minute} {hour} {day} * {weekday}", datetime(2000, 1, 1, tzinfo=UTC))
        CronSim(f"{minute} {hour} 1 {month} {weekday}", datetime(2000, 1, 1, tzinfo=UTC))
    except (CronSimError, AssertionError, ValueError, TypeError):
        return False
    return True


def _explain(error: Exception) -> str:
    text = str(error)
    if text.startswith("Bad "):
        return f"the {text.removeprefix('Bad ').replace('-', ' ')} is not valid"
    return text or "it cannot be read"
