"""A schedule in words."""

from __future__ import annotations

from django.utils.translation import gettext as _

from workflows.schedules.schedule import Schedule
from workflows.schedules.wall_times import format_date_or_datetime


def describe(schedule: Schedule) -> str:
    """For example "every day at 02:30 America/Los_Angeles, from 2026-01-01"."""
    start, end = schedule.effective_from, schedule.effective_until
    if start is not None and end is not None:
        sentence = _("{rule} {zone}, from {start} until {end}")
    elif start is not None:
        sentence = _("{rule} {zone}, from {start}")
    elif end is not None:
        sentence = _("{rule} {zone}, until {end}")
    else:
        sentence = _("{rule} {zone}")
    return sentence.format(
        rule=schedule.rule.describe(),
        zone=schedule.time_zone,
        start=format_date_or_datetime(start) if start else "",
        end=format_date_or_datetime(end) if end else "",
    )
