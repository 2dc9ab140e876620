"""The Celery tasks of the whole: what is watched, and verbs that run in the background."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task
from django.conf import settings

from config.watching.tallies import tally
from instances.engine.announcing import begin_job, nudge
from projects.ground import clock
from projects.verbs.background import work_in_turn

OPERATE_TASK = "config.operate"


@shared_task(name="config.tally")
def tally_ended() -> dict[str, int]:
    """Count what ended since the last time."""
    return {"executions": tally(now=clock.now())}


@shared_task(name=OPERATE_TASK, bind=True)
def operate_in_background(self: Task) -> None:
    """Do chunks of large operations, not for long.

    What is left comes with the next message, behind what has come to the queue meanwhile.
    """
    begin_job(self.request.id)
    if work_in_turn(seconds=settings.SYSTEM_JOB_SECONDS):
        nudge_operations()


def nudge_operations(**_: Any) -> None:
    """Send the message; call after the commit. Lost, it costs time: beat sends one as well."""
    nudge(OPERATE_TASK, expires=15)
