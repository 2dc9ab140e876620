"""Crontab expressions: five fields, by Debian cron's rules, with L and # (T11).

cronsim reads most of them; what it reads otherwise than Debian, or what crons do not agree upon, is
looked at before. See docs/decisions/crontabs.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError
from cronsim.cronsim import RANGES, Field
from django.utils.translation import gettext as _

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
        raise ValueError(_("may have at most {most} characters").format(most=MAX_LENGTH))
    fields = expression.split()
    if len(fields) != 5:
        message = _(
            "must have five fields: minute, hour, day of month, month, day of week; it has {count}"
        )
        raise ValueError(message.format(count=len(fields)))
    fields = [_checked(kind, text) for kind, text in zip(_KINDS, fields, strict=True)]
    try:
        simulator = CronSim(" ".join(fields), datetime(2000, 1, 1, tzinfo=UTC))
    except (CronSimError, AssertionError, ValueError, TypeError) as error:
        if _fields_are_valid(fields):
            raise ValueError(_never(expression)) from None
        message = _('"{expression}" is not a crontab: {problem}')
        raise ValueError(message.format(expression=expression, problem=_explain(error))) from None
    crontab = Crontab(
        months=frozenset(simulator.months),
        minutes=tuple(sorted(simulator.minutes)),
        hours=tuple(sorted(simulator.hours)),
        wildcard=fields[0].startswith("*") or fields[1].startswith("*"),
        simulator=simulator,
    )
    if not any(crontab.days(year, month) for year in _EVERY_KIND_OF_YEAR for month in range(1, 13)):
        raise ValueError(_never(expression))
    return crontab


_KINDS = (Field.MINUTE, Field.HOUR, Field.DAY, Field.MONTH, Field.DOW)
_LAST = {kind: max(RANGES[kind]) for kind in _KINDS} | {Field.DOW: 6}


def _checked(kind: Field, text: str) -> str:
    """A field as cronsim reads it right; ValueError for steps that crons do not agree upon."""
    return ",".join(_checked_term(kind, term) for term in text.split(","))


def _checked_term(kind: Field, term: str) -> str:
    base, slash, step = term.partition("/")
    if not slash or base == "*":
        return term
    try:
        items = kind.parse(base.upper())
        kind.parse(f"*/{step}")
    except CronSimError:
        return term  # cronsim says what is wrong with it
    if "-" in base:
        # cronsim steps from a single number to the end of the field: 4-4/1 is 4 and no more.
        return base if len(items) == 1 else term
    if all(isinstance(item, int) and item >= 0 for item in items):
        message = _(
            'has "{term}", which some crons read as {alone} alone and others as {range}: write '
            "which you mean"
        )
        range_ = f"{base}-{_LAST[kind]}/{step}"
        raise ValueError(message.format(term=term, alone=base, range=range_))
    raise ValueError(_('has "{term}": a step follows a star or a range').format(term=term))


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


def _never(expression: str) -> str:
    return _('"{expression}" never fires: no year has such a day').format(expression=expression)


def _explain(error: Exception) -> str:
    known = {
        "minute": _("the minute is not valid"),
        "hour": _("the hour is not valid"),
        "day-of-month": _("the day of month is not valid"),
        "month": _("the month is not valid"),
        "day-of-week": _("the day of week is not valid"),
    }
    text = str(error).removeprefix("Bad ")
    return known.get(text, text) or _("it cannot be read")
