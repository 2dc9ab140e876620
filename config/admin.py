"""What the admin does not show: tables of libraries that nobody edits by hand."""

from __future__ import annotations

from django.contrib import admin
from django_celery_beat import admin as beat_admin  # noqa: F401  # registers what we take out
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

# The timetable comes from the settings: an edit here would be overwritten.
for _model in (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
