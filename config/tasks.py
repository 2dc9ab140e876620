"""The Celery task of watching: it calls one verb."""

from __future__ import annotations

from celery import shared_task

from config.tallies import tally
from projects import clock


@shared_task(name="config.tally")
def tally_ended() -> dict[str, int]:
    """Count what ended since the last time."""
    return {"executions": tally(now=clock.now())}
