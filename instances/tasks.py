"""The engine's Celery tasks: each calls one verb.

Those of the timetable answer what they found, by name, for whoever watches them.
"""

from __future__ import annotations

from dataclasses import asdict

from celery import Task, shared_task

from instances import worker_process
from instances.announcing import RUN_TASK, announce
from instances.generation import generate
from instances.rescue import rescue
from instances.sweep import sweep
from projects import clock

# How long a process that is full holds a message's task. Brokers end consumers that leave messages
# without an answer for long (RabbitMQ after half an hour), as those behind it would be.
HOLD_SECONDS = 60.0


@shared_task(name=RUN_TASK, bind=True)
def run_execution(self: Task, execution_id: int) -> None:
    """Wake this process's crew: there is work on the queue that the message came from.

    A full crew passes the message on. Until it has room it holds this task, so that Celery gives
    what comes to other processes.
    """
    crew = worker_process.crew()
    queue = self.request.delivery_info["routing_key"]
    if not crew.nudge(queue):
        announce([(execution_id, queue)])
        crew.wait_for_room(HOLD_SECONDS)


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
