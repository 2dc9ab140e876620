"""What a task's parameters would be on any date (T13). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from workflows.definitions.definition import TaskDefinition
from workflows.parameters.built_ins import built_in_values
from workflows.parameters.context import Context
from workflows.parameters.resolution import resolve
from workflows.schedules import data_date, fires_on, planned_day_of_data_date, previous_fire
from workflows.schedules.local_time import local_clock


@dataclass(frozen=True, slots=True)
class ParameterPreview:
    """The values for one planned time. `is_planned` is false where the schedule has no fire."""

    scheduled_at: datetime
    data_date: date
    is_planned: bool
    parameters: Mapping[str, str]
    built_ins: Mapping[str, str]


def planned_times(definition: TaskDefinition, day: date) -> tuple[datetime, ...]:
    """Return the planned times (UTC) of the instances that work on a data date."""
    return fires_on(definition.schedule, planned_day_of_data_date(day), ignore_effective=True)


def preview_parameters(
    definition: TaskDefinition,
    *,
    task_id: int = 0,
    task_name: str = "",
    workflow: str = "",
    project: str = "",
    data_day: date | None = None,
    scheduled_at: datetime | None = None,
    overrides: Mapping[str, str] | None = None,
) -> ParameterPreview:
    """Return the values at a planned time (aware), or at the first one of a data date.

    On a data date without a fire it is the beginning of the day after it that counts. Raises
    ValueError when neither or both are given, ExpressionError when an override is wrong.
    """
    schedule = definition.schedule
    if (data_day is None) == (scheduled_at is None):
        raise ValueError("give a data date or a planned time")
    if data_day is not None:
        fires = planned_times(definition, data_day)
        day_start = local_clock(schedule.time_zone).day_start(planned_day_of_data_date(data_day))
        scheduled_at = fires[0] if fires else day_start
    assert scheduled_at is not None
    context = Context(
        scheduled_at=scheduled_at,
        time_zone=schedule.time_zone,
        task_id=task_id,
        task_name=task_name,
        workflow=workflow,
        project=project,
        interval_start=previous_fire(schedule, scheduled_at),
        interval_end=scheduled_at,
    )
    local_day = scheduled_at.astimezone(schedule.zone).date()
    return ParameterPreview(
        scheduled_at=scheduled_at,
        data_date=data_date(scheduled_at, schedule.zone),
        is_planned=scheduled_at in fires_on(schedule, local_day, ignore_effective=True),
        parameters=resolve(definition.parameters, context, overrides),
        built_ins=built_in_values(context),
    )
