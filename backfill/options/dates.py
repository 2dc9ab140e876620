"""Which dates a plan runs, and which hours of them (B6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _

from backfill.options.part import Part
from projects.ground.fields.field import Choice, Field, Kind, declare
from projects.ground.fields.reader import NO_DATE, FieldReader
from projects.ground.words import format_lazy, gettext_lazy, listed, thousands

MAX_PERIODS = 10
MAX_PERIOD_DAYS = 3_660  # ten years
DAY_START = time(0, 0)
DAY_END = time(23, 59)


class RangeBy(StrEnum):
    """What the dates of the periods are (B6)."""

    DATA_DATE = "data_date"  # data dates: the day before the planned one
    PLANNED_TIME = "planned_time"  # local planned dates


@dataclass(frozen=True, slots=True)
class Period:
    """Dates from `first` to `last`, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


def _make_period(fields: FieldReader, values: dict[str, Any]) -> Period:
    period = Period(**values)
    if period.last < period.first:
        fields.refuse(
            "last",
            _("The period ends on {last}, before it starts on {first}.").format(
                last=period.last, first=period.first
            ),
        )
    elif period.days > MAX_PERIOD_DAYS:
        fields.refuse(
            "last",
            _("A period has at most {most} days, not {count}.").format(
                most=thousands(MAX_PERIOD_DAYS), count=thousands(period.days)
            ),
        )
    return period


def _spell(periods: Sequence[Mapping[str, str]]) -> str:
    return listed(
        one["first"] if one["first"] == one["last"] else f"{one['first']} – {one['last']}"
        for one in periods
    )


@dataclass(frozen=True, kw_only=True)
class DatesOptions(Part):
    """The dates. Without periods a plan is for yesterday."""

    range_by: RangeBy = declare(
        Field(
            label=gettext_lazy("Dates are"),
            help=gettext_lazy("What the dates are."),
            kind=Kind.CHOICE,
            default=RangeBy.DATA_DATE,
            choices=(
                Choice(
                    RangeBy.DATA_DATE,
                    gettext_lazy("Data dates"),
                    gettext_lazy("The date of the data: the day before the planned one."),
                ),
                Choice(
                    RangeBy.PLANNED_TIME,
                    gettext_lazy("Planned dates"),
                    gettext_lazy("The local day on which an instance is planned."),
                ),
            ),
            option="--by",
        )
    )
    periods: tuple[Period, ...] = declare(
        Field(
            label=gettext_lazy("Periods"),
            help=format_lazy(
                gettext_lazy(
                    "First and last day, both included; up to {count}. None given: yesterday."
                ),
                count=MAX_PERIODS,
            ),
            kind=Kind.OBJECTS,
            missing=gettext_lazy("Give at least one period of dates."),
            max_items=MAX_PERIODS,
            too_many=(
                gettext_lazy("A plan takes at most {most} periods, not {count}."),
                "too_many_periods",
            ),
            make=_make_period,
            fields=(
                Field(
                    name="first",
                    help="YYYY-MM-DD.",
                    kind=Kind.DATE,
                    required=True,
                    missing=NO_DATE,
                ),
                Field(
                    name="last",
                    help=format_lazy(
                        gettext_lazy("Included; at most {count} days from the first."),
                        count=f"{MAX_PERIOD_DAYS:,}",
                    ),
                    kind=Kind.DATE,
                    required=True,
                    missing=NO_DATE,
                ),
            ),
            spelled=_spell,
        )
    )
    time_from: time = declare(
        Field(
            label=gettext_lazy("Time of day from"),
            help=gettext_lazy("The first time of day of hourly and minute tasks."),
            kind=Kind.TIME,
            default=DAY_START,
            option="--time-from",
        )
    )
    time_until: time = declare(
        Field(
            label=gettext_lazy("Time of day until"),
            help=gettext_lazy("The last time of day of hourly and minute tasks, included."),
            kind=Kind.TIME,
            default=DAY_END,
            option="--time-until",
        )
    )

    @staticmethod
    def check(values: Mapping[str, Any], fields: FieldReader) -> None:
        if values["time_until"] < values["time_from"]:
            start = values["time_from"]
            fields.refuse(
                "time_until", _("This is before the start, {time}.").format(time=f"{start:%H:%M}")
            )
