"""The status of a task as people see it: INVALID follows from the clock, never stored (T2)."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from django.db.models import Case, CharField, F, QuerySet, Value, When

from workflows.choices import TaskStatus
from workflows.models import Task

# The stored statuses that the clock can turn into INVALID.
EXPIRING = frozenset({TaskStatus.SCHEDULING, TaskStatus.PAUSED})


def effective_status(now: datetime, *, path: str = "") -> Case:
    """Return the expression for a task's status at `now`, INVALID included.

    `path` reaches the task from the queryset's model, such as "task__".
    """
    return Case(
        When(
            **{f"{path}status__in": sorted(EXPIRING), f"{path}effective_until__lt": now},
            then=Value(TaskStatus.INVALID.value),
        ),
        default=F(f"{path}status"),
        output_field=CharField(),
    )


def with_status(queryset: QuerySet[Task], now: datetime) -> QuerySet[Task]:
    """Annotate `effective_status`."""
    return queryset.annotate(effective_status=effective_status(now))


class HasStatus(Protocol):
    """What is loaded of a task: its stored status, and the last instant of its range."""

    @property
    def status(self) -> str: ...

    @property
    def effective_until(self) -> datetime | None: ...


def status_at(task: HasStatus, now: datetime) -> TaskStatus:
    """Return the status of a loaded task at `now`, INVALID included."""
    expired = task.effective_until is not None and task.effective_until < now
    return TaskStatus.INVALID if expired and task.status in EXPIRING else TaskStatus(task.status)
