"""Data dates: what is planned today works on yesterday (T+1), whatever the cycle."""

from __future__ import annotations

from datetime import date, datetime, tzinfo

from workflows.schedules.local_time import DAY


def data_date(fire: datetime, zone: tzinfo) -> date:
    """The local date of an aware planned time, minus one day."""
    return fire.astimezone(zone).date() - DAY


def data_time(fire: datetime, zone: tzinfo) -> datetime:
    """The data date with the planned time's local time of day, naive."""
    return fire.astimezone(zone).replace(tzinfo=None, fold=0) - DAY


def planned_day_of_data_date(day: date) -> date:
    """The local day on which the instances of a data date are planned."""
    return day + DAY
