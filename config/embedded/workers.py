"""Celery workers and beat as threads of this process.

One worker takes the work of the resource groups, another one the system queue, so that tasks that
run for hours never hold up generating, sweeping and rescuing. Each worker has a Celery app object
of its own, because an app remembers which queues its worker consumes.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable

from celery import Celery
from celery.beat import EmbeddedService
from celery.worker import WorkController, state

from config.celery import BoundedCelery
from instances.worker import process as worker_process
from instances.worker.process import WorkerProcess

START_TIMEOUT_SECONDS = 30.0


class BrokerUnreachable(Exception):
    """The workers cannot reach the message broker; BROKER_URL names it."""


class EmbeddedWorker:
    """A Celery worker in a thread, with a pool of threads."""

    def __init__(self, app: Celery, name: str, queues: Iterable[str], threads: int) -> None:
        """threads: how many tasks run at a time; a thread is made when it is first needed."""
        self.queues = set(queues)
        self._ready = threading.Event()
        self._controller = WorkController(
            app=app,
            hostname=f"{name}@{socket.gethostname()}",
            queues=sorted(self.queues),
            concurrency=threads,
            pool="threads",
            loglevel="WARNING",
            use_eventloop=False,  # Celery's event loop is one for the whole process
            ready_callback=lambda consumer: self._ready.set(),
            task_events=False,
            without_gossip=True,
            without_heartbeat=True,
            without_mingle=True,
        )
        self._thread = threading.Thread(target=self._controller.start, name=name, daemon=True)

    def start(self) -> None:
        """Start consuming. Raises BrokerUnreachable when it cannot in time."""
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._ready.wait(0.1):
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise BrokerUnreachable(BrokerUnreachable.__doc__)

    def add_queues(self, queues: Iterable[str]) -> None:
        """Consume these queues too, from the next turn of the worker's loop on."""
        for queue in set(queues) - self.queues:
            self.queues.add(queue)
            # The loop does it: a connection belongs to the thread that reads from it.
            self._controller.consumer.call_soon(self._controller.consumer.add_task_queue, queue)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()


class EmbeddedCelery:
    """The workers and the timetable of this process."""

    def __init__(self, app: Celery, *, group_queues: Iterable[str], room: int) -> None:
        """room: how many executions run at a time at most."""
        self._room = room
        self._process: WorkerProcess | None = None
        system_app = BoundedCelery("tidemill-system", set_as_current=False)
        system_app.config_from_object("django.conf:settings", namespace="CELERY")
        system_app.autodiscover_tasks()
        # Its messages only wake the crew, so two threads are enough.
        self.groups = EmbeddedWorker(app, "tidemill", group_queues, threads=2)
        self.system = EmbeddedWorker(
            system_app, "tidemill-system", [app.conf.task_default_queue], threads=4
        )
        self._beat = EmbeddedService(app, thread=True, scheduler_cls=app.conf.beat_scheduler)
        self._beat.daemon = True

    def start(self) -> None:
        self._process = worker_process.begin(room=self._room)
        self.groups.start()
        self.system.start()
        self._beat.start()

    def begin_stop(self) -> None:
        """Stop the timetable and take no more messages; what runs goes on until it ends."""
        self._beat.service.stop()
        state.should_stop = 0  # both loops look at it at every turn, every two seconds at most

    def end(self, seconds: float) -> bool:
        """End what runs and give it back; False when that took longer."""
        return self._process is None or self._process.end(seconds)

    def wait_stopped(self, seconds: float) -> bool:
        """Wait until every thread has ended; False when one still runs after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.groups.alive or self.system.alive or self._beat.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        state.should_stop = None
        return True
