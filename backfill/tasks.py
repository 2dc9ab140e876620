"""The Celery tasks of plans: each calls its verbs."""

from __future__ import annotations

from celery import Task, shared_task
from django.conf import settings

from backfill.running.expanding import expand_in_turn
from backfill.running.nudging import EXPAND_TASK, nudge_expansion
from backfill.running.settling import settle_plans
from instances.engine.announcing import begin_job


@shared_task(name=EXPAND_TASK, bind=True)
def expand_plans(self: Task) -> None:
    """Make instances of submitted plans, not for long, and settle finished plans.

    What is left comes with the next message, behind what has come to the queue meanwhile.
    """
    begin_job(self.request.id)
    if expand_in_turn(seconds=settings.SYSTEM_JOB_SECONDS):
        nudge_expansion()
    settle_plans()
