"""The engine's Celery tasks: each calls one verb.

Those of the timetable answer what they found, by name, for whoever watches them.
"""

from __future__ import annotations

from dataclasses import asdict

from celery import Task, shared_task
from django.conf import settings

from instances.engine.announcing import RUN_TASK, SWEEP_TASK, begin_job, nudge
from instances.engine.generation import generate_for
from instances.engine.rescue import rescue
from instances.engine.sweep import sweep
from instances.worker import process as worker_process
from projects.ground import clock

GENERATE_TASK = "instances.generate"


@shared_task(name=RUN_TASK, bind=True)
def run_execution(self: Task, execution_id: int) -> None:
    """Wake this process's crew: there is work on the queue that the message came from.

    A full crew lets the message drop: it takes more as soon as one of its executions ends, and
    others with room look by themselves. Nothing waits in here, as the process may have to generate,
    sweep and rescue too.
    """
    worker_process.present().crew.nudge(self.request.delivery_info["routing_key"])


@shared_task(name=GENERATE_TASK, bind=True)
def generate_instances(self: Task) -> dict[str, int]:
    """Make the periodic instances that are due, for a while; sweep and rescue get their turns."""
    begin_job(self.request.id)
    made, more = generate_for(now=clock.now(), seconds=settings.GENERATE_SECONDS)
    if more:  # should the message be lost, beat sends one as well
        nudge(GENERATE_TASK, expires=15)
    return {"made": made}


@shared_task(name=SWEEP_TASK, bind=True)
def sweep_instances(self: Task) -> dict[str, int]:
    """Find what no wake-up reached."""
    begin_job(self.request.id)
    return asdict(sweep(now=clock.now()))


@shared_task(name="instances.rescue")
def rescue_executions() -> dict[str, int]:
    """Find executions whose worker is gone."""
    lost, announced_again = rescue(now=clock.now())
    return {"lost": lost, "announced_again": announced_again}
