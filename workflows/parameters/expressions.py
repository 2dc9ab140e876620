"""Date expressions: the inside of `${…}` and `$[…]` (T13).

A format of the parts yyyy yy mm dd hh24 (or hh) mi ss with anything but letters and digits between
them, or `add_months(format, n)` or `last_day(format)`; and after it, if wanted, an offset. Offsets
are +n or -n, where n may be a product such as 2*7, in days or in the format's smallest unit,
whichever the brackets call for; n/24 is hours and n/24/60 minutes always.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from math import prod

from django.utils.translation import gettext as _

from projects.ground.words import thousands
from workflows.parameters.errors import ExpressionError

MAX_OFFSET = 1_000_000

Step = Callable[[datetime], datetime]


class Unit(IntEnum):
    """What an offset counts, from coarse to fine."""

    YEAR = 0
    MONTH = 1
    DAY = 2
    HOUR = 3
    MINUTE = 4
    SECOND = 5


# The longest first: a part is taken where it begins.
_PARTS: tuple[tuple[str, str, Unit], ...] = (
    ("yyyy", "{0.year:04d}", Unit.YEAR),
    ("hh24", "{0.hour:02d}", Unit.HOUR),
    ("yy", "{1:02d}", Unit.YEAR),
    ("mm", "{0.month:02d}", Unit.MONTH),
    ("dd", "{0.day:02d}", Unit.DAY),
    ("hh", "{0.hour:02d}", Unit.HOUR),
    ("mi", "{0.minute:02d}", Unit.MINUTE),
    ("ss", "{0.second:02d}", Unit.SECOND),
)
_PRODUCT = r"\d{1,9}(?:\s*\*\s*\d{1,9})*"
_OFFSET = re.compile(rf"\s*([+-])\s*({_PRODUCT})\s*(/\s*24\s*(/\s*60\s*)?)?$", re.ASCII)
_LOOKS_LIKE_OFFSET = re.compile(r"\s*[+-]\s*\d", re.ASCII)
_FUNCTION = re.compile(r"\s*([A-Za-z_]\w*)\s*\(", re.ASCII)
_MONTHS = re.compile(rf"\s*([+-]?)\s*({_PRODUCT})\s*$", re.ASCII)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Shift:
    """A move in time: so many of a unit."""

    amount: int
    unit: Unit

    def apply(self, moment: datetime) -> datetime:
        """The moved moment. Years and months keep the day, or take the month's last one where it
        has no such day. On an aware moment hours and finer are real time, across clock changes.
        """
        match self.unit:
            case Unit.YEAR:
                return add_months(moment, self.amount * 12)
            case Unit.MONTH:
                return add_months(moment, self.amount)
            case Unit.DAY:
                return moment + timedelta(days=self.amount)
            case Unit.HOUR:
                return _move(moment, timedelta(hours=self.amount))
            case Unit.MINUTE:
                return _move(moment, timedelta(minutes=self.amount))
            case Unit.SECOND:
                return _move(moment, timedelta(seconds=self.amount))


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: how to move a moment, step by step, and how to write the result."""

    steps: tuple[Step, ...]
    template: str
    position: int

    def evaluate(self, moment: datetime) -> str:
        """The text for a moment; ExpressionError when its offset leaves the calendar."""
        try:
            for step in self.steps:
                moment = step(moment)
        except (OverflowError, ValueError):
            raise ExpressionError(
                _("the offset leads out of the calendar"), self.position
            ) from None
        return self.template.format(moment, moment.year % 100)


@lru_cache(maxsize=4096)
def parse_expression(text: str, *, by_smallest_unit: bool, position: int = 0) -> Expression:
    """Read what stands between the brackets.

    `by_smallest_unit`: a plain offset counts the format's smallest unit, as in `${…}`; else days,
    as in `$[…]`. `position` is where the text begins in the whole, for errors. Raises
    ExpressionError.
    """
    if not text.strip():
        raise ExpressionError(_("the brackets are empty"), position)
    function = _FUNCTION.match(text)
    steps: list[Step] = []
    if function is None:
        body, tail, tail_at = _cut_offset(text)
        template, smallest = _parse_format(body, position)
    else:
        close = text.rfind(")")
        if close < 0:
            raise ExpressionError(_('")" is missing'), position + len(text))
        arguments = text[function.end() : close]
        template, smallest, step = _parse_call(
            function[1], arguments, position + function.start(1), position + function.end()
        )
        steps.append(step)
        tail, tail_at = text[close + 1 :], close + 1
    if tail.strip():
        unit = smallest if by_smallest_unit else Unit.DAY
        steps.append(_parse_offset(tail, unit, position + tail_at).apply)
    return Expression(tuple(steps), template, position)


def add_months(moment: datetime, months: int) -> datetime:
    """The moment that many months on (or back), on the month's last day where it is shorter."""
    number = moment.year * 12 + moment.month - 1 + months
    year, month = number // 12, number % 12 + 1
    if not 1 <= year <= 9999:
        raise OverflowError("the year is out of range")
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))


def last_day(moment: datetime) -> datetime:
    """The moment on the last day of its month."""
    return moment.replace(day=monthrange(moment.year, moment.month)[1])


def _parse_call(name: str, arguments: str, name_at: int, position: int) -> tuple[str, Unit, Step]:
    """The template, its smallest unit, and what the function does to the moment."""
    if name == "add_months":
        first, comma, months = arguments.rpartition(",")
        match = _MONTHS.match(months)
        if not comma or match is None:
            message = _("add_months needs a format and a number of months")
            raise ExpressionError(message, position)
        template, smallest = _parse_format(first, position)
        amount = _amount(match[1], match[2], position + len(first) + 1)
        return template, smallest, Shift(amount, Unit.MONTH).apply
    if name == "last_day":
        template, smallest = _parse_format(arguments, position)
        return template, smallest, last_day
    message = _('unknown function "{name}"; there are add_months and last_day')
    raise ExpressionError(message.format(name=name), name_at)


def _cut_offset(text: str) -> tuple[str, str, int]:
    """The text before an offset, the offset, and where it begins. A sign counts as one when a
    digit follows; the "-" of yyyy-mm-dd is a separator.
    """
    for index in range(len(text)):
        if text[index] in "+-" and _LOOKS_LIKE_OFFSET.match(text, index):
            return text[:index], text[index:], index
    return text, "", len(text)


def _parse_offset(text: str, unit: Unit, position: int) -> Shift:
    match = _OFFSET.match(text)
    if match is None:
        message = _('"{text}" is not an offset such as -7, +2*7, -1/24 or -30/24/60')
        raise ExpressionError(message.format(text=text.strip()), position)
    if match[4]:
        unit = Unit.MINUTE
    elif match[3]:
        unit = Unit.HOUR
    return Shift(_amount(match[1], match[2], position), unit)


def _amount(sign: str, product: str, position: int) -> int:
    amount = prod(int(factor) for factor in product.split("*"))
    if amount > MAX_OFFSET:
        message = _("the offset may be at most {most}").format(most=thousands(MAX_OFFSET))
        raise ExpressionError(message, position)
    return -amount if sign == "-" else amount


def _parse_format(text: str, position: int) -> tuple[str, Unit]:
    """The format as a template for `str.format`, and its smallest unit."""
    stripped = text.strip()
    position += len(text) - len(text.lstrip())
    template: list[str] = []
    units: list[Unit] = []
    index = 0
    while index < len(stripped):
        part = next((part for part in _PARTS if stripped.startswith(part[0], index)), None)
        if part is not None:
            template.append(part[1])
            units.append(part[2])
            index += len(part[0])
            continue
        word = _WORD.match(stripped, index)
        if word is not None:
            _refuse(word[0], stripped, index, position + index)
        if stripped[index] in "()[],$" or not stripped[index].isprintable():
            message = _("{letter} cannot stand here").format(letter=repr(stripped[index]))
            raise ExpressionError(message, position + index)
        template.append(stripped[index].replace("{", "{{").replace("}", "}}"))
        index += 1
    if not units:
        message = _('"{text}" has no part of a date in it').format(text=stripped)
        raise ExpressionError(message, position)
    return "".join(template), max(units)


def _refuse(word: str, text: str, index: int, position: int) -> None:
    fixed = re.search(r"[^A-Za-z]+$", text)
    if any(word.lower().startswith(part[0]) for part in _PARTS):
        hint = _("the parts of a format are in lower case")
    elif word.isdigit() and fixed and fixed.start() and fixed.start() <= index:
        # hh24 ends in digits that are its own.
        own = 2 if text[: fixed.start() + 2].endswith("hh24") else 0
        cut = fixed.start() + own
        hint = _(
            'what is always the same stands outside of the brackets: "{inside}" inside, "{after}" '
            "after them"
        ).format(inside=text[:cut], after=text[cut:])
    else:
        hint = _("a format has the parts yyyy yy mm dd hh24 mi ss")
    message = _('unknown "{word}" in "{text}": {hint}')
    raise ExpressionError(message.format(word=word, text=text, hint=hint), position)


def _move(moment: datetime, by: timedelta) -> datetime:
    if moment.tzinfo is None:
        return moment + by
    return (moment.astimezone(UTC) + by).astimezone(moment.tzinfo)
