"""The parameters every task has: `$bizdate` and the like (T13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from projects.ground.words import gettext_lazy
from workflows.parameters.context import Context
from workflows.parameters.expressions import add_months


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in parameter: what it is, for people, and how to get it."""

    name: str
    help: str
    value: Callable[[Context], str]


_TABLE = (
    BuiltIn(
        "bizdate",
        gettext_lazy("The data date, yyyymmdd: the day before the planned day."),
        lambda context: f"{context.data_date:%Y%m%d}",
    ),
    BuiltIn(
        "bizmonth",
        gettext_lazy("The last whole month before the planned day, yyyymm."),
        lambda context: f"{add_months(context.planned, -1):%Y%m}",
    ),
    BuiltIn(
        "gmtdate",
        gettext_lazy("The planned day in the task's time zone, yyyymmdd."),
        lambda context: f"{context.planned:%Y%m%d}",
    ),
    BuiltIn(
        "cyctime",
        gettext_lazy("The planned time in the task's time zone, yyyymmddhh24miss."),
        lambda context: f"{context.planned:%Y%m%d%H%M%S}",
    ),
    BuiltIn("jobid", gettext_lazy("The task's id."), lambda context: str(context.task_id)),
    BuiltIn(
        "instance_id",
        gettext_lazy("The instance's id; empty in a preview."),
        lambda context: "" if context.instance_id is None else str(context.instance_id),
    ),
    BuiltIn("taskname", gettext_lazy("The task's name."), lambda context: context.task_name),
    BuiltIn("workflow", gettext_lazy("The workflow's name."), lambda context: context.workflow),
    BuiltIn("project", gettext_lazy("The project's name."), lambda context: context.project),
    BuiltIn(
        "interval_start",
        gettext_lazy(
            "The planned time before this one, ISO 8601 with offset; empty for the first."
        ),
        lambda context: context.local_text(context.interval_start),
    ),
    BuiltIn(
        "interval_end",
        gettext_lazy("The end of the interval that began there, ISO 8601 with offset."),
        lambda context: context.local_text(context.interval_end),
    ),
    BuiltIn(
        "data_date",
        gettext_lazy("The data date, yyyy-mm-dd."),
        lambda context: context.data_date.isoformat(),
    ),
    BuiltIn(
        "data_time",
        gettext_lazy("The data date with the planned time of day, yyyy-mm-ddThh24:mi:ss."),
        lambda context: context.data_time.isoformat(timespec="seconds"),
    ),
    BuiltIn(
        "scheduled_at",
        gettext_lazy("The planned time, ISO 8601 with offset."),
        lambda context: context.local_text(context.scheduled_at),
    ),
)

BUILT_INS: dict[str, BuiltIn] = {built_in.name: built_in for built_in in _TABLE}


def built_in_values(context: Context) -> dict[str, str]:
    """The value of every built-in."""
    return {name: built_in.value(context) for name, built_in in BUILT_INS.items()}
