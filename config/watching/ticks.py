"""The mark that every run of a periodic job leaves, wherever it ran.

A worker writes it after the job succeeded, so a mark that grows old says that beat, the broker or
the workers of the system queue are gone, or that the job fails.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from celery import Task
from celery.signals import task_prerun, task_success
from django.conf import settings
from django.db import DatabaseError

from config.models import Tick
from config.watching.totals import add
from projects.ground import clock

SWEEP = "instances.sweep"
GENERATE = "instances.generate"
RESCUE = "instances.rescue"
EXPAND = "backfill.expand"

logger = structlog.get_logger(__name__)


def note_run(job: str, *, now: datetime, seconds: float, found: Mapping[str, float]) -> None:
    """Note that the job came to its end, and add what it found to the totals."""
    Tick.objects.update_or_create(job=job, defaults={"ended_at": now, "seconds": seconds})
    counted = {("job_found", "", f"{job}:{what}"): number for what, number in found.items()}
    add(
        {("job_runs", "", job): 1.0, ("job_seconds", "", job): seconds}
        | {key: float(number) for key, number in counted.items()}
    )


def age_of(job: str, *, now: datetime) -> timedelta | None:
    """Return how long ago the job came to its end; None when it never did."""
    ended_at = Tick.objects.filter(job=job).values_list("ended_at", flat=True).first()
    return None if ended_at is None else now - ended_at


def _jobs() -> set[str]:
    return {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}


@task_prerun.connect(dispatch_uid="tick-begin")
def _begin(task: Task, **_: Any) -> None:
    task.request.tick_began = time.monotonic()


@task_success.connect(dispatch_uid="tick-end")
def _end(sender: Task, result: object, **_: Any) -> None:
    """Note the run of a job whose task answers what it found, as {what: how many}, or nothing."""
    if sender.name not in _jobs():
        return
    began = getattr(sender.request, "tick_began", None)
    seconds = 0.0 if began is None else time.monotonic() - began
    try:
        found = result if isinstance(result, Mapping) else {}
        note_run(sender.name, now=clock.now(), seconds=seconds, found=found)
    except DatabaseError:
        logger.warning("tick_not_noted", job=sender.name, exc_info=True)
