"""Wall times and dates as text: read strictly, written in one form."""

from __future__ import annotations

import re
from datetime import date, datetime

from django.utils.translation import gettext as _

_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_DATETIME = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{1,2}:\d{2}(?::\d{2})?)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def parse_time(value: object, *, seconds: bool = True) -> int:
    """Seconds of the day of "HH:MM" or, when `seconds`, "HH:MM:SS"; ValueError says what is wrong.

    A number gets a hint of its own: YAML 1.1 reads an unquoted 12:30 as the number 750.
    """
    if isinstance(value, int):
        message = _("must be text of the form {form}; in YAML, put it in quotes")
        raise ValueError(message.format(form=_time_form(seconds)))
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or (match[3] is not None and not seconds):
        raise ValueError(_not_of_form(_time_form(seconds), value))
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(_("{value} is not a time of day").format(value=repr(value)))
    return hour * 3600 + minute * 60 + second


def parse_datetime(value: object) -> datetime:
    """A naive datetime from "YYYY-MM-DD HH:MM[:SS]" (or one as YAML reads it)."""
    if isinstance(value, datetime):
        if value.tzinfo is not None or value.microsecond:
            raise ValueError(_("must be a local time in whole seconds, without an offset"))
        return value
    match = _DATETIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(_not_of_form('"YYYY-MM-DD HH:MM[:SS]"', value))
    second = parse_time(match[2])
    day = _parse_date(match[1])
    return datetime(day.year, day.month, day.day, second // 3600, second // 60 % 60, second % 60)


def parse_date_or_datetime(value: object) -> date:
    """A date from "YYYY-MM-DD" or a naive datetime as `parse_datetime` reads it."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        return _parse_date(value.strip())
    try:
        return parse_datetime(value)
    except ValueError as error:
        if isinstance(value, str) and not _DATETIME.fullmatch(value.strip()):
            form = _('"YYYY-MM-DD" or "YYYY-MM-DD HH:MM[:SS]"')
            raise ValueError(_not_of_form(form, value)) from None
        raise error


def format_time(seconds: int) -> str:
    """ "HH:MM", with ":SS" when there are seconds."""
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
    return f"{text}:{seconds % 60:02d}" if seconds % 60 else text


def format_datetime(moment: datetime) -> str:
    """ "YYYY-MM-DD HH:MM", with ":SS" when there are seconds."""
    return moment.isoformat(sep=" ", timespec="seconds" if moment.second else "minutes")


def format_date_or_datetime(moment: date) -> str:
    """As `format_datetime`; a date as "YYYY-MM-DD"."""
    return format_datetime(moment) if isinstance(moment, datetime) else moment.isoformat()


def _parse_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = _("{value} is not a date of the calendar").format(value=repr(text))
        raise ValueError(message) from None


def _time_form(seconds: bool) -> str:
    return _('"HH:MM" or "HH:MM:SS"') if seconds else '"HH:MM"'


def _not_of_form(form: str, value: object) -> str:
    return _("must be of the form {form}, not {value}").format(form=form, value=repr(value))
