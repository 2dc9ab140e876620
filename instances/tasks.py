"""The engine's Celery tasks: each calls one verb.

Those of the timetable answer what they found, by name, for whoever watches them.
"""

from __future__ import annotations

from dataclasses import asdict

from celery import Task, shared_task

from instances import worker_process
from instances.announcing import RUN_TASK
from instances.generation import generate
from instances.rescue import rescue
from instances.sweep import sweep
from projects import clock


@shared_task(name=RUN_TASK, bind=True)
def run_execution(self: Task, execution_id: int) -> None:
    """Wake this process's crew: there is work on the queue that the message came from.

    A full crew lets the message drop: it takes more as soon as one of its executions ends, and
    others with room look by themselves. Nothing waits in here, as the process may have to generate,
    sweep and rescue too.
    """
    worker_process.crew().nudge(self.request.delivery_info["routing_key"])


@shared_task(name="instances.generate")
def generate_instances() -> dict[str, int]:
    """Make the periodic instances that are due."""
    return {"made": generate(now=clock.now())}


@shared_task(name="instances.sweep")
def sweep_instances() -> dict[str, int]:
    """Find what no wake-up reached."""
    return asdict(sweep(now=clock.now()))


@shared_task(name="instances.rescue")
def rescue_executions() -> dict[str, int]:
    """Find executions whose worker is gone."""
    lost, announced_again = rescue(now=clock.now())
    return {"lost": lost, "announced_again": announced_again}
