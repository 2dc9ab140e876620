"""A schedule in words."""

from __future__ import annotations

from workflows.schedules.schedule import Schedule
from workflows.schedules.wall_times import format_date_or_datetime


def describe(schedule: Schedule) -> str:
    """For example "every day at 02:30 America/Los_Angeles, from 2026-01-01"."""
    text = f"{schedule.rule.describe()} {schedule.time_zone}"
    if schedule.effective_from is not None:
        text += f", from {format_date_or_datetime(schedule.effective_from)}"
    if schedule.effective_until is not None:
        joint = "" if schedule.effective_from is not None else ","
        text += f"{joint} until {format_date_or_datetime(schedule.effective_until)}"
    return text
