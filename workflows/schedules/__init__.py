"""Schedules: values that say when a task fires. See `schedule`, `firing` and `counting`."""

from __future__ import annotations

from workflows.schedules.counting import count_between_days, count_on, counts_by_day
from workflows.schedules.cycles import COARSENESS, SUB_DAY, Cycle
from workflows.schedules.data_dates import data_date, data_time, planned_day_of_data_date
from workflows.schedules.describing import describe
from workflows.schedules.errors import ScheduleError
from workflows.schedules.firing import (
    fires_between,
    fires_on,
    has_fire,
    next_fire,
    previous_fire,
)
from workflows.schedules.schedule import Schedule

__all__ = [
    "COARSENESS",
    "SUB_DAY",
    "Cycle",
    "Schedule",
    "ScheduleError",
    "count_between_days",
    "count_on",
    "counts_by_day",
    "data_date",
    "data_time",
    "describe",
    "fires_between",
    "fires_on",
    "has_fire",
    "next_fire",
    "planned_day_of_data_date",
    "previous_fire",
]
