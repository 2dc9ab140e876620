"""What the values of parameters are worked out from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from workflows.schedules.data_dates import data_date, data_time


@dataclass(frozen=True, slots=True)
class Context:
    """One instance, or one that could be: previews have no instance id.

    `scheduled_at` and the ends of the interval are aware (UTC); the interval is that between the
    schedule's previous fire and this one, and unknown at its first.
    """

    scheduled_at: datetime
    time_zone: str
    task_id: int
    task_name: str
    workflow: str
    project: str
    instance_id: int | None = None
    interval_start: datetime | None = None
    interval_end: datetime | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The task's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def planned(self) -> datetime:
        """The planned time as the task's clock shows it, aware."""
        return self.scheduled_at.astimezone(self.zone)

    @property
    def data_date(self) -> date:
        """The data date."""
        return data_date(self.scheduled_at, self.zone)

    @property
    def data_time(self) -> datetime:
        """The data time, naive."""
        return data_time(self.scheduled_at, self.zone)

    def local_text(self, instant: datetime | None) -> str:
        """An instant in ISO 8601 with the task's offset, or nothing."""
        return "" if instant is None else instant.astimezone(self.zone).isoformat()
